"""What the chapters of the book need: a study and a voice, figures, players; and their build."""

from companion.chapter import chapter, elsewhere, example, say

__all__ = ["chapter", "elsewhere", "example", "figures", "listen", "say"]
