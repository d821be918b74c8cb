"""Credits: who made a track, what it is called and what one may do with it.

The artist and the title are in the file's own comments; where they are not, in a table transcribed
from the package's documents. Licences are transcribed too, and with each goes the evidence: words
that must be in the package's documents. Where a later version of the package no longer has
them, the reader is sent to its copyright file instead.
"""

from __future__ import annotations

import csv
import fnmatch
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLES = {
    "packages": "soundtracks.csv",
    "rights": "soundtracks_rights.csv",
    "names": "soundtracks_names.csv",
    "artists": "soundtracks_artists.csv",
}
"""Packages and where in them music is; licences; artists and titles; spellings of artists."""

COPYRIGHT = "usr/share/doc/*/copyright"
"""Glob of the file in which Debian says who made a package and what one may do with it."""


@dataclass(frozen=True)
class Credits:
    """Who made a track.

    Attributes
    ----------
    artist, title : str
        Empty where nobody says.
    licence : str
        With the holder of the copyright, where one is named.
    """

    artist: str
    title: str
    licence: str


@cache
def table(name: str) -> tuple[dict[str, str], ...]:
    """Rows of one of :data:`TABLES`."""
    with (Path(__file__).parent / TABLES[name]).open(encoding="utf-8", newline="") as lines:
        return tuple(csv.DictReader(lines))


def documents(package: str) -> list[str]:
    """Globs of the files in a package that say whose the music is."""
    rows = [row for row in table("rights") if fnmatch.fnmatchcase(package, row["package"])]
    globs = {glob for row in rows for glob in _documents(row)}
    return sorted(globs | {COPYRIGHT})


def credit(
    package: str, file: str, comments: Mapping[str, str], texts: Mapping[str, str]
) -> Credits:
    """Say who made a track.

    Parameters
    ----------
    package : str
        Its package.
    file : str
        Its path in it.
    comments : mapping of str to str
        The file's own, "artist" and "title" among them.
    texts : mapping of str to str
        Path -> text of the package's documents.

    Returns
    -------
    Credits
        Artist, spelt one way, title and licence.
    """
    names = _row("names", package, file)
    rights = _row("rights", package, file)
    artist = names.get("artist") or comments.get("artist") or rights.get("artist", "")
    title = names.get("title") or comments.get("title") or Path(file).stem
    return Credits(_one_spelling(artist), title.strip(), _licence(package, rights, texts))


def _licence(package: str, rights: Mapping[str, str], texts: Mapping[str, str]) -> str:
    said = " ".join(
        text
        for path, text in texts.items()
        if any(fnmatch.fnmatchcase(path, glob) for glob in _documents(rights))
    )
    if not rights or not all(_plain(x) in _plain(said) for x in rights["evidence"].split("|")):
        return f"see the file copyright in Debian's package {package}"
    return rights["licence"] + (f", © {rights['holder']}" if rights["holder"] else "")


def _documents(rights: Mapping[str, str]) -> list[str]:
    globs = rights.get("document", "").split(";")
    return [COPYRIGHT if glob == "copyright" else glob for glob in globs]


def _one_spelling(artist: str) -> str:
    artist = unicodedata.normalize("NFC", " ".join(artist.split()))
    variants = {row["variant"]: row["artist"] for row in table("artists")}
    return variants.get(artist, artist)


def _row(name: str, package: str, file: str) -> dict[str, str]:
    """The first row of a table that is about a track."""
    for row in table(name):
        if fnmatch.fnmatchcase(package, row["package"]) and fnmatch.fnmatchcase(file, row["files"]):
            return row
    return {}


def _plain(text: str) -> str:
    """A text on one line, without the addresses of mail."""
    return " ".join(re.sub(r"<[^>\n]*@[^>\n]*>", "", text).split())
