"""Progress of long work: a bar on a terminal, a line a minute in a log."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

from tqdm import tqdm

INTERVAL = 60.0
"""Seconds between two lines in a log."""

_hidden = False


def progress(iterable: Iterable | None = None, **options) -> tqdm:
    """Show progress on standard error; ``options`` are those of ``tqdm.tqdm``, which it returns.

    An ordinary bar on a terminal; elsewhere a line a minute at most, and one when all is done.
    Without an iterable, call ``update`` on what is returned. ``$TQDM_DISABLE`` turns it off.
    """
    options.setdefault("file", sys.stderr)
    options.setdefault("disable", _hidden or bool(os.environ.get("TQDM_DISABLE")))
    if not options["file"].isatty():
        options["file"] = _Lines(options["file"])
        # No line before the first minute; tqdm must not measure when to look again.
        options |= {"mininterval": INTERVAL, "miniters": 0, "delay": 1e-9}
        options |= {"position": 0} | ({} if "bar_format" in options else {"ncols": 0})
    return tqdm(iterable, **options)


@contextmanager
def hidden() -> Iterator[None]:
    """Show nothing of what this process does within."""
    global _hidden
    before, _hidden = _hidden, True
    try:
        yield
    finally:
        _hidden = before


class _Lines:
    """A stream on which each state of a bar is a line, without returns to its beginning."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> None:
        """Write what is not blank as a line."""
        if text.strip():
            self.stream.write(f"{text.strip()}\n")

    def flush(self) -> None:
        """Flush the stream."""
        self.stream.flush()
