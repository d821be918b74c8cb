"""The lock, environment.yml, pyproject.toml, the imports and what is installed agree."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import nbformat
import pytest
import yaml
from conftest import imported
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
LOCK = {
    canonicalize_name(name): version
    for name, _, version in (line.partition("==") for line in LINES if "==" in line)
}
HOMES = packages_distributions()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FOLDERS = ("lib", "extras", "tests", "benchmarks")
OWN = {path.stem for name in FOLDERS for path in (ROOT / name).iterdir()}


def needed(*extras: str) -> set[str]:
    """Packages that pyproject.toml asks for, with those of some extras."""
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][name] for name in extras)]
    return {canonicalize_name(Requirement(need).name) for needs in lists for need in needs}


def lacking(sources: Iterable[str], known: set[str]) -> set[str]:
    """Third-party names that Python sources import and that none of these packages provides."""
    names = {name.split(".")[0] for source in sources for name in imported(source)}
    names -= set(sys.stdlib_module_names) | OWN
    return {name for name in names if not {*map(canonicalize_name, HOMES.get(name, []))} & known}


def sources_in(folder: Path) -> list[str]:
    """Python modules below a folder."""
    return [path.read_text(encoding="utf-8") for path in folder.rglob("*.py")]


def test_every_line_of_the_lock_is_one_pinned_public_version():
    pinned = re.compile(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.!]*")
    assert [line for line in LINES if not pinned.fullmatch(line)] == []
    assert len(LOCK) == len(LINES)


def test_what_is_installed_is_what_the_lock_says():
    installed = {
        canonicalize_name(d.metadata["Name"]): Version(d.version).public for d in distributions()
    }
    assert {name: installed.get(name) for name in LOCK} == LOCK


def test_the_lock_names_all_that_pyproject_needs():
    assert set(LOCK) >= needed(*PROJECT["optional-dependencies"])


def test_the_lock_names_all_that_is_imported():
    sources = [source for name in FOLDERS for source in sources_in(ROOT / name)]
    for path in (ROOT / "book").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        sources += [cell.source for cell in cells if cell.cell_type == "code"]
    assert lacking(sources, set(LOCK)) == set()


@pytest.mark.parametrize(
    ("package", "extras"),
    [("multiscale", ["cluster"]), ("coverbands", ["coverbands"]), ("companion", ["book"])],
)
def test_pyproject_names_all_that_a_package_imports(package, extras):
    assert lacking(sources_in(ROOT / "lib" / package), needed(*extras)) == set()


@pytest.fixture(scope="module")
def conda():
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def test_conda_leaves_python_packages_to_the_lock(conda):
    *_, pip = conda["dependencies"]
    assert pip == {"pip": ["-r requirements.lock", "-e ."]}


def test_conda_and_pip_ask_for_the_same_python(conda):
    asked = conda["dependencies"][0].removeprefix("python")
    assert asked.split(",")[0] == PROJECT["requires-python"]
    assert Requirement(f"python{asked}").specifier.contains(sys.version.split()[0])
