"""What the chapters of the book need: a study and a voice, figures, players; and their build."""

import sys

from multiscale.interruption import end_at_once

if sys.argv[:1] == ["-m"]:  # one of the commands here begins: it is about to be found and run
    end_at_once()

from companion.chapter import chapter, elsewhere, example, say

__all__ = ["chapter", "elsewhere", "example", "figures", "listen", "say"]
