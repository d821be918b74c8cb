"""What code stands behind a file, by hashes of its makers; files written whole, and read."""

from __future__ import annotations

import ast
import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import resolve_name
from pathlib import Path

from safetensors import SafetensorError, safe_open

from multiscale.config import named

ROOT = Path(__file__).resolve().parents[1]
"""Folder of the packages whose code counts."""

PACKAGES = ("multiscale", "coverbands", "companion")
"""Packages whose code counts; what others do is told by their versions."""

SILENT = {"multiscale.progress", "multiscale.identity"}
"""Modules that no number depends on."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``, and move it there if all went well."""
    temporary = path.with_name(f".writing-{uuid.uuid4().hex}{path.suffix}")
    try:
        # Others may read what a plain file lets them; some libraries write for their owner alone.
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def reading(path: str | Path, writer: str, framework: str = "numpy") -> Iterator[safe_open]:
    """Give an open safetensors file; what its reader stumbles over within is a ParameterError.

    For then it is not what ``writer`` wrote. One that cannot be opened is left an OSError.
    """
    other = f"{path}: expected what {writer} wrote, got another file"
    broken = (SafetensorError, ValueError, TypeError, LookupError, AttributeError)
    with (
        open(path, "rb"),  # safetensors says of what is denied that it is not there
        named(other, broken),
        safe_open(path, framework=framework) as file,
    ):
        yield file


def source_files(module: str) -> dict[str, Path]:
    """Modules of this project that a module reaches by import, with itself: dotted name -> file."""
    if module_file(module) is None:
        raise ModuleNotFoundError(f"module: expected one below {ROOT}, got {module!r}")
    found, queue = set(), [module]
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += _imported(name)
    return {name: module_file(name) for name in sorted(found)}


@lru_cache
def module_digests(module: str) -> dict[str, str]:
    """Hash of the code of each module that a module reaches, without comments and docstrings."""
    return {name: _digest(path) for name, path in source_files(module).items()}


@lru_cache
def code_digest(*modules: str) -> str:
    """Hash of the code of some modules, in any order, and of all they reach."""
    reached = {name: value for module in modules for name, value in module_digests(module).items()}
    return hashlib.sha256(repr(sorted(reached.items())).encode()).hexdigest()


def module_file(module: str) -> Path | None:
    """File of a module of this project, or of a package; None if there is none."""
    path = ROOT.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


@lru_cache
def _imported(module: str) -> set[str]:
    """Modules that one imports, within functions too, unless for its annotations alone."""
    path = module_file(module)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    named = set()
    queue: list[ast.AST] = [ast.parse(path.read_bytes())]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                named.add(inner if module_file(inner) else origin)
        elif not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            queue += ast.iter_child_nodes(node)
    return {name for name in named if name.split(".")[0] in PACKAGES and module_file(name)} - SILENT


@lru_cache
def _digest(path: Path) -> str:
    """Hash of a module's syntax tree, docstrings left out."""
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(getattr(node, "body", None), list):
            node.body = [statement for statement in node.body if not _is_bare_string(statement)]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_bare_string(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    is_string = isinstance(value, ast.Constant) and isinstance(value.value, str)
    return is_string and isinstance(statement, ast.Expr)
