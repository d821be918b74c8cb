"""What the book consists of: its chapters in order, and the key of what each one is made from."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import nbformat
import papermill
import yaml

import multiscale
from multiscale import datasets
from multiscale.identity import PACKAGES, code_digest, module_file, source_files
from multiscale.study.profiles import Profile

RUNNER = "companion.notebooks"
"""Module that runs a chapter."""


@dataclass(frozen=True)
class Chapter:
    """A notebook of the book, and where its executed copy lies."""

    notebook: Path
    folder: Path
    profile: str
    provenance: str
    key: str

    @property
    def made(self) -> dict:
        """Key of the executed copy, and the seconds it took; empty if there is none."""
        with suppress(FileNotFoundError, ValueError):  # of a file that a disk fault has broken
            return json.loads((self.folder / "made.json").read_text(encoding="utf-8"))
        return {}

    @property
    def is_current(self) -> bool:
        """Whether the executed copy is of these very inputs."""
        return self.made.get("key") == self.key


def parameters(notebook: Path) -> dict:
    """A chapter's parameters with their values, as they stand in it."""
    found = papermill.inspect_notebook(notebook)
    return {name: ast.literal_eval(known["default"]) for name, known in found.items()}


def toc_files(toc: Path) -> list[str]:
    """Documents of a ``_toc.yml`` in reading order, without suffix, such as "book/index"."""

    def walk(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (node[key] for key in ("root", "file") if key in node)
            node = list(node.values())
        for child in node if isinstance(node, list) else []:
            yield from walk(child)

    return list(walk(yaml.safe_load(toc.read_text(encoding="utf-8"))))


def plan(root: Path, profile: Profile) -> list[Chapter]:
    """The notebooks of the book under ``root``, in reading order."""
    lock = [path for path in [root / "requirements.lock"] if path.is_file()]
    common = [provenance(profile), profile.model_dump_json(), datasets.identity(profile.dataset)]
    chapters = []
    for name in toc_files(root / "_toc.yml"):
        notebook = root / f"{name}.ipynb"
        if notebook.is_file():
            used = {RUNNER, *modules(notebook)}
            told = json.dumps([*common, code_digest(*used)], sort_keys=True)
            text = notebook.read_text(encoding="utf-8")
            measured = [path for path in root.glob("benchmarks/*.csv") if path.name in text]
            key = digest([notebook, *lock, *measured, *tables(used)], told)
            folder = root / "_build" / "chapters" / profile.name / notebook.stem
            chapters.append(Chapter(notebook, folder, profile.name, common[0], key))
    return chapters


def digest(files: list[Path], *texts: str) -> str:
    """Hash of texts and of the names and contents of files."""
    state = hashlib.sha256(json.dumps(texts).encode())
    for path in sorted(files):
        state.update(json.dumps([path.name, path.stat().st_size]).encode() + path.read_bytes())
    return state.hexdigest()


def modules(notebook: Path) -> set[str]:
    """Modules of this project that hold what a notebook names."""
    cells = nbformat.read(notebook, as_version=4).cells
    source = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    tree = ast.parse(re.sub(r"^\s*[%!].*$", "", source, flags=re.MULTILINE))
    nodes = list(ast.walk(tree))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    used = {name for name in names if name.split(".")[0] in PACKAGES}
    packages = {}  # stand for what is used of them
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in PACKAGES:
            for alias in node.names:
                home = home_of(node.module, alias.name)
                if home == f"{node.module}.{alias.name}" and is_package(home):
                    packages[alias.asname or alias.name] = home
                else:
                    used.add(home)
    attributes = (node for node in nodes if isinstance(node, ast.Attribute))
    found = ((packages.get(getattr(node.value, "id", None)), node.attr) for node in attributes)
    return used | {home_of(package, name) for package, name in found if package}


def is_package(name: str) -> bool:
    """Whether a name is that of a package of this project."""
    return getattr(module_file(name), "stem", "") == "__init__"


def home_of(package: str, name: str) -> str:
    """Module that a name of a package or module comes from."""
    if module_file(f"{package}.{name}"):
        return f"{package}.{name}"
    if is_package(package):
        for node in ast.walk(ast.parse(module_file(package).read_bytes())):
            if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
                return node.module
            if isinstance(node, ast.keyword) and node.arg == "submod_attrs":  # of lazy_loader
                lazy = ast.literal_eval(node.value).items()
                if home := next((module for module, names in lazy if name in names), None):
                    return f"{package}.{home}"
    return package


def tables(names: set[str]) -> set[Path]:
    """Files of data that belong to a module that these reach: ``decisions.yaml``."""
    reached = {path for name in names for path in source_files(name).values()}
    return {table for path in reached if (table := path.with_suffix(".yaml")).is_file()}


def provenance(profile: Profile) -> str:
    """Which profile, data and version made a page, in a sentence."""
    data = profile.dataset
    return (
        f"This copy: profile {profile.name}, data set {data.name}, {data.n_clips or 'all'} clips "
        f"of {data.clip_seconds:g} s, multiscale {multiscale.__version__}."
    )
