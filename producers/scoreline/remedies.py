"""What a person does about a rejected score: which field is wrong, and the way out, by reason."""

from __future__ import annotations

import re
from collections.abc import Mapping

from scoreline.rejections import Reason

REMEDIES: Mapping[str, str] = {
    Reason.EMPTY_RECORD: (
        "Send the score as a JSON object. A record without a value deletes nothing; discard this letter."
    ),
    Reason.TOO_LARGE: (
        "Keep the record within 256 KiB: shorten comment or metadata, or store the text elsewhere and send its "
        "address. Here: replay with --drop comment (or --drop metadata.KEY)."
    ),
    Reason.MALFORMED_JSON: (
        "Write each record as one JSON object in UTF-8, with a JSON library, no key twice. The bytes cannot be "
        "patched: let the sender send the score again, then discard this letter."
    ),
    Reason.UNSUPPORTED_VERSION: (
        "Send schema_version 1 or none. If the sender is newer than the worker, upgrade the worker first, then replay; "
        "else replay with --drop schema_version."
    ),
    Reason.MISSING_FIELD: (
        "Let the sender fill the field. Here: replay with --rename OTHER=FIELD where it stands under another name, or "
        "--set FIELD=VALUE where one value is right for all letters chosen."
    ),
    Reason.UNKNOWN_FIELD: (
        "Use the contract's names; what is yours goes into metadata. Here: replay with --rename traceId=trace_id, "
        "--rename colour=metadata.colour or --drop FIELD."
    ),
    Reason.INVALID_VALUE: (
        "Send the field as the detail expects it. Here: replay with --set FIELD=VALUE, or --drop FIELD where it is "
        "optional."
    ),
    Reason.NO_TARGET: (
        "Say what was judged: a trace_id, a session_id or a dataset_run_id; an observation_id needs its trace_id. "
        "Here: replay with --set trace_id=VALUE or --rename metadata.trace=trace_id."
    ),
    Reason.TIMESTAMP_OUT_OF_BOUNDS: (
        "Check the sender's clock and the unit (milliseconds taken for seconds?). Here: replay with --drop timestamp, "
        "which dates the score by when it first arrived, or with --set timestamp=VALUE."
    ),
    Reason.KEY_MISMATCH: (
        "Send with the key <project>/<score_id>, UTF-8, partitioner murmur2. Here: replay, which gives the record the "
        "key that its value says."
    ),
    Reason.UNKNOWN_CONFIG: (
        "Create the config (scoreline configs put), then replay. If the id is mistyped, use --set config_id=ID; "
        "if the score needs no config: --drop config_id."
    ),
    Reason.CONFIG_MISMATCH: (
        "Name the config that was made for this score name and type: replay with --set config_id=ID, --set name=NAME "
        "or --drop data_type. An archived config takes scores again once it is put unarchived."
    ),
    Reason.OUT_OF_RANGE: (
        "Send a value within the config's range. If the range is wrong, widen it (scoreline configs put), then replay; "
        "else replay with --set value=VALUE."
    ),
    Reason.UNKNOWN_CATEGORY: (
        "Send one of the config's categories. If this one is missing there, add it (scoreline configs put), then "
        "replay; else replay with --set value=CATEGORY."
    ),
    Reason.CONFLICTING_DUPLICATE: (
        "The first score of an id stays, so this one cannot be replayed as it is. If both are meant, give it an id of "
        "its own: replay this one letter with --set score_id=ID; else discard it. Make ids unique at the sender."
    ),
    Reason.REFUSED_BY_STORE: (
        "The pipeline took the score and ClickHouse refuses its row: tell an operator. The id counts as seen, so mend "
        "the field and replay this one letter with --set score_id=ID."
    ),
}
"""Reason, as `scoreline.reason` carries it → what to do. Options are those of `scoreline dlq replay`."""

NO_REMEDY = "No reason that this release knows: the detail is all there is to go by."


def remedy_of(reason: str) -> str:
    """What to do about a rejection; for a reason of another release, that it is unknown."""
    return REMEDIES.get(reason, NO_REMEDY)


_FIELD = (
    # as `found` writes it: in either quotes, and cut where it is long
    re.compile(r"['\"](?P<field>.*?)['\"…]: not a field of the contract"),
    re.compile(r"one of (?P<field>trace_id, session_id or dataset_run_id) "),
    re.compile(r"config .* expects (?P<field>name|data_type) "),
    re.compile(r"(?P<field>config) .* is archived"),
    re.compile(r"(?P<field>(?:metadata|evaluator)\..*?)(?:: |…$)"),
    re.compile(r"(?P<field>[a-z_]+): "),
)


def field_of(reason: str, detail: str) -> str | None:
    """The field that a rejection's detail names, `key` for the record's key; None where the whole record is wrong."""
    if reason in (Reason.EMPTY_RECORD, Reason.TOO_LARGE, Reason.MALFORMED_JSON):
        return None
    match = next((match for pattern in _FIELD if (match := pattern.match(detail))), None)
    if match is None:
        return None
    return "config_id" if match["field"] == "config" else match["field"]


def sender_remedy_of(reason: str) -> str:
    """What the sender of a score can do about its rejection, before there is a letter to replay."""
    return remedy_of(reason).partition(". ")[0].rstrip(".") + "."
