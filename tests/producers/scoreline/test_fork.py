"""Processes that fork, and the ends that a process can have: every score is on the topic once."""

from __future__ import annotations

from pathlib import Path

import pytest

from scoreline.client import Client
from scoreline.kafka import ensure_topics
from scoreline.settings import Settings
from tests.producers.scoreline.emitting import ids_on, run
from tests.support import eventually

EMIT = """
import logging, os, sys, threading, scoreline
logging.getLogger('scoreline.librdkafka').disabled = True
def emit(tag, count=1):
    for n in range(count):
        scoreline.create_score(name='n', value=n, trace_id='t', score_id=f'{tag}-{n}')
"""
FORK = """
def fork(work):
    child = os.fork()
    if child == 0:
        work()
        sys.exit(0)
    return child
def wait(children):
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)
"""


@pytest.fixture(params=["memory", "spool"])
def kept(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Settings:
    """Settings without and with a spool; the topics are there."""
    ensure_topics(settings)
    return settings.model_copy(update={"spool_dir": tmp_path / "spool" if request.param == "spool" else None})


def test_children_and_parent_send_each_their_own_scores_once(kept: Settings) -> None:
    """The parent's queue is full of unsent scores when it forks; a child that emits nothing just ends."""
    code = f"""{EMIT}{FORK}
emit('before', 500)
children = [fork(lambda c=c: emit(f'child{{c}}', 100)) for c in range(3)] + [fork(lambda: None)]
emit('after', 500)
wait(children)
"""
    ended = run(code, kept)
    assert (ended.returncode, ended.stderr) == (0, "")
    expected = {"before": 500, "after": 500, "child0": 100, "child1": 100, "child2": 100}
    assert ids_on(kept) == sorted(f"{tag}-{n}" for tag, count in expected.items() for n in range(count))
    assert kept.spool_dir is None or list(kept.spool_dir.iterdir()) == []


def test_child_of_multiprocessing_sends_its_scores_before_it_ends(kept: Settings) -> None:
    """It ends without atexit, as workers of a pool do."""
    code = f"""{EMIT}
from multiprocessing import get_context
emit('parent', 10)
children = [get_context('fork').Process(target=emit, args=(f'child{{c}}', 10)) for c in range(2)]
for child in children: child.start()
for child in children: child.join()
assert [child.exitcode for child in children] == [0, 0]
"""
    ended = run(code, kept)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ids_on(kept) == sorted(f"{tag}-{n}" for tag in ("parent", "child0", "child1") for n in range(10))


def test_fork_beside_emitting_threads_leaves_no_child_stuck(kept: Settings) -> None:
    """Locks that a thread of the parent held when it forked are not the child's, nor is what it was about to make."""
    code = f"""{EMIT}{FORK}
over = threading.Event()
def emit_on(thread):
    n = 0
    while not over.is_set():
        emit(f't{{thread}}.{{n}}'); n += 1; over.wait(0.0005)
    counts[thread] = n
counts = {{}}
threads = [threading.Thread(target=emit_on, args=(t,)) for t in range(3)]
for thread in threads: thread.start()
wait([fork(lambda: emit(f'child{{c}}')) for c in range(8)])
over.set()
for thread in threads: thread.join()
print(*(f't{{t}}.{{n}}-0' for t, count in counts.items() for n in range(count)))
"""
    ended = run(code, kept)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ids_on(kept) == sorted([*ended.stdout.split(), *(f"child{c}-0" for c in range(8))])


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 15)"])
def test_next_start_delivers_what_a_child_left(settings: Settings, tmp_path: Path, end: str) -> None:
    """A child has spool files of its own, which outlive it however it ends."""
    ensure_topics(settings)
    spooled = settings.model_copy(update={"spool_dir": tmp_path / "spool", "kafka": "127.0.0.1:1", "flush_s": 0.1})
    code = f"{EMIT}\nemit('parent')\nif os.fork() == 0: emit('child', 20); {end}\nos.wait()"
    ended = run(code, spooled)
    assert (ended.returncode, "2 scores" in ended.stderr) == (0, False)
    with Client(spooled.model_copy(update={"kafka": settings.kafka})) as client:
        eventually(lambda: client.delivery.recovered == 21, "the spool is sent")
    assert ids_on(settings) == sorted(["parent-0", *(f"child-{n}" for n in range(20))])


def test_client_that_nobody_closed_is_flushed_at_exit(settings: Settings) -> None:
    """Also one that nobody refers to any more."""
    ensure_topics(settings)
    code = (
        f"{EMIT}from scoreline import Client\n"
        "for n in range(3): Client().create_score(name='n', value=1, trace_id='t', score_id=f's-{n}')"
    )
    ended = run(code, settings)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ids_on(settings) == ["s-0", "s-1", "s-2"]


def test_exit_without_a_broker_ends_in_time_and_says_how_many_were_left() -> None:
    """`flush_s` bounds it; nothing is lost without a word."""
    ended = run(f"{EMIT}\nemit('s', 7)", Settings(kafka="127.0.0.1:1", flush_s=0.5))
    assert ended.returncode == 0
    assert "7 scores were not acknowledged within 0.5 s (SCORELINE_FLUSH_S)" in ended.stderr


def test_emitting_after_the_end_is_an_error() -> None:
    """Not a score that silently goes nowhere."""
    code = (
        "import atexit\n"
        "def late():\n"
        "    import scoreline\n"
        "    try: scoreline.create_score(name='n', value=1, trace_id='t')\n"
        "    except scoreline.PermanentError as error: print(error)\n"
        "atexit.register(late)\n"
        "import scoreline; scoreline.flush(); c = scoreline.default_client()\n"
    )
    ended = run(code, Settings(kafka="127.0.0.1:1"))
    assert ended.stdout == "this client is closed: it takes no more scores\n"
