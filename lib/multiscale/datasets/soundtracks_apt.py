"""Packages through apt's own download: no root, no system-wide change, resumable.

apt keeps its lists of packages where only root may write, and they may be missing (as in a fresh
container) or out of date. So a second set of lists is kept beside the downloads, made from the
system's own sources.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from multiscale.config import ParameterError

FRESH_SECONDS = 24 * 3600
"""Age up to which the lists of packages are taken as they are."""

PROGRAMS = ("apt-get", "apt-cache", "dpkg-deb")
"""What is needed; every Debian and Ubuntu has them."""

URI = re.compile(r"'.+' (?P<file>\S+) (?P<size>\d+) (?P<hash>SHA256|SHA512):(?P<digest>\w+)")
"""A line of ``apt-get --print-uris download``."""


@dataclass(frozen=True)
class Offer:
    """A package that apt can fetch.

    Attributes
    ----------
    package, version : str
        As Debian names them.
    file : str
        Name of the .deb.
    size : int
        In bytes.
    algorithm, digest : str
        Hash that apt's signed lists give, and its name as Python has it.
    """

    package: str
    version: str
    file: str
    size: int
    algorithm: str
    digest: str

    def is_whole(self, path: Path) -> bool:
        """Whether a file is the whole package, unaltered."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, self.algorithm).hexdigest() == self.digest


def find(package: str, pattern: str, folder: Path) -> Offer | None:
    """Look up a package.

    Parameters
    ----------
    package : str
        Its name.
    pattern : str
        Glob of the names it may have elsewhere; the last by version is taken. Empty: none.
    folder : Path
        Where lists and downloads are kept.

    Returns
    -------
    Offer or None
        None if this system's sources have no such package.

    Raises
    ------
    ParameterError
        If there is no apt, or it cannot reach its sources.
    """
    _refresh(folder, FRESH_SECONDS)
    offer = _offer(package, folder)
    if offer is None and pattern:
        names = _apt(folder, "apt-cache", "pkgnames").stdout.split()
        for name in sorted(fnmatch.filter(names, pattern), key=_natural, reverse=True):
            offer = offer or _offer(name, folder)
    return offer


def fetch(package: str, pattern: str, folder: Path) -> tuple[Path, Offer] | None:
    """Download a package, unless it is there whole.

    Parameters
    ----------
    package, pattern, folder : str, str, Path
        As for :func:`find`.

    Returns
    -------
    tuple of (Path, Offer) or None
        The .deb and what it is; None if there is no such package.

    Raises
    ------
    ParameterError
        If it cannot be fetched.
    """
    said = ""
    for _ in range(2):
        offer = find(package, pattern, folder)
        if offer is None:
            return None
        path = folder / offer.file
        if offer.is_whole(path):
            return path, offer
        # apt resumes a file that is too short, but takes one of full length for whole.
        if path.is_file() and path.stat().st_size >= offer.size:
            path.unlink()
        said = _complaint(_apt(folder, "apt-get", "download", offer.package, cwd=folder))
        if offer.is_whole(path):
            return path, offer
        # What the lists name may be gone from the server.
        path.unlink(missing_ok=True)
        _refresh(folder, 0)
    raise ParameterError(f"soundtracks: expected apt to download {package}, got {said}")


def _offer(package: str, folder: Path) -> Offer | None:
    # In a folder without .debs, for apt does not print what is there already.
    said = _apt(folder, "apt-get", "--print-uris", "download", package, cwd=folder / "apt")
    match = URI.search(said.stdout)
    if not match:
        return None
    version = unquote(match["file"].split("_")[1])
    size, algorithm = int(match["size"]), match["hash"].lower()
    return Offer(package, version, match["file"], size, algorithm, match["digest"])


def _refresh(folder: Path, fresh_seconds: float) -> None:
    """Fetch the lists of packages where they are missing or older than that."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise ParameterError(
            f"soundtracks: expected {', '.join(PROGRAMS)} (a Debian or Ubuntu system), got a "
            f"system without {', '.join(missing)}"
        )
    lists, stamp = folder / "apt" / "lists", folder / "apt" / "updated"
    if stamp.is_file() and time.time() - stamp.stat().st_mtime < fresh_seconds:
        return
    for path in (lists / "partial", folder / "apt" / "cache" / "archives" / "partial"):
        path.mkdir(parents=True, exist_ok=True)
    said = _apt(folder, "apt-get", "update")
    # apt-get update ends with 0 where no source could be reached.
    if any(lists.glob("*Packages*")):
        stamp.touch()
    else:
        raise ParameterError(
            "soundtracks: expected apt to reach the sources of packages that this system names "
            f"(is there a network?), got {_complaint(said)}"
        )


def _apt(
    folder: Path, program: str, *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    options = {
        "Dir::State::Lists": folder / "apt" / "lists",
        "Dir::Cache": folder / "apt" / "cache",
        # Containers often switch this off; without it each call reads all lists anew.
        "Dir::Cache::pkgcache": "pkgcache.bin",
        # Otherwise apt, run by root, would write as a user who may not write here.
        "APT::Sandbox::User": "root",
        "Acquire::Retries": 2,
        "Acquire::http::Timeout": 30,
    }
    given = [f"-o{name}={value}" for name, value in options.items()]
    return subprocess.run(
        [program, *given, *arguments],
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def _complaint(said: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in said.stderr.splitlines() if line.startswith(("E:", "W:"))]
    return lines[0] if lines else "nothing"


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key by which 1.16 comes after 1.8."""
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", name)]
