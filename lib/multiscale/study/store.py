"""Artefacts on disk, computed once: each under a key made of settings and source code.

The key of an artefact is a hash of its kind, its settings and the code of the modules that make it,
with all that those reach by import (:mod:`multiscale.identity`). A change in ``kmeans`` recomputes
what follows from it; a change in a figure, or in a comment or docstring anywhere, recomputes
nothing. Every file tells in its header what it was made from, and with what.
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from safetensors.numpy import save_file

from multiscale.config import ParameterError, data_home
from multiscale.identity import ROOT, atomic_write, code_digest, module_digests, reading

LIBRARIES = ("multiscale", "numpy", "torch", "scikit-learn")
"""Distributions whose versions every file tells."""


def save_arrays(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Write named arrays to a safetensors file."""
    save_file({name: np.asarray(value, order="C") for name, value in arrays.items()}, path)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read what :func:`save_arrays` wrote."""
    with reading(path, "save_arrays") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no dict)


@dataclass(frozen=True)
class Artefact:
    """A file of the store, whether it is there or not."""

    kind: str  # its folder
    settings: dict  # all that determines it beside code, as JSON-able values
    makers: tuple[str, ...]  # modules that make it; what they reach is the code of its key
    about: tuple[str, ...] = ()  # modules that the settings stand for: only told in its header
    save: Callable[[Any, Path], None] = save_arrays
    load: Callable[[Path], Any] = load_arrays

    @property
    def path(self) -> Path:
        """Where it is, or would be."""
        identity = {"settings": self.settings, "code": code_digest(*self.makers)}
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]
        return data_home() / "store" / self.kind / f"{key}.safetensors"

    @property
    def modules(self) -> dict[str, str]:
        """Module -> hash of its code, of all modules behind it."""
        return {
            name: value
            for maker in (*self.makers, *self.about)
            for name, value in module_digests(maker).items()
        }

    def read(self) -> Any | None:
        """Its content; None if it is not there, or broken as after a disk fault."""
        try:
            return self.load(self.path)
        except (FileNotFoundError, ParameterError):
            return None

    def write(self, content: object) -> None:
        """Save its content; a file appears whole or not at all."""
        with atomic_write(self.path) as temporary:
            self.save(content, temporary)
            told = {"settings": self.settings, "modules": self.modules, "made with": made_with()}
            _add_metadata(temporary, {name: json.dumps(value) for name, value in told.items()})


def obtain(
    artefacts: Sequence[Artefact], compute: Callable[[list[int]], Sequence[object]]
) -> list[Any]:
    """Read artefacts; compute those that are missing together, and write each.

    ``compute(missing)`` makes those whose positions are in the list ``missing``. One process at a
    time computes a given artefact; reading takes no lock.
    """
    contents = [artefact.read() for artefact in artefacts]
    if all(content is not None for content in contents):
        return contents
    with ExitStack() as locks:
        # In one order everywhere, so that two processes never wait for each other.
        for path in sorted({artefact.path for artefact in artefacts}):
            path.parent.mkdir(parents=True, exist_ok=True)
            locks.enter_context(FileLock(lock_path(path)))
        contents = [artefact.read() for artefact in artefacts]  # as others may have made some
        missing = [index for index, content in enumerate(contents) if content is None]
        for index, content in zip(missing, compute(missing) if missing else (), strict=True):
            artefacts[index].write(content)
            contents[index] = content
    return contents


def lock_path(path: Path) -> Path:
    """The lock that is held while an artefact is being made."""
    return path.with_suffix(".lock")


def is_being_made(path: Path) -> bool:
    """Whether some process on this machine is making the artefact of that path."""
    if not lock_path(path).is_file():
        return False
    try:
        with FileLock(lock_path(path), timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # another user's, or a disk that is only read
        return False


def metadata(path: Path) -> dict:
    """What a file of the store tells of itself: settings, modules, made with (versions)."""
    with reading(path, "the store") as file:
        told = file.metadata() or {}
        return {name: json.loads(told[name]) for name in ("settings", "modules", "made with")}


def is_whole(path: Path) -> bool:
    """Whether a file of the store is there, its header right and as long as that says."""
    try:
        metadata(path)
    except (FileNotFoundError, ParameterError):
        return False
    return True


def other_versions(artefacts: Iterable[Artefact]) -> str:
    """A line on those stored that other versions of the libraries made; empty if there are none."""
    now, counts = made_with(), Counter()
    for artefact in artefacts:
        with suppress(ParameterError, FileNotFoundError):
            made = metadata(artefact.path)["made with"]
            counts.update(f"{name} {made[name]}" for name in LIBRARIES if made[name] != now[name])
    words = ", ".join(f"{count} by {version}" for version, count in sorted(counts.items()))
    store = data_home() / "store"
    return words and f"used are results of other versions: {words}; anew: rm -r '{store}'"


def why_stale(artefact: Artefact) -> str:
    """Which code changed since one of these settings was made, or how the nearest one differs."""
    stored = []
    for path in artefact.path.parent.glob("[!.]*.safetensors"):
        with suppress(ParameterError, FileNotFoundError):
            told, age = metadata(path), -path.stat().st_mtime
            differing = _differences(told["settings"], artefact.settings)
            stored.append((len(differing), age, path, differing, told["modules"]))
    if not stored:
        return f"no {artefact.kind} stored yet"
    *_, path, differing, modules = min(stored)
    if differing:
        return f"not computed yet; the nearest stored differs in {', '.join(differing)}"
    now = artefact.modules
    changed = sorted(name for name in now.keys() | modules if now.get(name) != modules.get(name))
    return f"code changed: {', '.join(changed)}" if changed else f"gone or broken: {path.name}"


@lru_cache
def made_with() -> dict[str, str]:
    """Versions of Python and of the libraries, and the commit of this source if it has one."""
    versions = {"python": platform.python_version()}
    versions |= {name: version(name) for name in LIBRARIES}
    command = ["git", "-C", str(ROOT), "rev-parse", "--show-toplevel", "HEAD"]
    try:
        told = subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL).splitlines()
    except (OSError, subprocess.CalledProcessError):
        return versions
    # Not the commit of another project, within whose folder this one is installed.
    return versions | {"commit": told[1]} if Path(told[0]) == ROOT.parent else versions


def _differences(stored: object, wanted: object, name: str = "") -> list[str]:
    """Names, with both values, of what differs; code that settings stand for is left to modules."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        return [
            found
            for key in sorted(stored.keys() | wanted.keys())
            if key != "code"
            for found in _differences(stored.get(key), wanted.get(key), f"{name}.{key}".strip("."))
        ]
    # As it is read from JSON, in which there are no tuples.
    wanted = json.loads(json.dumps(wanted))
    return [] if stored == wanted else [f"{name} ({stored} -> {wanted})"]


def _add_metadata(path: Path, more: dict[str, str]) -> None:
    """Add to the header of a safetensors file: its length, the header as JSON, then the arrays."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = {**header.get("__metadata__", {}), **more}
    told = json.dumps(header).encode()
    told += b" " * (-len(told) % 8)  # arrays begin at a multiple of eight bytes
    path.write_bytes(len(told).to_bytes(8, "little") + told + content[start:])
