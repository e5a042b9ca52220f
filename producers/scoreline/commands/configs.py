"""`scoreline configs`: what a team declares about a score name, kept with all its versions."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.types import PositiveInt

from scoreline.access import Component
from scoreline.changes import describe, differences
from scoreline.commands.changing import Files, connect, content, print_changes, put_entries, read_entries
from scoreline.commands.documents import write_documents
from scoreline.commands.options import Flag, Json
from scoreline.commands.terminal import print_json, print_table
from scoreline.configs import ConfigVersion, ScoreConfig, decode_config
from scoreline.errors import QueryError
from scoreline.settings import load_settings
from scoreline.stores import ConfigStore
from scoreline.topics import record_key

app = App(
    name="configs",
    help="""Score configs: what a team declares about a score name (range, categories, whether lower is better).

    A score that names a config by its config_id must fit it, and gets `normalized` and `config_version` from it. A
    changed config affects later scores only; every version is kept. Keep configs as YAML in git:

        scoreline configs export > configs.yaml
        scoreline configs import configs.yaml --dry-run
        scoreline configs import configs.yaml --prune
    """,
)

ProjectOption = Annotated[str | None, Parameter(help="The config's project; SCORELINE_PROJECT if not given.")]


def _store() -> ConfigStore:
    return ConfigStore(connect(Component.CONFIGS))


@app.command(name=["put", "import"])
def put(files: Files, /, *, dry_run: Flag = False, prune: Flag = False, as_json: Json = False) -> None:
    """Create and change score configs from YAML or JSON files; what is stored already is left alone.

    All of it is stored, or nothing. A changed config gets the next version by itself. One that names a version is
    based on that version, and is refused when a newer one is stored. For example:

        scoreline configs put configs.yaml --dry-run

        echo '{id: acc, name: accuracy, data_type: NUMERIC, min: 0, max: 1}' |
            scoreline configs put -

        id: tone
        name: tone
        data_type: CATEGORICAL            # or NUMERIC, BOOLEAN
        categories: {rude: 0, kind: 1}    # label: number
        lower_is_better: false
        unit: points
        owner: team-support
        description: How the answer sounds.

    Parameters
    ----------
    files
        YAML documents, a JSON object or array, or JSON lines; - is stdin. Configs without a project
        belong to SCORELINE_PROJECT.
    dry_run
        Only say what would be created, updated, archived and left unchanged.
    prune
        Also archive every other config of the projects that the files name.
    as_json
        Print [{"project", "id", "version", "action", "changed": {field: {"before", "after"}}}]; action is created,
        updated, archived or unchanged.
    """
    configs = read_entries(files, load_settings().project, decode_config)
    put_entries(_store(), configs, _name, dry_run=dry_run, prune=prune, as_json=as_json)


@app.command(name="list")
def list_configs(*, project: str | None = None, as_json: Json = False) -> None:
    """Show every score config.

    For example:

        scoreline configs list --project team

    Parameters
    ----------
    project
        Only configs of this project.
    as_json
        Print a JSON array that `scoreline configs put` takes back.
    """
    configs = _store().all(project)
    if as_json:
        print_json([config.model_dump(mode="json", exclude_none=True) for config in configs])
        return
    print_table(_COLUMNS, [_cells(config) for config in configs], right=frozenset({"version"}))


@app.command(name="show")
def show(
    config_id: str,
    /,
    *,
    project: ProjectOption = None,
    version: Annotated[PositiveInt | None, Parameter(name="--config-version")] = None,
    as_json: Json = False,
) -> None:
    """Show one score config as YAML, as it is or as it was.

    For example, what a stored score was judged by:

        scoreline configs show acc --config-version 2

    Parameters
    ----------
    config_id
        The config's id.
    version
        This version, the `config_version` of a stored score; without it the newest.
    as_json
        Print one JSON object.
    """
    known = _versions(config_id, project)
    chosen = known[-1] if version is None else next((v for v in known if v.config.version == version), None)
    if chosen is None:
        versions = ", ".join(str(v.config.version) for v in known)
        raise QueryError(f"config {config_id!r} has no version {version}; there are {versions}")
    if as_json:
        print_json(chosen.config.model_dump(mode="json", exclude_none=True))
    else:
        sys.stdout.write(write_documents([_document(chosen.config) | {"version": chosen.config.version}]))


@app.command(name="history")
def history(config_id: str, /, *, project: ProjectOption = None, as_json: Json = False) -> None:
    """Show every version of a score config, newest first, and what changed in each; also of a deleted one.

    For example:

        scoreline configs history acc

    Parameters
    ----------
    config_id
        The config's id.
    as_json
        Print [{"version", "put_at", "changed": {field: {"before", "after"}}, "config"}], newest first.
    """
    known = _versions(config_id, project)
    rows = [(version, _changed(before, version)) for before, version in zip((None, *known), known, strict=False)][::-1]
    if as_json:
        print_json(
            [
                {
                    "version": version.config.version,
                    "put_at": version.put_at.isoformat(),
                    "changed": {field: {"before": old, "after": new} for field, (old, new) in changed.items()},
                    "config": version.config.model_dump(mode="json", exclude_none=True),
                }
                for version, changed in rows
            ]
        )
        return
    print_table(
        ("version", "put at (UTC)", "changed"),
        [(str(v.config.version), _utc(v.put_at), describe(changed) or _same(v, known)) for v, changed in rows],
        right=frozenset({"version"}),
    )


@app.command(name="archive")
def archive(config_id: str, /, *, project: ProjectOption = None, as_json: Json = False) -> None:
    """Let a score config take no more scores; those that name it are rejected as config_mismatch.

    For example:

        scoreline configs archive acc

    Parameters
    ----------
    config_id
        The config's id.
    as_json
        Print as `scoreline configs put --json`.
    """
    print_changes([_store().archive(config_id, project)], _name, done="", as_json=as_json)


@app.command(name="unarchive")
def unarchive(config_id: str, /, *, project: ProjectOption = None, as_json: Json = False) -> None:
    """Let an archived score config take scores again.

    For example:

        scoreline configs unarchive acc

    Parameters
    ----------
    config_id
        The config's id.
    as_json
        Print as `scoreline configs put --json`.
    """
    print_changes([_store().unarchive(config_id, project)], _name, done="", as_json=as_json)


@app.command(name="delete")
def delete(config_id: str, /, *, project: ProjectOption = None, as_json: Json = False) -> None:
    """Forget a score config; scores that name it are rejected as unknown_config. `archive` is the gentler way.

    Its versions stay: `history` and `show` still explain stored scores, and a config put again under this id goes on
    with the next version. For example:

        scoreline configs delete acc

    Parameters
    ----------
    config_id
        The config's id.
    as_json
        Print as `scoreline configs put --json`; action is deleted.
    """
    print_changes([_store().delete(config_id, project)], _name, done="", as_json=as_json)


@app.command(name="export")
def export(*, project: str | None = None, versions: Flag = False, as_json: Json = False) -> None:
    """Print score configs as YAML for git: sorted, without defaults, the same configs always as the same text.

    For example:

        scoreline configs export --project team > configs.yaml

    Parameters
    ----------
    project
        Only configs of this project.
    versions
        Write each config's version too: `import` then refuses to replace a newer one, and a new cluster gets the
        same numbers. Without it the file is the truth, whatever is stored.
    as_json
        Print a JSON array of the same.
    """
    configs = _store().all(project)
    documents = [_document(config) | ({"version": config.version} if versions else {}) for config in configs]
    if as_json:
        print_json(documents)
    else:
        sys.stdout.write(write_documents(documents))


def _versions(config_id: str, project: str | None) -> Sequence[ConfigVersion]:
    settings = connect(Component.CONFIGS)
    catalog = ConfigStore(settings).catalog()
    key = record_key(project or settings.project, config_id)
    known = catalog.versions.get(key, ())
    if not known:
        where = project or settings.project
        raise QueryError(f"there never was a config {config_id!r} in project {where}; see: scoreline configs list")
    if key not in catalog.configs:
        sys.stderr.write(f"{key.decode()} is deleted; its versions are kept\n")
    return known


def _changed(before: ConfigVersion | None, after: ConfigVersion) -> dict[str, tuple[Any, Any]]:
    return {} if before is None else differences(before.config, after.config, frozenset({"version"}))


def _same(version: ConfigVersion, known: Sequence[ConfigVersion]) -> str:
    return "created" if version is known[0] else "put again"


def _document(config: ScoreConfig) -> dict[str, Any]:
    return {"id": config.id, "project": config.project, **content(config, frozenset({"id", "project", "version"}))}


def _name(config: ScoreConfig) -> dict[str, Any]:
    return {"project": config.project, "id": config.id, "version": config.version}


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


_COLUMNS = ("project", "id", "version", "name", "data_type", "range", "owner", "notes")


def _cells(config: ScoreConfig) -> Sequence[str]:
    return (
        config.project,
        config.id,
        str(config.version),
        config.name,
        config.data_type.value,
        f"{_range(config)} {config.unit or ''}".strip(),
        config.owner or "",
        ", ".join(_notes(config)),
    )


def _notes(config: ScoreConfig) -> Iterator[str]:
    if config.lower_is_better:
        yield "lower is better"
    if config.archived:
        yield "archived"


def _range(config: ScoreConfig) -> str:
    if config.categories is not None:
        return ", ".join(
            label if number is None else f"{label}={number:.15g}" for label, number in config.categories.items()
        )
    if config.min is None and config.max is None:
        return ""
    low = "" if config.min is None else f"{config.min:.15g}"
    high = "" if config.max is None else f"{config.max:.15g}"
    return f"{low}..{high}"
