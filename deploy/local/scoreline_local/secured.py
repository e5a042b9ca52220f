"""A stack that lets nobody in without proof: certificates, a user for each component, and exactly its rights.

    python -m scoreline_local.secured FOLDER

gives the users of FOLDER their passwords and rights at its broker, each time that the stack starts.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from scoreline.access import Component, acls
from scoreline.errors import StackError
from scoreline.granting import grant
from scoreline.kafka import CALL_TIMEOUT_S, await_broker, client_options, error_of
from scoreline.observe.logs import configure_logging
from scoreline.settings import Settings, load_settings
from scoreline_local.certificates import Certificate, make_authority, make_certificate
from scoreline_local.datadir import write_private
from scoreline_local.ports import HOST

BROKER, ADMIN = "broker", "admin"
"""Names in certificates: super users, the brokers among themselves and whoever set up the stack."""
ITERATIONS = 8192
"""Of SCRAM; Kafka takes 4096 to 16384."""
EVERYBODY = tuple(Component)


@dataclass(frozen=True, slots=True)
class Secrets:
    """Files below the folder `secure` of a stack. Nobody but its owner may read them."""

    folder: Path

    @property
    def authority(self) -> Path:
        """The certificate of the authority that signed all others."""
        return self.folder / "ca.pem"

    @property
    def broker(self) -> Path:
        """Key and certificate of the brokers, as Kafka reads them."""
        return self.folder / "broker.pem"

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def user(self, component: Component) -> Path:
        """What `SCORELINE_SECRETS_DIR` names for this component."""
        return self.folder / "users" / component

    def password(self, component: Component) -> str:
        return (self.user(component) / "SCORELINE_KAFKA_PASSWORD").read_text("utf-8")

    def environment(self, bootstrap: str, component: Component) -> dict[str, str]:
        """The settings of a process of this component, which proves itself by password."""
        return {
            "SCORELINE_KAFKA": bootstrap,
            "SCORELINE_KAFKA_CA": str(self.authority),
            "SCORELINE_SECRETS_DIR": str(self.user(component)),
        }

    def by_certificate(self, bootstrap: str, name: str = ADMIN) -> dict[str, str]:
        """The settings of whoever proves himself by the certificate of this name."""
        files = {f"SCORELINE_{setting.upper()}": str(path) for setting, path in self.files(name).items()}
        return {"SCORELINE_KAFKA": bootstrap, **files}

    def files(self, name: str) -> dict[str, Path]:
        """The same without the address, by the names of the settings."""
        return {
            "kafka_ca": self.authority,
            "kafka_certificate": self.certificate(name),
            "kafka_key": self.key(name),
        }


def make_secrets(folder: Path) -> Secrets:
    """The secrets in `folder`, made the first time: certificates for all, and a password for each component."""
    made = Secrets(folder)
    if made.broker.exists():
        return made
    authority = make_authority("scoreline local")
    for name in (ADMIN, *EVERYBODY):
        _keep(made, name, make_certificate(authority, name))
    for component in EVERYBODY:
        made.user(component).mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(made.user(component) / "SCORELINE_KAFKA_USER", component)
        write_private(made.user(component) / "SCORELINE_KAFKA_PASSWORD", secrets.token_urlsafe(24))
    write_private(made.authority, authority.certificate.decode())
    broker = make_certificate(authority, BROKER, (HOST, "localhost"))
    # Written last: it says that everything is there.
    write_private(made.broker, (broker.key + broker.certificate).decode())
    return made


def _keep(made: Secrets, name: str, certificate: Certificate) -> None:
    made.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(made.certificate(name), certificate.certificate.decode())
    write_private(made.key(name), certificate.key.decode())


def broker_properties(made: Secrets, scram: str, mtls: str, controller: str) -> Mapping[str, object]:
    """Where a broker listens, to whom, and that nobody may do what no ACL allows; each address is `host:port`.

    Passwords and certificates have a listener each. The brokers themselves, and their controllers, use certificates.
    """
    return {
        "listeners": f"SCRAM://{scram},MTLS://{mtls},CONTROLLER://{controller}",
        "advertised.listeners": f"SCRAM://{scram},MTLS://{mtls}",
        "listener.security.protocol.map": "SCRAM:SASL_SSL,MTLS:SSL,CONTROLLER:SSL",
        "inter.broker.listener.name": "MTLS",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": made.broker,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": made.authority,
        "listener.name.mtls.ssl.client.auth": "required",
        "listener.name.controller.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^CN=([a-z]+)$/$1/,DEFAULT",
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:{BROKER};User:{ADMIN}",
    }


def let_in(settings: Settings, made: Secrets) -> None:
    """Give every component its password and its rights at the broker; `settings` are a super user's.

    Raises StackError: the broker refused; KafkaUnavailable.
    """
    admin = AdminClient(client_options(settings))  # what it promises ends with it
    users: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(
            component,
            ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS),
            made.password(component).encode(),
        )
        for component in EVERYBODY
    ]
    altered = cast("dict[str, Future[None]]", admin.alter_user_scram_credentials(users))  # pyright: ignore[reportUnknownMemberType]
    try:
        for future in altered.values():
            future.result(CALL_TIMEOUT_S)
    except KafkaException as error:
        raise StackError(f"the broker takes no passwords: {error_of(error).str()}") from error
    for component, needed in acls(settings).items():
        grant(settings, f"User:{component}", needed)


def main() -> None:
    """Entry point of the stack's step `access`."""
    configure_logging("access")
    settings = load_settings()
    await_broker(settings)
    let_in(settings, Secrets(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
