"""The lock, environment.yml, pyproject.toml, the imports and what is installed agree."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import made_up
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


@pytest.fixture
def project(tmp_path) -> Path:
    """A project whose environment is made of stand-ins, which tell what they are called with."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.lock").touch()
    (tmp_path / "pyproject.toml").touch()
    tells = """test "$1" != -c || exec {python} "$@"; sleep 0.2; printf '<%s>' "$@" >> {log}"""
    tells = tells.format(python=sys.executable, log=tmp_path / "log")
    made_up.program(tmp_path / "stub/told", tells)
    installs = (
        "cp stub/told .venv/bin/python && cp stub/told .venv/bin/pip && touch .venv/pyvenv.cfg"
    )
    venv = f'test "$1" = -m && mkdir -p .venv/bin && {installs} && exit'
    made_up.program(tmp_path / "stub/python", f"{venv}\n{tells}")
    return tmp_path


def make(project: Path, *arguments: str) -> subprocess.Popen:
    command = ["make", "PYTHON=stub/python", *arguments]
    return subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, text=True)


def test_two_make_one_environment_once(project):
    both = [make(project, "env") for _ in range(2)]
    said = [each.communicate(timeout=60)[1] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert (project / "log").read_text().count("<install>") == 3
    assert not (project / ".venv/.installing").exists()
    future = time.time() + 1e6
    os.utime(project / "requirements.lock", (future, future))
    for _ in range(2):
        assert make(project, "env").wait(60) == 0
    assert (project / "log").read_text().count("<install>") == 6


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("book", "PROFILE=my profiles/my smoke.yaml"), "<--profile><my profiles/my smoke.yaml>"),
        (("book", "DATA=/x/it's $A.csv"), "<--data></x/it's $A.csv>"),
        (("rerun", 'P=source="a b.yaml"'), '<--parameters><source="a b.yaml">'),
        (("lab",), "<--allow-root>" if os.getuid() == 0 else "<book>"),
    ],
)
def test_variables_of_make_arrive_as_they_were_given(project, arguments, told):
    assert make(project, *arguments).wait(60) == 0
    assert told in (project / "log").read_text()


def test_make_refuses_in_a_line_what_it_cannot_do(project):
    before = sorted(project.iterdir())
    refused = make(project, "env", "VENV=my env")
    assert 'VENV: expected a path without spaces, got "my env"' in refused.communicate()[1]
    assert refused.returncode
    assert sorted(project.iterdir()) == before
    assert make(project, "env").wait(60) == 0
    assert "no book is there to serve" in make(project, "serve").communicate()[1]
    made = project / "_build/html/index.html"
    made.parent.mkdir(parents=True)
    made.touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = make(project, "serve", f"PORT={port}").communicate()[1]
    assert f"port {port} cannot be had" in said
    assert len(said.splitlines()) == 2  # with make's own
