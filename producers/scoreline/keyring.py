"""Who calls: the secret of an API key in a request's headers, and the key that it belongs to. Pure."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping

from scoreline.errors import RequestRefused
from scoreline.keys import ApiKey, Scope, hash_secret, public_key_of

_NO_HASH = "0" * 64


def identify(entries: Mapping[bytes, ApiKey], authorization: str | None, api_key: str | None) -> ApiKey:
    """The key that a request shows. Raises RequestRefused 401.

    `entries` are the keys of now by public key, the other two the headers Authorization and X-API-Key.
    """
    public_key, secret_key = credentials(authorization, api_key)
    entry = entries.get((public_key or "").encode("utf-8", "replace"))
    # Compared also where there is no such key, so that the time tells nobody which there are.
    right = hmac.compare_digest(hash_secret(secret_key), _NO_HASH if entry is None else entry.secret_hash)
    if entry is None or not right:
        raise _unauthorized("the API key is not known here, or was revoked")
    return entry


def require_scope(scopes: Iterable[Scope], wanted: Scope) -> None:
    """Raise RequestRefused 403 unless a key with these scopes may do what is wanted."""
    if wanted not in scopes:
        raise RequestRefused(
            403,
            "scope_missing",
            f"this key may {', '.join(sorted(scopes))}, not {wanted}",
            f"Use a key made with: scoreline keys create --scope {wanted}",
        )


def credentials(authorization: str | None, api_key: str | None) -> tuple[str | None, str]:
    """The public key and the secret that a request shows; the public key None where the secret has no such form.

    Raises RequestRefused 401.
    """
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
