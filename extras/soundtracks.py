"""Soundtracks: game music that Debian packages under free licences, as a data set of your own.

    python extras/soundtracks.py FOLDER --clips 60

fetches package after package of a list (``soundtracks/packages.csv``, small before large) until
their music holds so many clips of 29 s, and last writes ``FOLDER/tracks.csv``, a table for the
data set ``folder``. It needs Debian's or Ubuntu's apt, but no root. A smaller set is the beginning
of a larger one; a run that was stopped goes on with the package it had come to.
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import IO
from urllib.parse import unquote

import soundfile
from filelock import FileLock

CLIP_SECONDS, SHORTEST = 29, 20.0
"""Length of a clip; of the shortest track, in s: what is shorter is a jingle or an effect."""

ARCHIVE = ".pk3"
"""Ending of an archive inside a package; the format is zip."""

SPELLINGS = {
    "Alex Almarza": "Àlex Almarza",
    "elysis": "Gerd Raudenbusch",  # other comments have Gerd (elysis) Raudenbusch
    "www.elysis.de": "Gerd Raudenbusch",
    "Gerd (elysis) Raudenbusch": "Gerd Raudenbusch",
    "Joseph G. Toscano (Zhaytee)": "Joseph Toscano",
    "ZhayTee": "Joseph Toscano",  # explained by wesnoth's comments; adonthell's AUTHORS name him
}
"""Artists under one name each."""


class SoundtracksError(Exception):
    """A sentence on why there are no soundtracks."""


def main(argv: list[str] | None = None) -> int:
    """Fetch soundtracks, as the command line says; exit status 2, and a line why, if that fails."""
    parser = argparse.ArgumentParser(description="Fetch free game music from Debian's packages.")
    parser.add_argument("folder", type=Path, help="where to; goes on with what is there")
    parser.add_argument("--clips", type=int, default=60, help="of 29 s, at least; default 60")
    given = parser.parse_args(argv)
    try:
        tracks = fetch(given.folder, given.clips)
    except (SoundtracksError, OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        print(f"soundtracks: {error}", file=sys.stderr)
        return 2
    n_clips = sum(track["clips"] for track in tracks)
    print(f"{given.folder / 'tracks.csv'}: {len(tracks)} tracks, {n_clips} clips of 29 s")
    return 0


def fetch(folder: Path, n_clips: int) -> list[dict]:
    """Fetch music that holds so many clips and write the table of its tracks, which it returns."""
    if n_clips < 1:
        raise SoundtracksError(f"--clips: expected at least 1, got {n_clips}")
    folder.mkdir(parents=True, exist_ok=True)
    state, tracks = folder.absolute() / ".apt", []
    # One process fetches; another that wants the same folder waits, then finds all there.
    with FileLock(folder / ".lock"):
        shutil.rmtree(state, ignore_errors=True)  # what a killed process left
        try:
            for row in table("packages"):
                if sum(track["clips"] for track in tracks) < n_clips:
                    tracks += _tracks(row, obtain(row, folder, state), folder)
        finally:
            shutil.rmtree(state, ignore_errors=True)
        if not tracks:
            raise SoundtracksError(
                f"expected packages such as {table('packages')[0]['package']} in the sources of "
                "this system (Debian's main, Ubuntu's universe), got none of them"
            )
        while sum(track["clips"] for track in tracks[:-1]) >= n_clips:
            tracks.pop()
        partial = folder / ".tracks.csv"
        with partial.open("w", encoding="utf-8", newline="") as file:
            columns = ["path", "artist", "title", "licence", "source"]
            writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(tracks)
        os.replace(partial, folder / "tracks.csv")
    return tracks


@cache
def table(name: str) -> tuple[dict[str, str], ...]:
    """Rows of the list of packages or of the credits, transcribed from the packages' documents."""
    path = Path(__file__).with_suffix("") / f"{name}.csv"
    with path.open(encoding="utf-8", newline="") as lines:
        return tuple(csv.DictReader(lines))


def obtain(row: dict[str, str], folder: Path, state: Path) -> dict | None:
    """Record of a package, fetched and unpacked if it is not there; None if nobody offers it."""
    root, new = folder / row["package"], state / "new"
    papers = sorted({x for r in _credits(row["package"]) for x in r["document"].split(";") if x})
    rules = [row["music"], row["left_out"], papers]
    try:
        record = json.loads((root / "record.json").read_text("utf-8"))
        sizes = record["sizes"].items()
        if record["rules"] == rules and all((root / f).stat().st_size == n for f, n in sizes):
            return record
    except (OSError, ValueError, KeyError):
        pass  # not there, or not whole: from the beginning then
    print(f"{row['package']}: fetching {row['mb']} MB", file=sys.stderr, flush=True)
    deb = download(row["package"], state)
    if deb is None:
        return None
    new.mkdir()
    unpack(deb, new, [*row["music"].split(";"), *papers], row["left_out"].split(";"))
    deb.unlink()
    paths = {p.relative_to(new).as_posix(): p for p in sorted(new.rglob("*")) if p.is_file()}
    music = {file: _described(p) for file, p in paths.items() if not _matches(file, papers)}
    if not music:
        raise SoundtracksError(f"expected {row['music']} in the package {deb.stem}, got none")
    source = " ".join(unquote(deb.stem).split("_")[:2])
    sizes = {file: path.stat().st_size for file, path in paths.items()}
    record = {"rules": rules, "source": source, "music": music, "sizes": sizes}
    (new / "record.json").write_text(json.dumps(record, ensure_ascii=False), "utf-8")
    shutil.rmtree(root, ignore_errors=True)
    new.rename(root)
    return record


def _described(path: Path) -> dict:
    """Length and comments of a file of music, or why it cannot be read."""
    try:
        with soundfile.SoundFile(path) as sound:
            seconds = round(sound.frames / sound.samplerate, 6)
            return {"seconds": seconds, "comments": sound.copy_metadata()}
    except (soundfile.SoundFileError, RuntimeError) as error:
        return {"reason": f"expected audio, got {error}"}


def _tracks(row: dict[str, str], record: dict | None, folder: Path) -> Iterator[dict]:
    """Tracks of a package; what is left out is said on standard error."""
    name = row["package"]
    if record is None:
        print(f"{name}: no such package in the sources of this system", file=sys.stderr)
        return
    texts = {
        file: (folder / name / file).read_text("utf-8", errors="replace")
        for file in record["sizes"]
        if file not in record["music"]
    }
    for file, facts in record["music"].items():
        path, seconds = f"{name}/{file}", facts.get("seconds", 0.0)
        if seconds < SHORTEST:
            short = f"expected music of {SHORTEST:g} s at least, got {seconds:.1f} s"
            print(f"{path}: {facts.get('reason', short)}", file=sys.stderr)
            continue
        known = credit(name, file, facts["comments"], texts)
        n_clips = max(1, int(seconds / CLIP_SECONDS))
        yield {"path": path, **known, "source": record["source"], "clips": n_clips}


def credit(
    package: str, file: str, comments: dict[str, str], texts: dict[str, str]
) -> dict[str, str]:
    """Artist, title and licence of a file, from its comments, the credits and the documents."""
    rows = [r for r in _credits(package) if fnmatch.fnmatchcase(file, r["files"])]
    named = next((r for r in rows if r["title"]), {})
    rights = next(r for r in rows if r["licence"])
    artist = named.get("artist") or comments.get("artist") or rights["artist"]
    artist = unicodedata.normalize("NFC", " ".join(artist.split()))
    title = named.get("title") or comments.get("title") or Path(file).stem
    licence = f"see the file copyright in Debian's package {package}"
    # A licence is given only while the words it was taken from are in the package.
    said = _plain(
        " ".join(text for x, text in texts.items() if _matches(x, rights["document"].split(";")))
    )
    if all(_plain(words) in said for words in rights["evidence"].split("|")):
        licence = rights["licence"] + (f", © {rights['holder']}" if rights["holder"] else "")
    return {"artist": SPELLINGS.get(artist, artist), "title": title.strip(), "licence": licence}


def _credits(package: str) -> list[dict[str, str]]:
    return [row for row in table("credits") if fnmatch.fnmatchcase(package, row["package"])]


def _plain(text: str) -> str:
    """A text on one line, without the addresses of mail."""
    return " ".join(re.sub(r"<[^>\n]*@[^>\n]*>", "", text).split())


def _matches(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def download(package: str, state: Path) -> Path | None:
    """A package that apt has fetched and verified; None if this system's sources do not have it."""
    if not (state / "lists").is_dir():
        _list_packages(state)
    # apt prints an address only of what its sources have.
    if "'" not in _apt(state, "--print-uris", "download", package).stdout:
        return None
    said = _apt(state, "download", package)
    debs = list(state.glob("*.deb"))
    if said.returncode or not debs:
        raise SoundtracksError(f"expected apt to download {package}, got {_complaint(said)}")
    return debs[0]


def _list_packages(state: Path) -> None:
    """Fetch apt's lists of packages: those of the system may be missing, or old."""
    missing = [program for program in ("apt-get", "dpkg-deb") if shutil.which(program) is None]
    if missing:
        raise SoundtracksError(
            f"expected a Debian or Ubuntu system, got no {' and no '.join(missing)}"
        )
    for path in (state / "lists" / "partial", state / "cache" / "archives" / "partial"):
        path.mkdir(parents=True)
    said = _apt(state, "update")
    # apt-get update ends with 0 where no source could be reached.
    if not any((state / "lists").glob("*Packages*")):
        raise SoundtracksError(
            "expected apt to reach the sources of packages that this system names (is there a "
            f"network?), got {_complaint(said)}"
        )


def _apt(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run apt-get in a folder, where it keeps its lists too: no root is needed."""
    options = {
        "Dir::State::Lists": state / "lists",
        "Dir::Cache": state / "cache",
        # Containers often switch this off; without it each call reads all lists anew.
        "Dir::Cache::pkgcache": "pkgcache.bin",
        # Otherwise apt, run by root, would write as a user who may not write here.
        "APT::Sandbox::User": "root",
        "Acquire::Retries": 2,
        "Acquire::http::Timeout": 30,
    }
    command = ["apt-get", *(f"-o{name}={options[name]}" for name in options), *arguments]
    environment = {**os.environ, "LC_ALL": "C"}
    done = {"capture_output": True, "text": True, "errors": "replace", "check": False}
    return subprocess.run(command, cwd=state, env=environment, **done)


def _complaint(said: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in said.stderr.splitlines() if line.startswith(("E:", "W:"))]
    return lines[0] if lines else "nothing"


def unpack(deb: Path, folder: Path, wanted: list[str], left_out: list[str] = ()) -> None:
    """Write members of a package below a folder, those of the archives in it below their paths."""
    archives = [glob[: glob.index(f"{ARCHIVE}/") + 4] for glob in wanted if f"{ARCHIVE}/" in glob]

    def keep(content: IO[bytes], name: str, mtime: float) -> None:
        if _matches(name, wanted) and not _matches(name, left_out):
            _write(content, folder, name, mtime)

    with tempfile.TemporaryFile(dir=folder) as file:
        command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
        done = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, check=False)
        if done.returncode:
            said = " ".join(done.stderr.decode(errors="replace").split())
            raise SoundtracksError(f"{deb.name}: expected a whole package, got {said}")
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:") as members:
            # No links: what they point to may lie anywhere.
            for member in filter(tarfile.TarInfo.isfile, members):
                name, content = member.name.removeprefix("./"), members.extractfile(member)
                keep(content, name, member.mtime)
                if _matches(name, archives):
                    with zipfile.ZipFile(content) as archive:
                        for item in (item for item in archive.infolist() if not item.is_dir()):
                            with archive.open(item) as inner:
                                keep(inner, f"{name}/{item.filename}", member.mtime)


def _write(content: IO[bytes], folder: Path, name: str, mtime: float) -> None:
    path = folder / name
    if ".." in path.parts or not path.is_relative_to(folder):
        raise SoundtracksError(
            f"{name}: expected a path inside the package, got one that leaves it"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        shutil.copyfileobj(content, file)
    os.utime(path, (mtime, mtime))  # the same on every machine; clips are named after it


if __name__ == "__main__":
    sys.exit(main())
