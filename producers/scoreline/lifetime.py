"""Clients and the processes they live in: flushed at the end of each, begun anew in a forked child."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from scoreline.errors import KafkaUnavailable

log = logging.getLogger(__name__)

making = threading.RLock()
"""Held while a client or a producer is made, and while the process forks: what libraries do once in a process, and what
is imported for the first client, must not be half done in a child, which would wait for it for ever."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """What an open client does when its process ends or forks."""

    close: Callable[[], None]
    start_anew: Callable[[], None]
    """In a forked child, before anything else runs there."""


_open: dict[int, Lifetime] = {}
"""By the id of the client."""


def opened(client: object, lifetime: Lifetime) -> None:
    """From now on `client` is looked after."""
    _open[id(client)] = lifetime


def closed(client: object) -> None:
    """`client` needs nothing any more."""
    _open.pop(id(client), None)


def watch_this_process() -> None:
    """Close what is open at the end of this process. Harmless to repeat; a child has to."""
    _watch_exit()
    _watch_children_that_skip_atexit()


@cache
def _watch_exit() -> None:
    """Once, also for what is forked from here."""
    atexit.register(_close_all)


def _watch_children_that_skip_atexit() -> None:
    """Children of multiprocessing and of billiard end with finalizers of their own, celery's pool workers without even
    those, but with a signal. What the process has not imported, it is no child of."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _close_all, exitpriority=-100)
    billiard = sys.modules.get("billiard.util")
    if billiard is not None:
        billiard.Finalize(None, _close_all, exitpriority=-100)
    celery = sys.modules.get("celery.signals")
    if celery is not None:
        celery.worker_process_shutdown.connect(_close_celery_worker, weak=False, dispatch_uid=__name__)


def _close_celery_worker(**_signal: Any) -> None:
    _close_all()


def _close_all() -> None:
    for lifetime in list(_open.values()):
        try:
            lifetime.close()
        except KafkaUnavailable as error:
            log.error("%s", error)


def _start_anew_in_child() -> None:
    making.release()
    for lifetime in list(_open.values()):
        lifetime.start_anew()


if hasattr(os, "register_at_fork"):
    # at import: a fork beside the thread that makes the first client must wait for it, too
    os.register_at_fork(before=making.acquire, after_in_parent=making.release, after_in_child=_start_anew_in_child)
