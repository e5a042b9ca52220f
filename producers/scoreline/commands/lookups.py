"""`scoreline lookups`: what is known of a service, a model, a judge, joined to every score that carries it."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from cyclopts import App, Parameter

from scoreline.access import Component
from scoreline.commands.changing import Files, connect, print_changes, put_entries, read_entries
from scoreline.commands.documents import write_documents
from scoreline.commands.options import Flag, Json
from scoreline.commands.terminal import print_json, print_table
from scoreline.lookups import Lookup, LookupField, decode_lookup
from scoreline.settings import load_settings
from scoreline.stores import LookupStore

app = App(
    name="lookups",
    help="""Lookups: what is known of a service, a model or a judge, joined to every later score that carries it.

    A lookup of the service `chat` with the attribute `team` gives each score of that service the attribute
    `service.team`. Keep lookups as YAML in git:

        scoreline lookups export > lookups.yaml
        scoreline lookups import lookups.yaml --dry-run
        scoreline lookups import lookups.yaml --prune
    """,
)


def _store() -> LookupStore:
    return LookupStore(connect(Component.LOOKUPS))


@app.command(name=["put", "import"])
def put(files: Files, /, *, dry_run: Flag = False, prune: Flag = False, as_json: Json = False) -> None:
    """Create and change lookups from YAML or JSON files; what is stored already is left alone.

    All of it is stored, or nothing. For example:

        scoreline lookups put lookups.yaml --dry-run

        echo '{field: service, value: chat, attributes: {team: assist}}' |
            scoreline lookups put -

        # name, service, environment, evaluator_name, evaluator_model or author
        field: evaluator_model
        value: gpt-5.2
        attributes:
          vendor: openai
          tier: large

    Parameters
    ----------
    files
        YAML documents, a JSON object or array, or JSON lines; - is stdin. Lookups without a project
        belong to SCORELINE_PROJECT.
    dry_run
        Only say what would be created, updated, deleted and left unchanged.
    prune
        Also delete every other lookup of the projects that the files name.
    as_json
        Print [{"project", "field", "value", "action", "changed": {field: {"before", "after"}}}]; action is created,
        updated, deleted or unchanged.
    """
    lookups = read_entries(files, load_settings().project, decode_lookup)
    put_entries(_store(), lookups, _name, dry_run=dry_run, prune=prune, as_json=as_json)


@app.command(name="list")
def list_lookups(*, project: str | None = None, as_json: Json = False) -> None:
    """Show every lookup.

    For example:

        scoreline lookups list

    Parameters
    ----------
    project
        Only lookups of this project.
    as_json
        Print a JSON array that `scoreline lookups put` takes back.
    """
    lookups = _store().all(project)
    if as_json:
        print_json([lookup.model_dump(mode="json") for lookup in lookups])
        return
    print_table(
        ("project", "field", "value", "attributes"),
        [
            (item.project, item.field, item.value, ", ".join(f"{k}={v}" for k, v in sorted(item.attributes.items())))
            for item in lookups
        ],
    )


@app.command(name="delete")
def delete(
    field: LookupField,
    value: str,
    /,
    *,
    project: Annotated[str | None, Parameter(help="The lookup's project; SCORELINE_PROJECT if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Forget what is known of one value; later scores are joined without it.

    For example:

        scoreline lookups delete service chat

    Parameters
    ----------
    field
        The field of a score.
    value
        The value of that field.
    as_json
        Print as `scoreline lookups put --json`.
    """
    print_changes([_store().delete(field, value, project)], _name, done="", as_json=as_json)


@app.command(name="export")
def export(*, project: str | None = None, as_json: Json = False) -> None:
    """Print lookups as YAML for git: sorted, the same lookups always as the same text.

    For example:

        scoreline lookups export --project team > lookups.yaml

    Parameters
    ----------
    project
        Only lookups of this project.
    as_json
        Print a JSON array of the same.
    """
    documents = [_document(lookup) for lookup in _store().all(project)]
    if as_json:
        print_json(documents)
    else:
        sys.stdout.write(write_documents(documents))


def _document(lookup: Lookup) -> dict[str, Any]:
    return {**_name(lookup), "attributes": dict(sorted(lookup.attributes.items()))}


def _name(lookup: Lookup) -> dict[str, Any]:
    return {"project": lookup.project, "field": lookup.field, "value": lookup.value}
