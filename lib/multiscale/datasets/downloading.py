"""Downloads: resumed where the server lets them, from the first source that serves the right file.

What is being downloaded lies in ``<name>.part``, with a note of where it comes from beside it, so
that parts of different files are never joined. What was seen of a whole file (address, size,
SHA-256) is recorded in ``downloads.json`` in its folder.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from multiscale.config import Settings
from multiscale.store import atomic_write

ATTEMPTS, PAUSE_SECONDS, TIMEOUT_SECONDS = 8, 5.0, 60.0
"""Tries at each source, time between two of them, and how long a server may be silent."""

CHUNK = 1 << 20
"""Bytes read at a time."""

NETWORK = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)
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
                return self.path.stat().st_size, note["mark"]
        except (OSError, ValueError, KeyError):
            pass  # there is none, or nobody knows of what
        return 0, ""

    def begin(self, mark: str) -> None:
        """Note what file is about to be downloaded."""
        self.discard()
        self.note.write_text(json.dumps({"url": self.url, "mark": mark}), encoding="utf-8")

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
    """Download all of a file, going on where the last try stopped."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _go_on(partial, expected)
        except NETWORK as error:
            refused = isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500
            if refused and error.code == 416:  # what is there is not a part of the file
                partial.discard()
            elif refused or attempt == ATTEMPTS:
                raise DownloadError(f"{error} (attempt {attempt} of {ATTEMPTS})") from error
            time.sleep(PAUSE_SECONDS)


def _go_on(partial: _Partial, expected: Expected) -> None:
    start, mark = partial.start()
    headers = {"User-Agent": "multiscale", "Accept-Encoding": "identity"}
    if start:
        # If-Range: should the file have changed since, the server sends all of it.
        headers |= {"Range": f"bytes={start}-", "If-Range": mark}
    request = urllib.request.Request(partial.url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:
        if reply.headers.get_content_type() == "text/html":
            raise WrongFileError("expected the file, got a web page")
        goes_on = reply.status == 206 and reply.headers.get("Content-Range", "").startswith(
            f"bytes {start}-"
        )
        if not goes_on:
            start = 0
            partial.begin(reply.headers.get("ETag") or reply.headers.get("Last-Modified") or "")
        left = int(reply.headers.get("Content-Length", -1))
        total = start + left if left >= 0 else None
        if expected.size is not None and total is not None and total != expected.size:
            partial.discard()
            raise WrongFileError(f"expected {expected.size} bytes, got {total}")
        with (
            open(partial.path, "ab") as file,
            tqdm(desc=expected.name, total=total, initial=start, unit="B", unit_scale=True) as bar,
        ):
            while chunk := reply.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    size = partial.path.stat().st_size
    if total is not None and size != total:
        raise ConnectionError(f"expected {total} bytes, got {size} before the connection ended")


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
