"""Told to end before its work has begun, a command does at once, in a line.

What it works with takes seconds to import; until then nothing needs to be undone. A module that
commands begin with imports this one before all else, and nothing that takes long may be imported
here.
"""

from __future__ import annotations

import os
import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Those that tell a command to end."""

INTERRUPTED = "interrupted: what is done is kept, and the next call goes on"


def end_at_once() -> None:
    """From here on, end this process when it is told to, wherever it is."""

    def end(number: int, _) -> None:
        # No exception: an import can take one for something else.
        os.write(2, f"{INTERRUPTED}\n".encode())
        os._exit(128 + number)

    for number in SIGNALS:
        signal.signal(number, end)
