"""Who may do what: the key ring by itself, and keys that come and go under a running gateway."""

from __future__ import annotations

import base64
import itertools
from datetime import UTC, datetime

import pytest

from scoreline.errors import RequestRefused
from scoreline.keys import NewKey, Scope, new_key
from scoreline.stores import KeyStore
from scoreline_gateway.auth import KeyRing
from tests.running_gateway import SCORE, Gateway, make_key
from tests.support import eventually

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
UNKEYED = itertools.repeat("")
"""Names for parameters that hold a new secret in every process: all processes of one run have to name a test alike."""
KEY, OTHER = (new_key(project, [Scope.WRITE], None, NOW) for project in ("checkout", "other"))


def ring(*keys: NewKey, rate: float | None = None) -> KeyRing:
    entries = {key.entry.key: key.entry for key in keys}
    return KeyRing(lambda: entries, rate)


def basic(public: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{public}:{secret}".encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "api_key"),
    [
        (basic(KEY.entry.public_key, KEY.secret_key), None),
        (f"Bearer {KEY.secret_key}", None),
        (f"bearer  {KEY.secret_key} ", "ignored"),
        (None, KEY.secret_key),
    ],
    ids=UNKEYED,
)
def test_secret_is_taken_in_every_form(authorization: str | None, api_key: str | None) -> None:
    """The project comes from the key."""
    caller = ring(KEY, OTHER).caller_of(authorization, api_key)
    assert (caller.project, caller.key_id, caller.scopes) == ("checkout", KEY.entry.public_key, {Scope.WRITE})


@pytest.mark.parametrize(
    ("authorization", "api_key"),
    [
        (None, None),
        (None, ""),
        (None, "sk-scl-nonsense"),
        (None, KEY.entry.public_key),
        (None, KEY.secret_key[:-1] + ("A" if KEY.secret_key[-1] != "A" else "B")),
        (None, KEY.secret_key[:31] + OTHER.secret_key[31:]),
        (None, KEY.secret_key + "\n"),
        ("Bearer", None),
        ("Bearer ", KEY.secret_key),
        ("Digest x", None),
        ("Basic !", None),
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(), None),
        ("Basic " + base64.b64encode(b"no colon").decode(), None),
        (basic(OTHER.entry.public_key, KEY.secret_key), None),
        (basic(KEY.entry.public_key, OTHER.secret_key), None),
        (basic("", KEY.secret_key), None),
    ],
    ids=UNKEYED,
)
def test_everything_else_is_401(authorization: str | None, api_key: str | None) -> None:
    """Wrong, cut, mixed, malformed: one answer with what to send."""
    with pytest.raises(RequestRefused) as raised:
        ring(KEY, OTHER).caller_of(authorization, api_key)
    assert raised.value.status == 401
    assert "X-API-Key" in (raised.value.remedy or "")


def test_rate_is_of_each_key_and_a_bulk_is_paid_for_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second's worth at once; a request of any size passes, and the next ones wait until it is paid."""
    now = 100.0
    monkeypatch.setattr("scoreline_gateway.limits.time.monotonic", lambda: now)
    own = new_key("checkout", [Scope.WRITE], 50, NOW)
    keys = ring(KEY, own, rate=10)
    for _ in range(10):
        keys.caller_of(None, KEY.secret_key)
    with pytest.raises(RequestRefused) as raised:
        keys.caller_of(None, KEY.secret_key)
    assert (raised.value.status, raised.value.retry_after_s) == (429, 1)
    keys.caller_of(None, own.secret_key).spend(199)
    with pytest.raises(RequestRefused) as raised:
        keys.caller_of(None, own.secret_key)
    assert raised.value.retry_after_s == 4
    now += 4
    keys.caller_of(None, own.secret_key)


def test_key_works_when_it_is_made_and_not_when_it_is_revoked(gateway: Gateway) -> None:
    """Under a running gateway, within seconds; a key without the scope is told which one is needed."""
    made = make_key(gateway.settings, Scope.WRITE)
    eventually(lambda: gateway.post(SCORE, x_api_key=made.secret_key).status_code == 202, "the key is known")
    KeyStore(gateway.settings).revoke(made.entry.public_key)
    eventually(lambda: gateway.post(SCORE, x_api_key=made.secret_key).status_code == 401, "the key is revoked")
    reader = make_key(gateway.settings, Scope.READ)
    eventually(lambda: gateway.post(SCORE, x_api_key=reader.secret_key).status_code == 403, "the key is known")
    refused = gateway.post(SCORE, x_api_key=reader.secret_key)
    assert refused.json()["error"]["code"] == "scope_missing"
    assert "--scope write" in refused.json()["error"]["remedy"]
    unknown = gateway.post(SCORE, x_api_key="nobody")
    assert unknown.status_code == 401
    assert unknown.headers["www-authenticate"].startswith("Bearer")
    limited = make_key(gateway.settings, Scope.WRITE, rate=1)
    answers = [gateway.post([SCORE] * 3, x_api_key=limited.secret_key)]
    eventually(
        lambda: (
            answers.append(gateway.post([SCORE] * 3, x_api_key=limited.secret_key)) or answers[-1].status_code == 429
        ),
        "the rate is used up",
    )
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 3
