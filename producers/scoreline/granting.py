"""Give a user of a real cluster the rights of a component, and say which of them it had."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from scoreline.access import Acl, Pattern, Resource
from scoreline.errors import KafkaUnavailable, SettingsError
from scoreline.kafka import CALL_TIMEOUT_S, client_options, error_of
from scoreline.settings import Settings

_RESOURCES = {
    Resource.TOPIC: ResourceType.TOPIC,
    Resource.GROUP: ResourceType.GROUP,
    Resource.TRANSACTIONAL_ID: ResourceType.TRANSACTIONAL_ID,
}
_PATTERNS = {Pattern.LITERAL: ResourcePatternType.LITERAL, Pattern.PREFIXED: ResourcePatternType.PREFIXED}
_ANY_HOST = "*"


def binding(acl: Acl, principal: str) -> AclBinding:
    """An ACL as the admin client takes it; `principal` is as Kafka writes it, `User:worker`."""
    operation = AclOperation["".join(f"_{c}" if c.isupper() else c for c in acl.operation).upper().lstrip("_")]
    return AclBinding(
        _RESOURCES[acl.resource],
        acl.name,
        _PATTERNS[acl.pattern],
        principal,
        _ANY_HOST,
        operation,
        AclPermissionType.ALLOW,
    )


def held(settings: Settings, principal: str) -> set[AclBinding]:
    """Every ACL that names `principal`. Raises SettingsError when we may not ask, KafkaUnavailable."""
    admin = AdminClient(client_options(settings))  # what it promises ends with it
    filtering: Any = AclBindingFilter  # its stubs do not know that None stands for any
    wanted = filtering(
        ResourceType.ANY, None, ResourcePatternType.ANY, principal, None, AclOperation.ANY, AclPermissionType.ANY
    )
    described = cast("Future[list[AclBinding]]", admin.describe_acls(wanted, request_timeout=CALL_TIMEOUT_S))  # pyright: ignore[reportUnknownMemberType]
    try:
        return set(described.result(CALL_TIMEOUT_S))
    except KafkaException as error:
        raise _translated(settings, error) from error


def grant(settings: Settings, principal: str, acls: Iterable[Acl]) -> list[Acl]:
    """Give `principal` what it lacks of `acls`, and return that; what it has beside them stays.

    Raises SettingsError when our user may not, or the cluster keeps no ACLs; KafkaUnavailable.
    """
    before = held(settings, principal)
    admin = AdminClient(client_options(settings))
    lacking = [acl for acl in acls if binding(acl, principal) not in before]
    made = cast(
        "dict[AclBinding, Future[None]]",
        admin.create_acls([binding(acl, principal) for acl in lacking], request_timeout=CALL_TIMEOUT_S)  # pyright: ignore[reportUnknownMemberType]
        if lacking
        else {},
    )
    try:
        for future in made.values():
            future.result(CALL_TIMEOUT_S)
    except KafkaException as error:
        raise _translated(settings, error) from error
    return lacking


def _translated(settings: Settings, error: KafkaException) -> SettingsError | KafkaUnavailable:
    reason = error_of(error)
    if reason.code() == KafkaError.SECURITY_DISABLED:
        return SettingsError(
            f"{settings.kafka} (SCORELINE_KAFKA) keeps no ACLs: {reason.str()}; its brokers need authorizer.class.name"
        )
    if reason.code() == KafkaError.CLUSTER_AUTHORIZATION_FAILED:
        return SettingsError(
            f"{settings.kafka_user or 'this user'} may not look at or change ACLs at {settings.kafka}: {reason.str()}; "
            "be a super user of the cluster (SCORELINE_KAFKA_USER or SCORELINE_KAFKA_CERTIFICATE)"
        )
    return KafkaUnavailable(f"{settings.kafka} (SCORELINE_KAFKA): {reason.str()}")
