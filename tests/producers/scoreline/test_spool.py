"""The disk spool: what a dying process leaves, the next start delivers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoreline import spool as spooling
from scoreline.client import Client
from scoreline.errors import QueueFull
from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from scoreline.spool import Segment, Spool
from tests.producers.scoreline.emitting import ids_on, run
from tests.support import environment, eventually


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


def test_spool_is_bounded_by_what_is_unacknowledged(tmp_path: Path) -> None:
    """What was acknowledged takes no room, however small the spool and however much went through it."""
    spool = Spool(tmp_path, 1 << 20)
    late = spool.add(b"k", b"x" * 500_000)
    for _ in range(20):
        spool.add(b"k", b"x" * 500_000).settled()
    late.settled()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0
    spool.release()


def test_acknowledged_score_is_not_sent_again_after_a_kill(settings: Settings, tmp_path: Path) -> None:
    """A process that emits seldom must not leave the scores of the last weeks."""
    ensure_topics(settings)
    spooled = settings.model_copy(update={"spool_dir": tmp_path})
    code = (
        "import os, scoreline\n"
        "for n in range(10): scoreline.create_score(name='n', value=n, trace_id='t'); assert scoreline.flush() == 0\n"
        "os.kill(os.getpid(), 9)\n"
    )
    run(code, spooled)
    [left] = tmp_path.iterdir()
    assert left.stat().st_size == 0
    with Client(spooled):
        eventually(lambda: list(tmp_path.iterdir()) == [], "the empty file is deleted")
    assert len(ids_on(settings)) == 10


def test_full_disk_is_an_error_and_the_score_is_not_half_taken(settings: Settings, tmp_path: Path) -> None:
    """A write that stops in the middle is taken back: what is emitted when there is room again is not behind it."""
    ensure_topics(settings)
    away = settings.model_copy(update={"kafka": "127.0.0.1:1", "spool_dir": tmp_path})
    code = (
        "import os, resource, scoreline\n"
        "def emit(n): scoreline.create_score(name='n', value=1, trace_id='t', score_id=f's-{n}')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))\n"
        "n = 0\n"
        "try:\n"
        "    while n < 1000: emit(n); n += 1\n"
        "except scoreline.QueueFull as error: print(n, error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "emit('after')\n"
        "print(flush=True); os.kill(os.getpid(), 9)\n"
    )
    taken, _, message = run(code, away).stdout.partition(" ")
    assert "SCORELINE_SPOOL_DIR" in message
    assert 5 < int(taken) < 50
    with Client(settings.model_copy(update={"spool_dir": tmp_path})) as client:
        eventually(lambda: client.delivery.recovered == int(taken) + 1, "the spool is sent")
    assert ids_on(settings) == sorted(["s-after", *(f"s-{n}" for n in range(int(taken)))])


def test_segments_are_recovered_in_the_order_of_their_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two scores with one id the first counts, also after a kill."""
    monkeypatch.setattr(spooling, "SEGMENT_BYTES_MAX", 10)
    spool = Spool(tmp_path, 1 << 20)
    for number in range(30):
        spool.add(b"k", b"%d" % number)
    spool.release()
    orphans = list(Spool(tmp_path, 1 << 20).orphans())
    assert len(orphans) == 30
    assert [value for orphan in orphans for _, value in orphan.records()] == [b"%d" % n for n in range(30)]
    for orphan in orphans:
        orphan.release()


def test_threads_share_segments_of_which_none_goes_too_early(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each record settles the segment that it is in, also while another thread begins the next."""
    monkeypatch.setattr(spooling, "SEGMENT_BYTES_MAX", 300)
    ensure_topics(settings)
    with Client(settings.model_copy(update={"spool_dir": tmp_path})) as client:

        def emit(tag: int) -> None:
            for number in range(500):
                client.create_score(name="n", value=1, trace_id="t", score_id=f"{tag}-{number}")

        threads = [threading.Thread(target=emit, args=(tag,)) for tag in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert ids_on(settings) == sorted(f"{tag}-{number}" for tag in range(4) for number in range(500))
    assert list(tmp_path.iterdir()) == []


def test_damaged_file_is_kept_and_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What comes before the damage is sent; what follows is for people."""
    spool = Spool(tmp_path, 1 << 20)
    first = spool.add(b"a", b"1").size
    damaged = spool.add(b"b", b"2").path
    spool.add(b"c", b"3")
    spool.release()
    content = bytearray(damaged.read_bytes())
    content[first + 13] ^= 1
    damaged.write_bytes(content)
    [orphan] = Spool(tmp_path, 1 << 20).orphans()
    assert list(orphan.records()) == [(b"a", b"1")]
    orphan.seal()
    assert [path.name for path in tmp_path.iterdir()] == [f"{damaged.stem}.broken"]
    assert f"damaged at byte {first}" in caplog.text


def test_file_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    """The format is a promise: these bytes are two records and the beginning of a third, under a name of chance."""
    content = bytes.fromhex("03620f860000000300000002702f617b7d0124b1df0000000300000002702f627b7d0124b1df000000")
    (tmp_path / "f3d1c2b4a5968778695a4b3c2d1e0f00.spool").write_bytes(content)
    [orphan] = Spool(tmp_path, 1 << 20).orphans()
    assert list(orphan.records()) == [(b"p/a", b"{}"), (b"p/b", b"{}")]
    orphan.release()


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
