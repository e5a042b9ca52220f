"""Who calls: a key's secret as Basic, Bearer or X-API-Key, and what that key may do."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from fastapi import Request

from scoreline.errors import RequestRefused
from scoreline.keys import ApiKey, Scope, hash_secret, public_key_of
from scoreline_gateway.limits import TokenBucket

_NO_HASH = "0" * 64


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

    def __init__(self, entries: Callable[[], Mapping[bytes, ApiKey]], rate: float | None) -> None:
        """`entries` are the keys of now by public key; `rate` is for those without one of their own."""
        self._entries, self._rate = entries, rate
        self._buckets: dict[str, TokenBucket] = {}

    def caller_of(self, authorization: str | None, api_key: str | None) -> Caller:
        """Who says so in these two headers. Raises RequestRefused: 401, or 429 when the key is used up for now."""
        public_key, secret_key = _credentials(authorization, api_key)
        entry = self._entries().get((public_key or "").encode("utf-8", "replace"))
        right = hmac.compare_digest(hash_secret(secret_key), _NO_HASH if entry is None else entry.secret_hash)
        if entry is None or not right:
            raise _unauthorized("the API key is not known here, or was revoked")
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
            known = self._entries()
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
        ring: KeyRing | None = request.app.state.keys
        if ring is None:
            raise RequestRefused(503, "starting", "the gateway is reading its keys", "Send it again.", 1)
        headers = request.headers
        known = ring.caller_of(headers.get("authorization"), headers.get("x-api-key"))
        if scope not in known.scopes:
            raise RequestRefused(
                403,
                "scope_missing",
                f"this key may {', '.join(sorted(known.scopes))}, not {scope}",
                f"Use a key made with: scoreline keys create --scope {scope}",
            )
        return known

    return caller


def _credentials(authorization: str | None, api_key: str | None) -> tuple[str | None, str]:
    """The public key and the secret that a request shows; the public key None where the secret has no such form."""
    if authorization is None:
        if api_key is None:
            raise _unauthorized("no API key")
        return public_key_of(api_key), api_key
    scheme, _, rest = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return public_key_of(rest.strip()), rest.strip()
        case "basic":
            try:
                public_key, colon, secret_key = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
            except (binascii.Error, ValueError) as error:
                raise _unauthorized("Authorization: Basic needs base64 of public key, colon, secret key") from error
            if not colon:
                raise _unauthorized("Authorization: Basic needs public key, colon, secret key")
            return public_key, secret_key
        case _:
            raise _unauthorized("Authorization takes Basic or Bearer")


def _unauthorized(message: str) -> RequestRefused:
    return RequestRefused(
        401,
        "unauthorized",
        message,
        "Send X-API-Key: <secret>, Authorization: Bearer <secret> or Basic <public>:<secret>; "
        "a key is made with: scoreline keys create",
    )
