"""`scoreline keys`: API keys of the gateway."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter
from pydantic import ValidationError

from scoreline.access import Component
from scoreline.commands.changing import connect
from scoreline.commands.options import Json
from scoreline.commands.terminal import print_json, print_table, refuse
from scoreline.keys import NewKey, Scope, new_key
from scoreline.settings import load_settings
from scoreline.stores import KeyStore

app = App(
    name="keys",
    help="""API keys of the gateway: who may send scores over HTTP, and to which project.

    A key belongs to one project; the gateway takes the project of every score from it. The secret is shown once, when
    the key is made: only a hash of it is kept.

        scoreline keys create --project checkout --scope write
        curl -H "Authorization: Bearer sk-scl-…" -d '{"name": "accuracy", "value": 0.9, "trace_id": "t-1"}' \\
            http://localhost:8080/v1/scores
    """,
)


@app.command
def create(
    *,
    project: str | None = None,
    scope: Annotated[list[Scope] | None, Parameter(negative="")] = None,
    rate: float | None = None,
    as_json: Json = False,
) -> None:
    """Make a key and show its secret, this once.

    A running gateway takes it within a second. For example:

        scoreline keys create --project checkout --scope write --scope read --rate 500

    Parameters
    ----------
    project
        Whose scores come with this key; SCORELINE_PROJECT if not given.
    scope
        What it may do: write (send scores), read, configs (read and change score configs). Give it more than once
        for more than one; write if not given.
    rate
        Scores a second that the gateway takes with it; as SCORELINE_GATEWAY_RATE says if not given.
    as_json
        Print {"project", "public_key", "secret_key"}.
    """
    made = _make(project or load_settings().project, scope or [Scope.WRITE], rate)
    KeyStore(connect(Component.KEYS)).add(made.entry)
    shown = {"project": made.entry.project, "public_key": made.entry.public_key, "secret_key": made.secret_key}
    if as_json:
        print_json(shown)
        return
    sys.stdout.writelines(f"{name:<10}  {text}\n" for name, text in shown.items())
    sys.stdout.write("The secret is not shown again. It alone does as X-API-Key or Bearer token.\n")


@app.command(name="list")
def list_keys(*, project: str | None = None, as_json: Json = False) -> None:
    """Show every key that is not revoked; no secrets.

    Parameters
    ----------
    project
        Only keys of this project.
    as_json
        Print a JSON array of {"project", "public_key", "scopes", "rate", "created_at"}.
    """
    keys = KeyStore(connect(Component.KEYS)).all(project)
    if as_json:
        print_json([entry.model_dump(mode="json", exclude={"secret_hash"}) for entry in keys])
        return
    print_table(
        ("project", "public key", "scopes", "rate", "created"),
        [
            (
                entry.project,
                entry.public_key,
                ", ".join(entry.scopes),
                "" if entry.rate is None else f"{entry.rate:g}/s",
                entry.created_at.isoformat(timespec="seconds"),
            )
            for entry in keys
        ],
        frozenset({"rate"}),
    )


@app.command
def revoke(public_key: str, /, *, as_json: Json = False) -> None:
    """Let a key do nothing any more; running gateways refuse it within a second. It cannot be undone.

    For example:

        scoreline keys revoke pk-scl-0123456789abcdef01234567

    Parameters
    ----------
    public_key
        Of the key, as `scoreline keys list` shows it.
    as_json
        Print {"project", "public_key"}.
    """
    entry = KeyStore(connect(Component.KEYS)).revoke(public_key)
    if as_json:
        print_json({"project": entry.project, "public_key": entry.public_key})
        return
    sys.stdout.write(f"{entry.public_key} of project {entry.project} revoked\n")


def _make(project: str, scopes: list[Scope], rate: float | None) -> NewKey:
    try:
        return new_key(project, scopes, rate, datetime.now(UTC))
    except ValidationError as error:
        first = error.errors()[0]
        refuse(f"--{first['loc'][0]}: {first['msg']}, found {first['input']!r}")
