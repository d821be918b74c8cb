"""Commands: what is wrong is said in a line, and one that is told to end does, with all it began.

Ctrl-C and a request to end (SIGTERM) are the same here. Nothing is lost by either: what is written
appears whole or not at all, and the next call goes on.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from multiprocessing import active_children, resource_tracker

from joblib import parallel_config
from joblib.externals.loky import ProcessPoolExecutor, process_executor
from joblib.externals.loky.backend import resource_tracker as loky_tracker
from joblib.externals.loky.backend.utils import kill_process_tree
from joblib.parallel import LokyBackend

from multiscale.config import AudioError, ParameterError
from multiscale.interruption import INTERRUPTED, SIGNALS

PATIENCE = 15
"""Seconds in which work that was told to end is undone; then it is ended by force."""


@contextmanager
def command() -> Iterator[None]:
    """Do a command's work within: what it cannot go on after becomes a line and an exit status.

    The data home is the same from here on for all processes, in whatever folder they run: one
    that is no whole path starts from this folder.
    """
    if home := os.environ.get("MULTISCALE_HOME"):
        os.environ["MULTISCALE_HOME"] = os.path.abspath(home)
    told = []

    def end(number: int, _) -> None:
        if not told:  # once: what is being undone is not to be broken off
            told.append(number)
            signal.alarm(PATIENCE)
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        for number in SIGNALS:
            signal.signal(number, end)
        with parallel_config(backend=_Backend()):
            yield
    except KeyboardInterrupt:
        signal.alarm(0)
        print(INTERRUPTED, file=sys.stderr)
        raise SystemExit(128 + (told or SIGNALS)[0]) from None
    except (ParameterError, AudioError, OSError, BrokenExecutor) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        raise SystemExit(2) from None
    finally:
        for number in SIGNALS if not told else ():
            signal.signal(number, before[number])


@contextmanager
def processes(n: int, env: dict[str, str] | None = None) -> Iterator[ProcessPoolExecutor]:
    """So many processes, which end with what is done within, or with this one if it is killed."""
    with _signals_blocked():
        pool = ProcessPoolExecutor(n, env=env, initializer=_settle, initargs=(os.getpid(),))
        pool.submit(int)  # begins them
    try:
        yield pool
    except BaseException:
        for process in active_children():
            kill_process_tree(process)
        raise
    finally:
        pool.shutdown()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block signals in what begins within.

    Ctrl-C reaches a whole group, and the command's process alone is to say so.
    """
    for tracker in (resource_tracker, loky_tracker):  # first, since they unblock them as they begin
        tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Backend(LokyBackend):
    """Joblib's processes, for what is prepared, with signals blocked."""

    def configure(self, *args, **kwargs) -> int:
        with _signals_blocked():
            n = super().configure(*args, **kwargs)
            self._workers.submit(int)  # begins them
        return n


def _settle(parent: int) -> None:
    """Keep a process for all its work, but not beyond a parent that has been killed."""
    # Loky would begin another process after each job that keeps memory, such as features.
    process_executor._MAX_MEMORY_LEAK_SIZE = float("inf")

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)  # rather than go on with what is queued

    threading.Thread(target=watch, daemon=True).start()
