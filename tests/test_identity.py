"""What code stands behind a file, by import; files that are whole or not there."""

from __future__ import annotations

import stat

import pytest

from multiscale import identity
from multiscale.identity import atomic_write, code_digest, module_digests, source_files

SOURCES = {
    "multiscale/__init__.py": "import lazy_loader\n",
    "multiscale/config.py": "RATE = 16_000\n",
    "multiscale/progress.py": "SHOWN = True\n",
    "multiscale/kmeans.py": "from multiscale.config import RATE\nfrom multiscale import progress\n",
    "multiscale/tagging.py": "def f():\n    from multiscale import kmeans\n    return kmeans\n",
    "multiscale/similarity.py": "import numpy\nimport multiscale.config\n",
    "multiscale/data/__init__.py": "from .base import SPLITS\n",
    "multiscale/data/base.py": '"""Base."""\nSPLITS = 3  # splits\n\n\ndef f():\n    """F."""\n',
    "multiscale/data/bands.py": "from coverbands import render\nfrom multiscale.data import base\n",
    "multiscale/data/other.py": "from multiscale.data import SPLITS\n",
    "multiscale/words.py": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from multiscale import kmeans\n"
    ),
    "coverbands/__init__.py": "from coverbands.playing import render\n",
    "coverbands/playing.py": "def render():\n    pass\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Two packages whose code can be changed."""
    for name, source in SOURCES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(source)
    monkeypatch.setattr(identity, "ROOT", tmp_path)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    for cached in (code_digest, module_digests, identity._imported, identity._digest):
        cached.cache_clear()


def digest(*modules: str) -> str:
    forget()
    return code_digest(*modules)


@pytest.mark.parametrize(
    ("module", "reached"),
    [
        ("kmeans", {"kmeans", "config"}),
        ("tagging", {"tagging", "kmeans", "config"}),
        ("similarity", {"similarity", "config"}),
        ("data.base", {"data.base"}),
        ("data.other", {"data.other", "data", "data.base"}),
        ("data.bands", {"data.bands", "data.base"}),
        ("words", {"words"}),
    ],
)
def test_what_a_module_reaches(package, module, reached):
    others = {"coverbands", "coverbands.playing"} if module == "data.bands" else set()
    expected = {f"multiscale.{name}" for name in reached} | others
    assert set(source_files(f"multiscale.{module}")) == expected


def test_unknown_modules_are_named(package):
    with pytest.raises(ModuleNotFoundError, match=r"got 'multiscale\.nope'"):
        source_files("multiscale.nope")


@pytest.mark.parametrize(
    ("changed", "follows"),
    [("tagging", False), ("progress", False), ("__init__", False), ("config", True)],
)
def test_the_digest_follows_the_code_that_is_reached_and_no_other(package, changed, follows):
    before, path = digest("multiscale.kmeans"), package / "multiscale" / f"{changed}.py"
    path.write_text(path.read_text() + "\nCHANGED = 1\n")
    assert (digest("multiscale.kmeans") != before) == follows


def test_the_digest_ignores_comments_docstrings_and_layout(package):
    path = package / "multiscale" / "data" / "base.py"
    before = digest("multiscale.data.base")
    path.write_text('"""Other."""\n\nSPLITS   = 3\n# more\ndef f():\n    """G."""\n')
    assert digest("multiscale.data.base") == before
    path.write_text(path.read_text().replace("3", "4"))
    assert digest("multiscale.data.base") != before


def test_the_digest_of_several_modules(package):
    names = ("multiscale.kmeans", "multiscale.similarity")
    assert digest(*names) == digest(*reversed(names)) != digest(names[0])


@pytest.mark.parametrize("module", ["learning", "protocol"])
def test_what_makes_results_reaches_neither_store_nor_figures_nor_data(module):
    reached = set(source_files(f"multiscale.study.{module}"))
    apart = {"multiscale.tagging", "multiscale.similarity", "multiscale.study"}
    assert not reached & apart
    assert not [name for name in reached if "datasets" in name]
    assert [name for name in reached if "study" in name] == [f"multiscale.study.{module}"]


def test_atomic_write_leaves_the_old_file_and_no_litter_on_failure(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            assert (temporary.parent, temporary.suffix) == (tmp_path, ".txt")
            raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_atomic_write_replaces(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        written = temporary.stat().st_ino
    assert path.stat().st_ino == written  # moved, which is atomic; a copy is not
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "new")]


def test_files_are_as_readable_as_any_other(tmp_path):
    (tmp_path / "plain").write_text("")
    with atomic_write(tmp_path / "written") as temporary:
        temporary.unlink(missing_ok=True)
        temporary.touch(0o600)  # as some libraries make them
    plain, written = ((tmp_path / name).stat().st_mode for name in ("plain", "written"))
    assert stat.S_IMODE(written) == stat.S_IMODE(plain)
