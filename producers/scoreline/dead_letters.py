"""What of a rejected record its dead letter carries: key, value and headers byte for byte."""

from __future__ import annotations

from collections.abc import Sequence

from scoreline.rejections import PREFIX
from scoreline.topics import RAW_BYTES_MAX

TRUNCATED_HEADER = PREFIX + "truncated_from"
"""Set only when a record does not fit: `key,value,headers` lengths in bytes of the original."""


Headers = list[tuple[str, str | bytes | None]]
"""As confluent-kafka takes them."""


def carry(
    key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
) -> tuple[bytes | None, bytes | None, Headers]:
    """Key, value and headers of the dead letter of a record.

    Topics bound compressed bytes, so a record can be far larger than their limit once unpacked. Such a bomb must not
    stop its partition: it is cut to what the topic takes, and says so in `TRUNCATED_HEADER`.
    """
    key_bytes, value_bytes = len(key or b""), len(value or b"")
    header_bytes = sum(len(name) + len(content or b"") for name, content in headers)
    if key_bytes + value_bytes + header_bytes <= RAW_BYTES_MAX:
        return key, value, list(headers)
    lengths = f"{key_bytes},{value_bytes},{header_bytes}".encode()
    kept_key = None if key is None else key[: RAW_BYTES_MAX // 4]
    kept_value = None if value is None else value[: RAW_BYTES_MAX // 2]
    kept_headers: Headers = list(headers) if header_bytes <= RAW_BYTES_MAX // 4 else []
    return kept_key, kept_value, [*kept_headers, (TRUNCATED_HEADER, lengths)]
