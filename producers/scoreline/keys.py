"""API keys of the gateway: what a key may do, how its secret is stored, and the pair that a person gets once. Pure.

The secret holds 256 random bits, so its SHA-256 tells nothing that could be tried out: a slow password hash would only
slow the gateway down. The secret names its public key, so that it alone finds its record.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from scoreline.changes import Records, Writes, decode_entries, decode_model, newest
from scoreline.errors import QueryError
from scoreline.events import Project, Timestamp

_ID_BYTES, _SECRET_BYTES = 12, 32
_PUBLIC, _SECRET = "pk-scl-", "sk-scl-"
_SECRET_KEY = re.compile(rf"{_SECRET}([0-9a-f]{{{_ID_BYTES * 2}}})-[A-Za-z0-9_-]{{43}}")


class Scope(StrEnum):
    """What a key may do."""

    WRITE = "write"
    """Send scores."""
    READ = "read"
    """Read scores back."""
    CONFIGS = "configs"
    """Read and change score configs."""


class ApiKey(BaseModel):
    """One key as `scores.keys` holds it; the secret is not in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    public_key: str = Field(pattern=rf"^{_PUBLIC}[0-9a-f]{{{_ID_BYTES * 2}}}$")
    """Names the key; no secret."""
    project: Project
    """Whose scores it sends: the project of every score that comes with it."""
    secret_hash: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    """SHA-256 of the secret key."""
    scopes: tuple[Scope, ...] = Field(min_length=1, max_length=len(Scope))
    """What it may do."""
    rate: float | None = Field(None, gt=0, le=1_000_000_000)
    """Scores a second that the gateway takes with it; null: as SCORELINE_GATEWAY_RATE says."""
    created_at: Timestamp
    """When it was made."""

    @property
    def key(self) -> bytes:
        """Key of its record on `scores.keys`."""
        return self.public_key.encode()


class NewKey(NamedTuple):
    """A key and its secret, which nobody can show again."""

    entry: ApiKey
    secret_key: str


def new_key(project: str, scopes: Iterable[Scope], rate: float | None, created_at: datetime) -> NewKey:
    """A key of `project` with a secret out of the system's random numbers.

    Raises pydantic's ValidationError when the project, the scopes or the rate are none.
    """
    name = secrets.token_hex(_ID_BYTES)
    secret_key = f"{_SECRET}{name}-{secrets.token_urlsafe(_SECRET_BYTES)}"
    entry = ApiKey.model_validate(
        {
            "public_key": _PUBLIC + name,
            "project": project,
            "secret_hash": hash_secret(secret_key),
            "scopes": tuple(sorted(set(scopes))),
            "rate": rate,
            "created_at": created_at.isoformat(),
        }
    )
    return NewKey(entry, secret_key)


def hash_secret(secret_key: str) -> str:
    """What is stored of a secret, and compared."""
    return hashlib.sha256(secret_key.encode("utf-8", "surrogatepass")).hexdigest()


def public_key_of(secret_key: str) -> str | None:
    """The public key that belongs to a secret by its form; None when it has not the form of a secret."""
    match = _SECRET_KEY.fullmatch(secret_key)
    return None if match is None else _PUBLIC + match[1]


def encode_key(entry: ApiKey) -> bytes:
    """The value of its record on `scores.keys`: JSON, UTF-8."""
    return entry.model_dump_json().encode()


def decode_key(value: bytes) -> ApiKey:
    """The key in a record's value. Raises MalformedRecord."""
    return decode_model(ApiKey, value, "key")


def read_keys(records: Records) -> tuple[dict[bytes, ApiKey], list[str]]:
    """The keys among `records` by record key, and what is wrong with each record that holds none."""
    return decode_entries(newest(records), decode_key)


def writes_of_revocation(keys: dict[bytes, ApiKey], public_key: str) -> tuple[Writes, ApiKey]:
    """The record that revokes a key, and the key as it was. Raises QueryError when there is none."""
    entry = keys.get(public_key.encode())
    if entry is None:
        raise QueryError(f"no key {public_key}; scoreline keys list shows those that there are")
    return {entry.key: None}, entry
