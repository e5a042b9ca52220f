"""API keys: what is stored of them, and what is not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from scoreline.changes import Record
from scoreline.errors import MalformedRecord, QueryError
from scoreline.keys import (
    Scope,
    decode_key,
    encode_key,
    hash_secret,
    new_key,
    public_key_of,
    read_keys,
    writes_of_revocation,
)

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)


def test_secret_is_random_and_only_its_hash_is_stored() -> None:
    """256 bits behind a name that finds the record; two keys share nothing."""
    made, other = (new_key("checkout", [Scope.WRITE, Scope.READ, Scope.WRITE], 5, NOW) for _ in range(2))
    stored = encode_key(made.entry)
    random = made.secret_key.split("-", 3)[3]
    assert len(random) == 43
    assert random.encode() not in stored
    assert hash_secret(made.secret_key).encode() in stored
    assert decode_key(stored) == made.entry
    assert made.entry.scopes == (Scope.READ, Scope.WRITE)
    assert public_key_of(made.secret_key) == made.entry.public_key
    assert made.entry.public_key != other.entry.public_key
    assert made.secret_key[-43:] != other.secret_key[-43:]
    assert hash_secret(made.secret_key) not in repr(made.entry)


@pytest.mark.parametrize("text", ["", "sk-scl-", "pk-scl-" + "0" * 24, "sk-scl-" + "0" * 24 + "-short", "\ud800"])
def test_text_without_the_form_of_a_secret_names_no_key(text: str) -> None:
    """And hashing it does not raise."""
    assert public_key_of(text) is None
    assert len(hash_secret(text)) == 64


@pytest.mark.parametrize(("project", "scopes", "rate"), [("Ä", ["write"], 1), ("a", [], 1), ("a", ["write"], 0)])
def test_key_without_project_scope_or_rate_is_not_made(project: str, scopes: list[Scope], rate: float) -> None:
    """What the gateway could not use."""
    with pytest.raises(ValidationError):
        new_key(project, [Scope(scope) for scope in scopes], rate, NOW)


def test_revoking_takes_the_record_away() -> None:
    """A tombstone under the key's own name; one that is not there is named."""
    made = new_key("checkout", [Scope.WRITE], None, NOW)
    keys, faults = read_keys({made.entry.key: Record(encode_key(made.entry), 0, 0), b"pk-x": Record(b"{", 1, 0)})
    assert list(keys) == [made.entry.key]
    assert len(faults) == 1
    assert writes_of_revocation(keys, made.entry.public_key) == ({made.entry.key: None}, made.entry)
    with pytest.raises(QueryError, match="no key pk-y"):
        writes_of_revocation(keys, "pk-y")
    with pytest.raises(MalformedRecord):
        decode_key(b"{}")
