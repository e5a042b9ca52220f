"""What ClickHouse's errors mean."""

from __future__ import annotations

import re
import threading

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from scoreline.errors import ClickHouseUnavailable, SchemaError, SettingsError
from scoreline.settings import Settings
from scoreline_sink.clickhouse import ClickHouse, await_clickhouse, scores_table
from scoreline_sink.rows import score_row
from scoreline_sink.server_errors import CODES, RefusedRow, translate
from tests.sinks.scoreline_sink.records import encoded, enriched

GOOD = score_row(0, 1, encoded(enriched(1)))
SECRET = "swordfish (at row 9) is violated at row 8. (while reading the value of key stolen)"


def broken(field: str, value: bytes) -> bytes:
    """A row with another text for one field's value, and a payload that tries to be an error message."""
    row = score_row(0, 2, encoded(enriched(2, comment=SECRET)))
    changed, count = re.subn(rb'"%b":("[^"]*"|[^,}]*)' % field.encode(), b'"%b":%b' % (field.encode(), value), row)
    assert count == 1
    return changed


def test_the_table_has_the_names_of_the_server(clickhouse: ClickHouse) -> None:
    """A wrong number would drop into the wrong branch unnoticed."""
    named = clickhouse.query(
        "SELECT c, errorCodeToName(c) FROM (SELECT arrayJoin({c:Array(Int32)}) AS c)", {"c": [*CODES]}
    )
    assert dict(named) == {code: name for code, (name, _) in CODES.items()}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (broken("raw_offset", b"-1"), "CANNOT_PARSE_NUMBER (code 72) in raw_offset"),
        (broken("timestamp", b'"yesterday"'), "in timestamp"),
        (broken("config_version", b'"x"'), "in config_version"),
        (GOOD[:-1] + b',"src_offset":7}', "INCORRECT_DATA (code 117)"),
        (GOOD[:-1] + b"\n" + GOOD, "CANNOT_PARSE_INPUT_ASSERTION_FAILED (code 27)"),
        (GOOD + GOOD.replace(b'"src_partition":0,"src_offset":1,', b""), "in one_row_per_record"),
        (broken("score_id", b'""'), "in is_a_score"),
    ],
)
def test_a_refused_row_is_named_without_its_payload(clickhouse: ClickHouse, row: bytes, reason: str) -> None:
    """The operator learns which record and which field; what a service sent stays out of the logs."""
    table = scores_table(clickhouse)
    with pytest.raises(RefusedRow) as caught:
        table.insert([GOOD, row], "token")
    assert reason in str(caught.value)
    assert "swordfish" not in str(caught.value)
    assert caught.value.row == 2
    assert clickhouse.query(f"SELECT count() FROM {clickhouse.database}.scores") == [(0,)]


def test_a_missing_table_is_a_matter_of_the_schema(clickhouse: ClickHouse) -> None:
    """Waiting would not make it appear."""
    clickhouse.query(f"DROP TABLE {clickhouse.database}.scores SYNC")
    with pytest.raises(SchemaError, match="scoreline migrate"):
        scores_table(clickhouse).insert([GOOD], "token")


@pytest.mark.parametrize("code", [241, 242, 243, 252, 164, 999_999, None])
def test_what_can_pass_is_waited_for(code: int | None) -> None:
    """Memory, read-only, a full disk, too many parts, and what nobody has seen yet: never a reason to drop rows."""
    assert isinstance(translate(DatabaseError("text", code=code), "host:1"), ClickHouseUnavailable)


def test_damage_met_by_a_question_is_no_refused_row(clickhouse: ClickHouse) -> None:
    """A part that was cut short on disk is CANNOT_READ_ALL_DATA too, and nobody's record is to blame."""
    damaged = "SELECT throwIf(1, 'x', toInt16(33)) SETTINGS allow_custom_error_code_in_throwif = 1"
    with pytest.raises(ClickHouseUnavailable, match="cannot read its own data: CANNOT_READ_ALL_DATA"):
        clickhouse.query(damaged)


def test_nobody_is_waited_for_with_a_wrong_password(clickhouse: ClickHouse, settings: Settings) -> None:
    """The message names the setting."""
    wrong = settings.model_copy(update={"clickhouse_user": "nobody"})
    with pytest.raises(SettingsError, match="SCORELINE_CLICKHOUSE_USER"):
        await_clickhouse(wrong, threading.Event())


def test_an_absent_server_is_named_with_its_setting(settings: Settings) -> None:
    """Not with a chain of library objects."""
    away = settings.model_copy(update={"clickhouse_port": 1, "clickhouse_host": "127.0.0.1"})
    with pytest.raises(ClickHouseUnavailable, match=r"127.0.0.1:1 \(SCORELINE_CLICKHOUSE_HOST\): Connection refused$"):
        ClickHouse(away)
