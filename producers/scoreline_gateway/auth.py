"""Who calls the gateway, what the key may do, and how much of its rate is used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from fastapi import Request

from scoreline.errors import RequestRefused
from scoreline.keyring import identify, require_scope
from scoreline.keys import ApiKey, Scope
from scoreline_gateway.limits import TokenBucket


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request."""

    project: str
    """The project of everything the request says."""
    key_id: str
    """The public key."""
    scopes: frozenset[Scope]
    _bucket: TokenBucket | None = field(default=None, repr=False, compare=False)

    def spend(self, scores: int) -> None:
        """Count `scores` against the key's rate, beyond the one that `authorize` has counted for the request."""
        if self._bucket is not None:
            self._bucket.spend(scores)


class KeyRing:
    """The keys that the gateway knows, and how much of its rate each has used. For one event loop."""

    def __init__(self, entries: Callable[[], Mapping[bytes, ApiKey] | None], rate: float | None) -> None:
        """`entries` are the keys of now by public key, None until they are known; `rate` is for those without one of
        their own."""
        self._entries, self._rate = entries, rate
        self._buckets: dict[str, TokenBucket] = {}

    def caller_of(self, authorization: str | None, api_key: str | None) -> Caller:
        """Who says so in these two headers. Raises RequestRefused: 401, 429 when the key is used up for now, 503 while
        the keys are not known."""
        entries = self._entries()
        if entries is None:
            raise RequestRefused(503, "starting", "the gateway is reading its keys", "Send it again.", 1)
        entry = identify(entries, authorization, api_key)
        bucket = self._bucket_of(entry)
        if bucket is not None:
            wait_s = bucket.wait_s()
            if wait_s:
                raise RequestRefused(
                    429,
                    "rate_limited",
                    f"this key sends more than {bucket.rate:g} scores a second",
                    "Send it again after Retry-After.",
                    wait_s,
                )
            bucket.spend(1)
        return Caller(entry.project, entry.public_key, frozenset(entry.scopes), bucket)

    def _bucket_of(self, entry: ApiKey) -> TokenBucket | None:
        rate = entry.rate or self._rate
        if rate is None:
            return None
        bucket = self._buckets.get(entry.public_key)
        if bucket is None or bucket.rate != rate:
            known = self._entries() or {}
            if len(self._buckets) > 2 * len(known):
                self._buckets = {name: kept for name, kept in self._buckets.items() if name.encode() in known}
            bucket = self._buckets[entry.public_key] = TokenBucket(rate)
        return bucket


def authorize(scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency that gives the `Caller`, when its key has `scope`.

    It raises RequestRefused: 401 without a known key, 403 without the scope, 429 beyond the key's rate, 503 while the
    gateway does not know its keys yet.
    """

    async def caller(request: Request) -> Caller:
        ring: KeyRing = request.app.state.ring
        headers = request.headers
        known = ring.caller_of(headers.get("authorization"), headers.get("x-api-key"))
        require_scope(known.scopes, scope)
        return known

    return caller
