"""Artefacts on disk, computed once: arrays under a key made of settings and source code.

The key of an artefact is a hash of its settings and of the source of every module to the left of
the one that makes it (:data:`FLOW`). A change in ``scales`` recomputes what follows from it; a
change in ``figures``, or in a comment or docstring anywhere, recomputes nothing. Data sets are left
out there: what one is made from is part of the settings (:func:`multiscale.datasets.identity`), so
that a change in one does not touch the results of another.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.numpy import save_file

from multiscale.config import ParameterError, data_home

Artefact = TypeVar("Artefact")

FLOW = (
    "config",
    "store",
    "audio",
    "datasets",
    "spectrogram",
    "scales",
    "windows",
    "kmeans",
    "encoding",
    "features",
    "architectures",
    "training",
    "tagging",
    "similarity",
    "experiments",
    "grid",
    "cells",
    "plan",
    "engine",
    "results",
    "evidence",
    "claims",
    "decisions",
    "parameters",
    "figures",
    "listen",
    "data_cli",
    "cli",
)
"""Modules in the order in which data flows; each imports only what stands to its left."""


def cached_file(
    path: Path,
    compute: Callable[[], Artefact],
    save: Callable[[Artefact, Path], None],
    load: Callable[[Path], Artefact],
) -> Artefact:
    """Load an artefact, or compute and save it: :func:`cached_files` for one."""
    return cached_files([path], lambda missing: [compute()], save, load)[0]


def cached_files(
    paths: Sequence[Path],
    compute: Callable[[list[int]], list[Artefact]],
    save: Callable[[Artefact, Path], None],
    load: Callable[[Path], Artefact],
) -> list[Artefact]:
    """Load artefacts; compute those that are missing together, and save each.

    Parameters
    ----------
    paths : sequence of Path
        Where they are, or will be; see :func:`artefact_path`.
    compute : callable
        ``compute(missing)`` makes those whose positions are in the list ``missing``.
    save, load : callable
        Write one to a path, and read it back.

    Returns
    -------
    list of object
        The artefacts, in the order of ``paths``.

    Notes
    -----
    A file appears whole or not at all, and one process at a time computes a given artefact. A
    file that cannot be read, as after a disk fault, is computed again.
    """
    with ExitStack() as locks:
        # In one order everywhere, so that two processes never wait for each other.
        for path in sorted(set(paths)):
            path.parent.mkdir(parents=True, exist_ok=True)
            locks.enter_context(FileLock(lock_path(path)))
        artefacts = [_load_or_none(path, load) for path in paths]
        missing = [index for index, artefact in enumerate(artefacts) if artefact is None]
        if missing:
            for index, artefact in zip(missing, compute(missing), strict=True):
                with atomic_write(paths[index]) as temporary:
                    save(artefact, temporary)
                artefacts[index] = artefact
    return artefacts


def lock_path(path: Path) -> Path:
    """The lock that is held while an artefact is being made."""
    return path.with_suffix(".lock")


def save_arrays(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Write named arrays to a safetensors file."""
    save_file({name: np.asarray(value, order="C") for name, value in arrays.items()}, path)


def _load_or_none(path: Path, load: Callable[[Path], Artefact]) -> Artefact | None:
    if not path.exists():
        return None
    try:
        return load(path)
    except (SafetensorError, OSError):
        path.unlink()
        return None


def artefact_path(name: str, settings: dict, made_by: str) -> Path:
    """Where an artefact is, or would be."""
    identity = {"settings": settings, "code": code_digest(made_by)}
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]
    return data_home() / "store" / name / f"{key}.safetensors"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``, and move it there if all went well.

    Parameters
    ----------
    path : Path
        The file to be.

    Yields
    ------
    Path
        Where to write.
    """
    # Not tempfile's, whose files only their owner may read.
    temporary = path.with_name(f".writing-{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@lru_cache
def code_digest(made_by: str) -> str:
    """Hash of the code of a module and of all to its left, without comments and docstrings."""
    if made_by not in FLOW:
        raise ParameterError(f"made_by: expected one of {', '.join(FLOW)}, got {made_by!r}")
    left = [module for module in FLOW[: FLOW.index(made_by) + 1] if module != "datasets"]
    return source_digest([Path(__file__).with_name(f"{module}.py") for module in left])


def source_digest(paths: Sequence[Path]) -> str:
    """Hash of the code of some files, without comments and docstrings."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(_normalised(path.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()


def _normalised(source: str) -> str:
    """Dump a module's syntax tree, docstrings left out."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [statement for statement in body if not _is_bare_string(statement)]
    return ast.dump(tree)


def _is_bare_string(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
