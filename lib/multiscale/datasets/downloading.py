"""Downloads: resumed where the server lets them, from the first source that serves the right file.

What is being downloaded lies in ``<name>.part``, with a note of where it comes from beside it, so
that parts of different files are never joined. What was seen of a whole file (address, size,
SHA-256) is recorded in ``downloads.json`` in its folder.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from tqdm import tqdm

from multiscale.config import Settings
from multiscale.store import atomic_write

ATTEMPTS, PAUSE_SECONDS, TIMEOUT_SECONDS = 8, 5.0, 60.0
"""Tries in a row that get no further, time between two, and how long a server may be silent."""

CHUNK = 1 << 20
"""Bytes read at a time."""

NETWORK = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)
"""What may go wrong on the way, and be better the next time."""

RECORD = "downloads.json"
"""Where a folder's downloads are recorded."""


class DownloadError(RuntimeError):
    """A file that no source serves, or none serves rightly."""


class WrongFileError(DownloadError):
    """A source that serves something else than the file."""


class Expected(Settings):
    """What is known of a file beforehand."""

    name: str
    size: int | None = None
    sha256: str | None = None
    begins: tuple[bytes, ...] = ()


@dataclass
class _Partial:
    """Half a download: the file, and a note of where it comes from and how it was marked."""

    path: Path
    url: str

    @property
    def note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def start(self) -> tuple[int, str]:
        """Bytes that are there, and the server's mark of the file they belong to."""
        try:
            note = json.loads(self.note.read_text("utf-8"))
            if note["url"] == self.url and note["mark"]:
                return self.size(), note["mark"]
        except (OSError, ValueError, KeyError):
            pass  # there is none, or nobody knows of what
        return 0, ""

    def begin(self, headers: Message) -> None:
        """Note what file is about to be downloaded."""
        self.discard()
        mark = headers.get("ETag", "")
        if not mark or mark.startswith("W/"):  # a weak mark is no ground to join halves on
            mark = headers.get("Last-Modified", "")
        self.note.write_text(json.dumps({"url": self.url, "mark": mark}), encoding="utf-8")

    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def discard(self) -> None:
        """Forget it."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def fetch(urls: Sequence[str], folder: Path, expected: Expected) -> Path:
    """Download a file, unless it is there.

    Parameters
    ----------
    urls : sequence of str
        Sources, the best first.
    folder : Path
        Where to.
    expected : Expected
        Its name, and what is known of it.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DownloadError
        If no source serves the file; says what each of them said.
    """
    path = folder / expected.name
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    complaints = []
    for url in urls:
        try:
            partial = _Partial(folder / (expected.name + ".part"), url)
            _download(partial, expected)
            _record(folder, expected.name, url, _verified(partial, expected))
            partial.path.replace(path)
            partial.discard()
            return path
        except DownloadError as error:
            complaints.append(f"{url}: {error}")
    raise DownloadError(
        f"{expected.name}: expected it from some source, got {'; '.join(complaints)}"
    )


def _download(partial: _Partial, expected: Expected) -> None:
    """Download all of a file, going on where the last try stopped, as long as that gets on."""
    attempt, most = 1, 0
    while not _go_on(partial, expected, last=attempt == ATTEMPTS):
        size = partial.size()
        attempt, most = (1, size) if size > most else (attempt + 1, most)
        time.sleep(PAUSE_SECONDS)


def _go_on(partial: _Partial, expected: Expected, last: bool) -> bool:
    """Whether all of a file is there now; trouble with the network is raised the last time."""
    start, mark = partial.start()
    headers = {"User-Agent": "multiscale", "Accept-Encoding": "identity"}
    if start:
        # If-Range: should the file have changed since, the server sends all of it.
        headers |= {"Range": f"bytes={start}-", "If-Range": mark}
    request = urllib.request.Request(partial.url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:
            _receive(reply, partial, expected, start)
        return True
    except urllib.error.HTTPError as error:
        if error.code == 416:  # asked for what comes after the end
            if error.headers.get("Content-Range") == f"bytes */{start}":
                return True
            partial.discard()
        elif last or error.code < 500:
            raise DownloadError(str(error)) from error
    except NETWORK as error:
        if last:
            raise DownloadError(str(error)) from error
    return False


def _receive(reply, partial: _Partial, expected: Expected, start: int) -> None:
    """Write what a server sends behind what is there, or in its place."""
    if reply.headers.get_content_type() == "text/html":
        raise WrongFileError("expected the file, got a web page")
    told = reply.headers.get("Content-Range", "")
    if not (reply.status == 206 and told.startswith(f"bytes {start}-")):
        start = 0
        partial.begin(reply.headers)
    length = reply.headers.get("Content-Length")
    total = None if length is None else start + int(length)
    if None not in (total, expected.size) and total != expected.size:
        partial.discard()
        raise WrongFileError(f"expected {expected.size} bytes, got {total}")
    with (
        open(partial.path, "ab") as file,
        tqdm(desc=expected.name, total=total, initial=start, unit="B", unit_scale=True) as bar,
    ):
        while chunk := reply.read(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
    if total not in (None, partial.size()):
        raise ConnectionError(f"expected {total} bytes, got {partial.size()} before it ended")


def _verified(partial: _Partial, expected: Expected) -> dict[str, int | str]:
    """Size and checksum of a download that is what was expected; another one is removed."""
    with open(partial.path, "rb") as file:
        seen = {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "size": file.tell()}
        file.seek(0)
        head = file.read(64)
    wrong = ""
    for what in ("size", "sha256"):
        wanted = getattr(expected, what)
        if wanted is not None and wanted != seen[what]:
            wrong = f"expected {what} {wanted}, got {seen[what]}"
    if expected.begins and not head.startswith(expected.begins):
        wrong = f"expected a file that begins with {expected.begins[0]!r}, got {head[:16]!r}"
    if wrong:
        partial.discard()
        raise WrongFileError(wrong)
    return seen


def _record(folder: Path, name: str, url: str, seen: dict[str, int | str]) -> None:
    record = recorded(folder) | {name: {"url": url, **seen}}
    with atomic_write(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")


def recorded(folder: Path) -> dict[str, dict[str, int | str]]:
    """What was seen of the files downloaded to a folder: name -> url, size, sha256."""
    try:
        return json.loads((folder / RECORD).read_text("utf-8"))
    except FileNotFoundError:
        return {}
