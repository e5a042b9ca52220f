"""What each of ClickHouse's error codes means for the sink.

The HTTP status does not say: a row of the wrong type is answered with 400, an unknown enum value with 500. The code
does. A code that is not in the table is waited out: better a sink that says what it waits for than a dropped row.
"""

from __future__ import annotations

import re
from enum import Enum

from clickhouse_connect.driver.exceptions import Error as DriverError

from scoreline.errors import (
    ClickHouseUnavailable,
    MalformedRecord,
    SchemaError,
    ScorelineError,
    SettingsError,
)
from scoreline.security import fault_of_tls


class Verdict(Enum):
    """What to do about an error."""

    WAIT = "the same insert can succeed later"
    ROW = "one row of the insert is refused, and always will be"
    SCHEMA = "the tables are not those of this release"
    ACCESS = "the settings name a user or a server that cannot do this"


CODES: dict[int, tuple[str, Verdict]] = {
    6: ("CANNOT_PARSE_TEXT", Verdict.ROW),
    25: ("CANNOT_PARSE_ESCAPE_SEQUENCE", Verdict.ROW),
    26: ("CANNOT_PARSE_QUOTED_STRING", Verdict.ROW),
    27: ("CANNOT_PARSE_INPUT_ASSERTION_FAILED", Verdict.ROW),
    32: ("ATTEMPT_TO_READ_AFTER_EOF", Verdict.ROW),
    33: ("CANNOT_READ_ALL_DATA", Verdict.ROW),
    38: ("CANNOT_PARSE_DATE", Verdict.ROW),
    41: ("CANNOT_PARSE_DATETIME", Verdict.ROW),
    53: ("TYPE_MISMATCH", Verdict.ROW),
    69: ("ARGUMENT_OUT_OF_BOUND", Verdict.ROW),
    70: ("CANNOT_CONVERT_TYPE", Verdict.ROW),
    72: ("CANNOT_PARSE_NUMBER", Verdict.ROW),
    117: ("INCORRECT_DATA", Verdict.ROW),
    128: ("TOO_LARGE_ARRAY_SIZE", Verdict.ROW),
    130: ("CANNOT_READ_ARRAY_FROM_TEXT", Verdict.ROW),
    131: ("TOO_LARGE_STRING_SIZE", Verdict.ROW),
    306: ("TOO_DEEP_RECURSION", Verdict.ROW),
    321: ("VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE", Verdict.ROW),
    349: ("CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN", Verdict.ROW),
    376: ("CANNOT_PARSE_UUID", Verdict.ROW),
    407: ("DECIMAL_OVERFLOW", Verdict.ROW),
    441: ("CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING", Verdict.ROW),
    467: ("CANNOT_PARSE_BOOL", Verdict.ROW),
    469: ("VIOLATED_CONSTRAINT", Verdict.ROW),
    563: ("CANNOT_READ_MAP_FROM_TEXT", Verdict.ROW),
    632: ("UNEXPECTED_DATA_AFTER_PARSED_VALUE", Verdict.ROW),
    675: ("CANNOT_PARSE_IPV4", Verdict.ROW),
    676: ("CANNOT_PARSE_IPV6", Verdict.ROW),
    691: ("UNKNOWN_ELEMENT_OF_ENUM", Verdict.ROW),
    16: ("NO_SUCH_COLUMN_IN_TABLE", Verdict.SCHEMA),
    47: ("UNKNOWN_IDENTIFIER", Verdict.SCHEMA),
    60: ("UNKNOWN_TABLE", Verdict.SCHEMA),
    81: ("UNKNOWN_DATABASE", Verdict.SCHEMA),
    115: ("UNKNOWN_SETTING", Verdict.ACCESS),
    192: ("UNKNOWN_USER", Verdict.ACCESS),
    193: ("WRONG_PASSWORD", Verdict.ACCESS),
    194: ("REQUIRED_PASSWORD", Verdict.ACCESS),
    195: ("IP_ADDRESS_NOT_ALLOWED", Verdict.ACCESS),
    497: ("ACCESS_DENIED", Verdict.ACCESS),
    516: ("AUTHENTICATION_FAILED", Verdict.ACCESS),
    74: ("CANNOT_READ_FROM_FILE_DESCRIPTOR", Verdict.WAIT),
    75: ("CANNOT_WRITE_TO_FILE_DESCRIPTOR", Verdict.WAIT),
    76: ("CANNOT_OPEN_FILE", Verdict.WAIT),
    159: ("TIMEOUT_EXCEEDED", Verdict.WAIT),
    160: ("TOO_SLOW", Verdict.WAIT),
    164: ("READONLY", Verdict.WAIT),
    173: ("CANNOT_ALLOCATE_MEMORY", Verdict.WAIT),
    201: ("QUOTA_EXCEEDED", Verdict.WAIT),
    202: ("TOO_MANY_SIMULTANEOUS_QUERIES", Verdict.WAIT),
    203: ("NO_FREE_CONNECTION", Verdict.WAIT),
    209: ("SOCKET_TIMEOUT", Verdict.WAIT),
    210: ("NETWORK_ERROR", Verdict.WAIT),
    216: ("QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING", Verdict.WAIT),
    225: ("NO_ZOOKEEPER", Verdict.WAIT),
    236: ("ABORTED", Verdict.WAIT),
    241: ("MEMORY_LIMIT_EXCEEDED", Verdict.WAIT),
    242: ("TABLE_IS_READ_ONLY", Verdict.WAIT),
    243: ("NOT_ENOUGH_SPACE", Verdict.WAIT),
    246: ("CORRUPTED_DATA", Verdict.WAIT),
    252: ("TOO_MANY_PARTS", Verdict.WAIT),
    285: ("TOO_FEW_LIVE_REPLICAS", Verdict.WAIT),
    319: ("UNKNOWN_STATUS_OF_INSERT", Verdict.WAIT),
    394: ("QUERY_WAS_CANCELLED", Verdict.WAIT),
    425: ("SYSTEM_ERROR", Verdict.WAIT),
    473: ("DEADLOCK_AVOIDED", Verdict.WAIT),
    999: ("KEEPER_EXCEPTION", Verdict.WAIT),
    1000: ("POCO_EXCEPTION", Verdict.WAIT),
    1001: ("STD_EXCEPTION", Verdict.WAIT),
}
"""Code → ClickHouse's name for it, and what the sink does."""

VIOLATED_CONSTRAINT = 469
ONE_ROW_PER_RECORD = "one_row_per_record"
"""The constraint of `scores` that a second JSON object in one record violates."""
_AT_ROW = re.compile(r"\(at row (\d+)\)")
_VIOLATED_AT_ROW = re.compile(r"is violated at row (\d+)\.")
_FIELD = re.compile(r"while reading the value of key (\w+)\)")
_STATUS = re.compile(r"HTTP status \d+")
_CONSTRAINT = re.compile(r"Constraint `(\w+)`")


class RefusedRow(MalformedRecord):
    """ClickHouse refuses one row of an insert, and with it all the others."""

    def __init__(self, reason: str, row: int | None = None) -> None:
        super().__init__(reason)
        self.row = row
        """Its place in the body, from 1; None: the server did not say."""


def translate(error: Exception, server: str) -> ScorelineError:
    """What the driver raised, in our words; `server` is host and port.

    The server's own text is not carried on: it quotes the payload of neighbouring rows.
    """
    code = error.code if isinstance(error, DriverError) else None
    if code is None:
        if (fault := fault_of_tls(error)) is not None:
            return SettingsError(f"ClickHouse at {server}: {fault}")
        return ClickHouseUnavailable(f"ClickHouse at {server} (SCORELINE_CLICKHOUSE_HOST): {_transport(error)}")
    known, verdict = CODES.get(code, ("", Verdict.WAIT))
    name = f"{known or getattr(error, 'name', None) or 'error'} (code {code})"
    if verdict is Verdict.ROW:
        return _refused(name, code, str(error))
    if verdict is Verdict.SCHEMA:
        return SchemaError(f"ClickHouse at {server}: {name}; bring its tables up to date with: scoreline migrate")
    if verdict is Verdict.ACCESS:
        return SettingsError(
            f"ClickHouse at {server}: {name}; check SCORELINE_CLICKHOUSE_USER, SCORELINE_CLICKHOUSE_PASSWORD "
            "and what the user is granted"
        )
    return ClickHouseUnavailable(f"ClickHouse at {server} cannot work now: {name}")


def translate_of_query(error: Exception, server: str) -> ScorelineError:
    """As `translate`, of a statement without rows: what cannot be read then is a part on the server's disk."""
    translated = translate(error, server)
    if not isinstance(translated, RefusedRow):
        return translated
    return ClickHouseUnavailable(
        f"ClickHouse at {server} cannot read its own data: {translated}; a part on its disk is damaged, see its log"
    )


def _refused(name: str, code: int, text: str) -> RefusedRow:
    # A payload that the text quotes may itself say "(at row 7)". The server's own words about a constraint come before
    # the payload, about a field behind it.
    if code == VIOLATED_CONSTRAINT:
        rows, places = _VIOLATED_AT_ROW.findall(text)[:1], _CONSTRAINT.findall(text)[:1]
    else:
        rows, places = _AT_ROW.findall(text)[-1:], _FIELD.findall(text)[-1:]
    reason = "".join((name, *(f" in {place}" for place in places)))
    if not rows:
        return RefusedRow(reason)
    # The row without coordinates is the second one of the record before it.
    return RefusedRow(reason, int(rows[0]) - (places == [ONE_ROW_PER_RECORD]))


def _transport(error: Exception) -> str:
    """The innermost cause, without the URL and the object addresses that the layers above put around it."""
    if (status := _STATUS.search(str(error))) is not None:
        return status[0]
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return getattr(cause, "strerror", None) or type(cause).__name__
