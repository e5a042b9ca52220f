"""The disk spool: what a dying process leaves, the next start delivers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline.client import Client
from scoreline.errors import QueueFull
from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from scoreline.spool import Segment, Spool
from scoreline.topics import declare_topics
from tests.support import environment, eventually, read_topic


def ids_on(settings: Settings) -> list[str]:
    messages = read_topic(settings, declare_topics(settings).raw.name)
    return sorted(json.loads(message.value() or b"")["score_id"] for message in messages)


def test_scores_of_a_killed_process_are_delivered_by_the_next_start(settings: Settings, tmp_path: Path) -> None:
    """kill -9 with the broker away: nothing is lost, also not what a second such process left."""
    ensure_topics(settings)
    spool = tmp_path / "spool"
    dying = settings.model_copy(update={"kafka": "127.0.0.1:1", "spool_dir": spool})
    code = (
        "import os, signal, sys, scoreline\n"
        "for n in range(200): scoreline.create_score(name='n', value=n, trace_id='t', score_id=f'{sys.argv[1]}-{n}')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for tag in "ab":
        subprocess.run([sys.executable, "-c", code, tag], env=environment(dying), check=False)
    with Client(settings.model_copy(update={"spool_dir": spool})) as client:
        client.create_score(name="n", value=1, trace_id="t", score_id="c-0")
        eventually(lambda: client.delivery.recovered == 400, "the spool is sent")
    assert ids_on(settings) == sorted([f"{tag}-{n}" for tag in "ab" for n in range(200)] + ["c-0"])
    assert list(spool.iterdir()) == []


def test_scores_left_at_the_end_stay_in_the_spool(settings: Settings, tmp_path: Path) -> None:
    """An orderly end without a broker is no error with a spool, and the next start delivers."""
    ensure_topics(settings)
    away = settings.model_copy(update={"kafka": "127.0.0.1:1", "spool_dir": tmp_path / "spool", "flush_s": 0.1})
    with Client(away) as client:
        client.create_score(name="n", value=1, trace_id="t", score_id="a")
    with Client(settings.model_copy(update={"spool_dir": tmp_path / "spool"})) as client:
        eventually(lambda: client.delivery.recovered == 1, "the spool is sent")
    assert ids_on(settings) == ["a"]


def test_segments_of_a_living_process_are_left_alone(tmp_path: Path) -> None:
    """Two services share a folder; neither sends what the other is sending."""
    first = Spool(tmp_path, 1 << 20)
    first.add(b"k", b"v")
    assert list(Spool(tmp_path, 1 << 20).orphans()) == []
    first.release()
    [orphan] = Spool(tmp_path, 1 << 20).orphans()
    assert list(orphan.records()) == [(b"k", b"v")]
    orphan.release()


def test_new_segments_and_scans_for_orphans_do_not_meet(tmp_path: Path) -> None:
    """A scan beside a process that begins segments takes none of them, and neither waits for the other."""
    scanned: list[Segment] = []
    over = threading.Event()

    def scan() -> None:
        while not over.is_set():
            scanned.extend(Spool(tmp_path, 1 << 20).orphans())

    scanner = threading.Thread(target=scan)
    scanner.start()
    try:
        for _ in range(300):
            spool = Spool(tmp_path, 1 << 20)
            spool.add(b"k", b"v").settled()
            spool.seal()
    finally:
        over.set()
        scanner.join()
    assert scanned == []


def test_file_goes_with_its_last_acknowledgement(tmp_path: Path) -> None:
    """Not before, and not while records can still be added."""
    spool = Spool(tmp_path, 1 << 20)
    segment = spool.add(b"a", b"1")
    spool.add(b"b", b"2")
    segment.settled()
    spool.seal()
    assert segment.path.exists()
    segment.settled()
    assert list(tmp_path.iterdir()) == []


def test_full_spool_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    """Disk is bounded like memory."""
    spool = Spool(tmp_path, 1 << 20)
    for _ in range(11):
        spool.add(b"k", b"x" * 100_000)
    with pytest.raises(QueueFull, match="SCORELINE_SPOOL_BYTES_MAX"):
        spool.add(b"k", b"x")
    spool.release()


def test_forked_child_does_not_hold_its_parents_files(tmp_path: Path) -> None:
    """Else they would not be orphans while a child of the dead process lives."""
    code = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from scoreline.spool import Segment, Spool\n"
        "spool = Spool(Path(sys.argv[1]), 1 << 20)\n"
        "spool.add(b'k', b'v')\n"
        "child = os.fork()\n"
        "if child == 0: os.close(1); os.close(2); time.sleep(60); os._exit(0)\n"
        "print(child, flush=True); os._exit(0)\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)]
    child = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    try:
        [orphan] = Spool(tmp_path, 1 << 20).orphans()
        assert list(orphan.records()) == [(b"k", b"v")]
        orphan.release()
    finally:
        os.kill(child, 9)


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=50)), max_size=5), st.integers(0, 400))
def test_cut_file_gives_every_whole_record(records: list[tuple[bytes, bytes]], cut: int) -> None:
    """A write that a kill cut short costs that record only, and nothing is made up."""
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder), 1 << 20)
        ends = [spool.add(key, value).size for key, value in records]
        spool.release()
        for path in Path(folder).iterdir():
            content = path.read_bytes()
            path.write_bytes(content[: min(cut, len(content))])
        found = [record for segment in Spool(Path(folder), 1 << 20).orphans() for record in segment.records()]
        assert found == [record for record, end in zip(records, ends, strict=True) if end <= cut]
