"""Score configs and their versions: what a topic's records say, and what a change makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from scoreline.changes import Record, Records
from scoreline.configs import VERSION_MAX, Catalog, ScoreConfig, decode_config, encode_config, plan_changes, writes_of
from scoreline.errors import ConflictingChange, MalformedRecord
from scoreline.events import DataType


def config(config_id: str = "acc", **fields: Any) -> ScoreConfig:
    """A numeric config."""
    return ScoreConfig(id=config_id, name="accuracy", data_type=DataType.NUMERIC, **fields)


def records(*configs: ScoreConfig, deleted: tuple[bytes, ...] = ()) -> Records:
    """The topic after these versions were put one after the other."""
    held: dict[bytes, Record] = {}
    for offset, put in enumerate(configs):
        held[put.version_key] = held[put.key] = Record(encode_config(put), offset, 1_700_000_000_000 + offset * 1000)
    return {key: record for key, record in held.items() if key not in deleted}


def catalog(*configs: ScoreConfig, deleted: tuple[bytes, ...] = ()) -> Catalog:
    found = Catalog.of(records(*configs, deleted=deleted))
    assert found.faults == []
    return found


@pytest.mark.parametrize(
    ("stored", "wanted", "version", "action"),
    [
        (None, config(), 1, "created"),
        (None, config(version=7), 7, "created"),
        (config(version=3), config(), 3, "unchanged"),
        (config(version=3), config(version=3), 3, "unchanged"),
        (config(version=3), config(version=1), 3, "unchanged"),
        (config(version=3), config(max=1.0), 4, "updated"),
        (config(version=3), config(version=3, max=1.0), 4, "updated"),
        (config(version=3), config(version=9, max=1.0), 9, "updated"),
        (config(version=3), config(version=9), 9, "updated"),
        (config(version=3), config(archived=True), 4, "archived"),
        (config(version=3, archived=True), config(), 4, "updated"),
    ],
)
def test_version_grows_with_every_change(
    stored: ScoreConfig | None, wanted: ScoreConfig, version: int, action: str
) -> None:
    """By itself where the caller gives none above the stored one; the same again changes nothing."""
    [change] = plan_changes(catalog() if stored is None else catalog(stored), [wanted])
    assert (change.entry.version, change.action) == (version, action)
    assert change.entry.model_copy(update={"version": 1}) == wanted.model_copy(update={"version": 1})


def test_change_based_on_an_older_version_is_refused() -> None:
    """Somebody else was faster: the message says by how much, and how to go on."""
    known = catalog(config(version=1), config(version=2, max=1.0))
    with pytest.raises(ConflictingChange, match=r"based on version 1, but version 2 is stored .*max: 1 → 5"):
        plan_changes(known, [config(version=1, max=5.0)])
    assert plan_changes(known, [config(max=5.0)])[0].entry.version == 3


def test_deleted_config_goes_on_with_the_next_version() -> None:
    """A `config_version` never means two things; and a change based on what was deleted is refused."""
    known = catalog(config(), config(version=2, max=1.0), deleted=(b"default/acc",))
    assert known.configs == {}
    [change] = plan_changes(known, [config()])
    assert (change.entry.version, change.action) == (3, "created")
    with pytest.raises(ConflictingChange, match="it was deleted after version 2"):
        plan_changes(known, [config(version=2, max=2.0)])


def test_pruning_archives_what_is_not_wanted_in_its_projects_only() -> None:
    """Nothing is deleted, and what is archived already is left alone."""
    known = catalog(config("a"), config("b"), config("c", archived=True), config("d", project="other"))
    changes = plan_changes(known, [config("a")], prune={"default"})
    assert [(change.entry.id, change.action) for change in changes] == [("a", "unchanged"), ("b", "archived")]


def test_config_given_twice_is_refused() -> None:
    """Which of the two is meant is anybody's guess."""
    with pytest.raises(MalformedRecord, match="default/acc is given 2 times"):
        plan_changes(catalog(), [config(), config(max=1.0)])


def test_every_version_stays() -> None:
    """An update writes the new version twice: under its own key and as the newest; a deletion keeps all of them."""
    known = catalog(config())
    [update] = plan_changes(known, [config(max=1.0)])
    assert update.changed == {"max": (None, 1.0)}
    writes = writes_of(known, [update])
    assert writes.keys() == {b"default/acc", b"@2/default/acc"}
    assert len(set(writes.values())) == 1
    history = catalog(config(), update.entry, deleted=(b"default/acc",)).versions[b"default/acc"]
    assert [version.config.version for version in history] == [1, 2]
    assert history[0].put_at < history[1].put_at


def test_version_put_by_another_program_is_kept_before_it_is_replaced() -> None:
    """A record under the config's key alone is a version like any other."""
    bare = Catalog.of({b"default/acc": Record(encode_config(config(version=4)), 0, 0)})
    assert [version.config.version for version in bare.versions[b"default/acc"]] == [4]
    writes = writes_of(bare, plan_changes(bare, [config(max=1.0)]))
    assert writes.keys() == {b"@4/default/acc", b"@5/default/acc", b"default/acc"}


def test_unreadable_records_are_faults_and_nothing_else() -> None:
    """Each is told with its offset; the others are read."""
    held = dict(records(config()))
    held |= {b"default/bad": Record(b"{", 7, 0), b"@1/default/x": Record(encode_config(config()), 8, 0)}
    held |= {b"@9/default/acc": Record(b"[]", 9, 0), b"default/y": Record(encode_config(config()), 10, 0)}
    found = Catalog.of(held)
    assert found.configs == {b"default/acc": config()}
    assert [fault.split(",")[0].split(":")[0] for fault in found.faults] == [
        "offset 7",
        "offset 10",
        "offset 8",
        "offset 9",
    ]


def test_keys_of_versions_cannot_be_keys_of_configs() -> None:
    """An id may look like anything; a project cannot begin with @."""
    assert config("@2/default/acc").key == b"default/@2/default/acc"
    assert config("acc", version=2).version_key == b"@2/default/acc"


def test_last_version_is_the_last() -> None:
    """The number has 31 bits in the table."""
    with pytest.raises(MalformedRecord, match="give it another id"):
        plan_changes(catalog(config(version=VERSION_MAX)), [config(max=1.0)])


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (b'{"id":"c","name":"n","data_type":"NUMERIC","minimum":2}', "minimum: not a field of a config; there are id,"),
        (b'{"id":"c","name":"n","data_type":"NUMERIC","min":"2"}', "min: .* found '2'"),
        (b'{"id":"c","name":"n","data_type":"NUMERIC","min":-1.7e308,"max":1.7e308}', "wider than a double can hold"),
        (b'{"id":"c","name":"n","data_type":"NUMERIC","unit":""}', "unit: "),
        (b'{"id":"c","name":"n","data_type":"NUMERIC","owner":"%s"}' % (b"x" * 201), "owner: "),
        (b'{"id":"c","name":"n"}', "data_type: Field required"),
    ],
)
def test_fault_of_a_config_names_field_and_finding(value: bytes, fault: str) -> None:
    """What a person needs to mend it."""
    with pytest.raises(MalformedRecord, match=fault):
        decode_config(value)
