"""`scoreline acls`: what each component may do in Kafka, shown or granted."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from scoreline.access import Acl, Component, acls
from scoreline.commands.broker import reach_broker
from scoreline.commands.options import Flag, Json
from scoreline.commands.terminal import print_json, print_table, refuse
from scoreline.granting import grant
from scoreline.settings import load_settings

Name = Annotated[str, Parameter(allow_leading_hyphen=False)]


def show_acls(
    component: Component | None = None,
    /,
    *,
    principal: Name | None = None,
    group: Annotated[list[Name] | None, Parameter(negative="")] = None,
    apply: Flag = False,
    as_json: Json = False,
) -> None:
    """Show what each component needs of Kafka, which is all that its user should be allowed; or grant it.

    The names are those of SCORELINE_TOPIC_PREFIX. Showing asks no broker. Granting needs a super user of the cluster
    (SCORELINE_KAFKA_USER or SCORELINE_KAFKA_CERTIFICATE), is safe to repeat, and takes nothing away. For example:

        scoreline acls
        scoreline acls worker --principal User:worker --apply
        scoreline acls consumer --group nightly-report --principal User:reports --apply

    Parameters
    ----------
    component
        Only this one.
    principal
        Who is to have the rights, as Kafka writes it: User:worker, or User:CN=worker for a certificate.
    group
        A consumer group of `consumer`, without the prefix; can be given several times.
    apply
        Grant the component's rights to the principal.
    as_json
        Print [{"component", "resource", "name", "pattern", "operation"}]; of --apply, what was granted.
    """
    settings = load_settings()
    wanted = acls(settings, group or ())
    chosen = [component] if component else list(Component)
    if not apply:
        _show([(each, acl) for each in chosen for acl in wanted[each]], as_json)
        return
    if component is None or principal is None:
        refuse(
            "--apply wants a component and its --principal, as: scoreline acls worker --principal User:worker --apply"
        )
    if not principal.startswith("User:"):
        refuse(f"--principal {principal}: Kafka wants the kind of principal too, as User:{principal}")
    reach_broker(settings)
    granted = grant(settings, principal, wanted[component])
    _show([(component, acl) for acl in granted], as_json)
    if not as_json:
        had = len(wanted[component]) - len(granted)
        print_table(("principal", "granted", "had"), [(principal, str(len(granted)), str(had))])


def _show(rows: list[tuple[Component, Acl]], as_json: bool) -> None:
    if as_json:
        print_json([{"component": component, **asdict(acl)} for component, acl in rows])
    elif rows:
        print_table(
            ("component", "resource", "name", "pattern", "operation"),
            [(component, acl.resource, acl.name, acl.pattern, acl.operation) for component, acl in rows],
        )
