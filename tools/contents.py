"""What the book consists of: its chapters in order, and the key of each one's inputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

import multiscale
from multiscale import datasets
from multiscale.config import PROJECT_ROOT, Profile

PACKAGE = Path(multiscale.__file__).parent
TOOLS = Path(__file__).parent


@dataclass(frozen=True)
class Chapter:
    """A notebook of the book, and where its executed copy lies."""

    notebook: Path
    folder: Path
    parameters: dict
    provenance: str
    key: str

    @property
    def is_current(self) -> bool:
        """Whether the executed copy is of these very inputs."""
        stamp = self.folder / "key.txt"
        return stamp.is_file() and stamp.read_text(encoding="utf-8") == self.key

    def forget_if_incomplete(self) -> None:
        """Have a chapter that shows the experiments run again next time: some were missing."""
        if "engine.run_all" in self.notebook.read_text(encoding="utf-8"):
            (self.folder / "key.txt").unlink()


def toc_files(toc: Path) -> list[str]:
    """Documents of a table of contents, in reading order.

    Parameters
    ----------
    toc : Path
        A ``_toc.yml``.

    Returns
    -------
    list of str
        Paths without suffix, such as ``"book/index"``.
    """

    def walk(node: object) -> Iterable[str]:
        if isinstance(node, dict):
            yield from (node[key] for key in ("root", "file") if key in node)
            for child in node.values():
                yield from walk(child)
        elif isinstance(node, list):
            for child in node:
                yield from walk(child)

    return list(walk(yaml.safe_load(toc.read_text(encoding="utf-8"))))


def digest(files: Iterable[Path], *texts: str) -> str:
    """Hash of texts and of the names and contents of files."""
    state = hashlib.sha256(json.dumps(texts).encode())
    for path in sorted(files):
        state.update(json.dumps([path.name, path.stat().st_size]).encode() + path.read_bytes())
    return state.hexdigest()


def library_files() -> list[Path]:
    """What every chapter depends on besides its data: library, data files, lock, runner."""
    library = [p for p in PACKAGE.rglob("*") if p.is_file() and p.suffix != ".pyc"]
    return [*library, PROJECT_ROOT / "requirements.lock", TOOLS / "chapters.py"]


def plan(root: Path, profile: Profile, profile_argument: str) -> list[Chapter]:
    """The notebooks of the book, in reading order.

    Parameters
    ----------
    root : Path
        Folder of ``_toc.yml``.
    profile : Profile
        The profile's content, part of each key.
    profile_argument : str
        The chapters' parameter: its name or absolute path.

    Returns
    -------
    list of Chapter
        One per notebook of the table of contents.
    """
    data = json.dumps(datasets.identity(profile.dataset), sort_keys=True)
    library = digest(library_files(), profile.model_dump_json(), data)
    parameters = {"profile": profile_argument}
    chapters = []
    for name in toc_files(root / "_toc.yml"):
        notebook = root / f"{name}.ipynb"
        if notebook.is_file():
            key = digest([notebook], library, json.dumps(parameters))
            folder = root / "_build" / "chapters" / profile.name / notebook.stem
            chapters.append(Chapter(notebook, folder, parameters, provenance(profile), key))
    return chapters


def provenance(profile: Profile) -> str:
    """Which profile, data and version made a page, in a sentence."""
    data = profile.dataset
    return (
        f"This copy: profile {profile.name}, data set {data.name}, {data.n_clips or 'all'} clips "
        f"of {data.clip_seconds:g} s, multiscale {multiscale.__version__}."
    )
