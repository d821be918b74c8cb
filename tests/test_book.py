"""The build on a made-up book: skip, fail, be killed, leave out, rerun, refuse."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import made_up
import nbformat
import psutil
import pytest

from companion import api_page, contents, notebooks, pages, rerun
from companion import build as building
from companion.kernel import WARM
from multiscale.commands import processes
from multiscale.config import ParameterError
from multiscale.study.profiles import load_profile

BUILD = """
import sys
from pathlib import Path
from companion import build
build.prepare = lambda *made_ready: {{}}
build.compute = lambda profile: {{}}
sys.exit(build.build(Path({root!r}), build.choose_profile("smoke")))
"""
GOOD = """
import os
from pathlib import Path
Path(os.environ["MULTISCALE_FILES"], "sum.txt").write_text(str(seed + 1))
print(seed + 1)
"""


def write_chapter(root: Path, name: str, *sources: str, parameters: str = "") -> Path:
    known = f'profile = "laptop"\nn_levels = 6\nseed = 0\ndictionary = 500\n{parameters}'
    return made_up.chapter(root / "book" / f"{name}.ipynb", known, *sources)


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book of two good chapters, for which nothing has to be made ready."""
    (tmp_path / "book").mkdir()
    toc = "format: jb-book\nroot: book/front\nchapters: [{file: book/second}, {file: book/api}]\n"
    (tmp_path / "_toc.yml").write_text(toc, encoding="utf-8")
    (tmp_path / "_config.yml").write_text("title: made up\n", encoding="utf-8")
    write_chapter(tmp_path, "front", GOOD)
    write_chapter(tmp_path, "second", GOOD)
    monkeypatch.setattr(building, "prepare", lambda *asked: {})
    monkeypatch.setattr(building, "compute", lambda profile: {})
    for module in (building, rerun):  # to import what these chapters do not need takes longest
        monkeypatch.setattr(module, "WARM", {})
    return tmp_path


@pytest.fixture
def staged(monkeypatch):
    """Leave Sphinx out; the names of the chapters staged at each call."""
    calls = []

    def jupyter_book(source, config, output, *options):
        calls.append(sorted(path.name for path in (source / "book").glob("*.ipynb")))
        (output / "html").mkdir(parents=True)
        return output / "html"

    monkeypatch.setattr(pages, "jupyter_book", jupyter_book)
    return calls


def build(book: Path) -> int:
    return building.build(book, load_profile("smoke"))


def executed(book: Path) -> dict[str, bytes]:
    """What the chapters left for the pages, by path."""
    chapters = book / "_build" / "chapters"
    found = (p for p in chapters.rglob("*") if p.is_file() and p.name != "made.json")
    return {p.relative_to(chapters).as_posix(): p.read_bytes() for p in found}


def test_chapters_run_with_the_profile_and_are_staged_with_their_files(book, staged):
    assert build(book) == 0
    assert staged == [["front.ipynb", "second.ipynb"]]
    front = nbformat.read(book / "_build" / "stage" / "book" / "front.ipynb", as_version=4)
    assert [c.id for c in front.cells[1:]] == ["parameters", "injected-parameters", "work-0"]
    assert 'profile = "smoke"' in front.cells[2].source
    assert front.cells[3].outputs[0].text == "1\n"
    assert "profile smoke" in front.metadata.provenance
    assert re.search(r"This page: seed 0, run in \d+ s\.$", front.metadata.provenance)
    for folder in ("book", "extra/book"):
        assert (book / "_build" / "stage" / folder / "files/second/sum.txt").read_text() == "1"


def test_chapters_share_the_cores(book, staged):
    write_chapter(book, "front", "import os", 'print(os.environ["OMP_NUM_THREADS"])')
    assert build(book) == 0
    made = nbformat.read(book / "_build/chapters/smoke/front/front.ipynb", as_version=4)
    n_threads = int(made.cells[-1].outputs[0].text)
    assert n_threads * building.JOBS <= os.cpu_count() < (n_threads + 1) * building.JOBS


def test_a_warm_kernel_leaves_what_a_cold_one_does(tmp_path):
    where = "import multiprocessing, os\nprint(os.getcwd(), os.environ['HERE'])\n"
    where += "print(os.getsid(0) == os.getpid(), multiprocessing.get_start_method(allow_none=True))"
    table = "import numpy as np\nimport pandas as pd\npd.DataFrame(np.zeros((2, 30)))"
    figure = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.gcf()"
    (tmp_path / "book").mkdir()
    begun = "import sys\nprint('torch' in sys.modules)"
    source = write_chapter(tmp_path, "one", where, table, figure, begun)
    left = []
    for env in ({}, WARM):
        with processes(1, env={"HERE": "here"} | env) as pool:
            given = source, tmp_path / "executed.ipynb", {}, tmp_path
            executed = pool.submit(notebooks.execute, *given).result()
        assert notebooks.tidy(executed, "") == ""
        left.append(executed.cells)
    cold, warm = left
    assert [cells.pop().outputs[0].text for cells in left] == ["False\n", f"{bool(WARM)}\n"]
    assert cold == warm


def test_only_what_changed_runs_again(book, staged, capsys):
    build(book)
    first = executed(book)
    assert build(book) == 0
    assert "all 2 chapters are up to date" in capsys.readouterr().out
    assert len(staged) == 1
    write_chapter(book, "second", GOOD, "print('more')")
    assert build(book) == 0
    changed = {name for name, content in executed(book).items() if content != first[name]}
    assert changed == {"smoke/second/second.ipynb"}
    assert len(staged) == 2
    made = book / "_build/chapters/smoke/front/made.json"
    whole = made.read_bytes()
    made.write_bytes(b"")  # as after a disk fault
    assert build(book) == 0
    assert json.loads(made.read_bytes())["key"] == json.loads(whole)["key"]


def test_a_chapter_depends_on_the_figures_that_it_draws_alone(tmp_path):
    (tmp_path / "book").mkdir()
    draws = "%matplotlib inline\nfrom companion import chapter, figures\nfigures.curves(table)"
    lazy = "from multiscale import MultiscaleFeatures as M, datasets\ndatasets.load(1)"
    for source, used in {
        draws: {"companion.chapter", "companion.figures.charts"},
        lazy: {"multiscale.features", "multiscale.datasets"},
    }.items():
        assert contents.modules(write_chapter(tmp_path, "x", source)) == used
    register = {path.name for path in contents.tables({"multiscale.study.decisions"})}
    assert "decisions.yaml" in register


def test_a_chapter_depends_on_the_measurements_that_it_shows_alone(book):
    def keys() -> list[str]:
        return [chapter.key for chapter in contents.plan(book, load_profile("smoke"))]

    write_chapter(book, "second", GOOD, "print('results.csv')")
    front, second = keys()
    (book / "benchmarks").mkdir()
    (book / "benchmarks" / "results.csv").write_text("way,seconds\n", encoding="utf-8")
    assert keys()[0] == front
    assert keys()[1] != second


def test_what_failed_is_said_and_tried_again_next_time(book, staged, monkeypatch, capsys):
    write_chapter(book, "second", "print(compute)", parameters="compute = True")
    monkeypatch.setattr(building, "compute", lambda profile: {"a": "a: no room"})
    assert build(book) == 0
    assert "missing in the book: a: no room" in capsys.readouterr().err
    asked = []
    monkeypatch.setattr(building, "compute", lambda profile: asked.append(profile) or {})
    assert build(book) == 0
    assert build(book) == 0
    assert len(asked) == 1


SECTIONS = [
    ("x = 0", ("parameters",)),
    ("## Tags", ("needs-tags",)),
    ("a", ()),
    ("### Inside", ("needs-artists",)),
    ("b", ()),
    ("## Next", ()),
    ("c", ("needs-artists",)),
    ("d", ()),
]


@pytest.mark.parametrize(
    ("title", "lacking", "left"),
    [
        ([], [], "x = 0, ## Tags, a, ### Inside, b, ## Next, c, d"),
        ([], ["tags"], "x = 0, *no tags*, ## Next, c, d"),
        ([], ["artists"], "x = 0, ## Tags, a, *no artists*, ## Next, *no artists*, d"),
        ([], ["tags", "artists"], "x = 0, *no tags*, ## Next, *no artists*, d"),
        (["needs-tags"], ["tags"], "x = 0, *no tags*"),
    ],
)
def test_sections_that_need_what_the_data_lack_are_left_out(tmp_path, title, lacking, left):
    cells = [
        nbformat.v4.new_markdown_cell(source, metadata={"tags": tags})
        for source, tags in [("# Title", title), *SECTIONS]
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "whole.ipynb")
    reasons = {name: f"no {name}" for name in lacking}
    notebooks.leave_out(tmp_path / "whole.ipynb", tmp_path / "rest.ipynb", reasons)
    rest = nbformat.read(tmp_path / "rest.ipynb", as_version=4)
    told = ", ".join(cell.source for cell in rest.cells)
    told = told.replace("Something is left out here: ", "").replace(".*", "*")
    assert told == f"# Title, {left}"


def test_a_profile_on_other_data(tmp_path, home):
    (tmp_path / "tags.csv").write_text("path\n")
    assert building.choose_profile("smoke") == load_profile("smoke")
    chosen = building.choose_profile("smoke", "folder", str(tmp_path / "tags.csv"), "all")
    assert chosen.name == "smoke-folder"  # no path: pages show it
    assert chosen == load_profile("smoke-folder")
    assert chosen.dataset.path == str(tmp_path / "tags.csv")
    assert chosen.dataset.n_clips is None
    assert chosen.tagging == load_profile("smoke").tagging
    with pytest.raises(ParameterError, match=r"dataset: expected one of cover_bands, .* 'radio'"):
        building.choose_profile("smoke", "radio")
    with pytest.raises(ParameterError, match="n_clips"):
        building.choose_profile("smoke", clips="many")
    for dataset, data in (("", "music"), ("folder", "")):
        with pytest.raises(ParameterError, match="data: expected DATASET=folder with DATA="):
            building.choose_profile("smoke", dataset, data)
    with pytest.raises(ParameterError, match="path: expected a folder of audio or a table"):
        building.choose_profile("smoke", "folder", str(tmp_path / "gone.csv"))
    assert chosen == load_profile("smoke-folder")  # not replaced by what was refused


def test_a_profile_from_a_file_goes_by_its_name(tmp_path, home):
    mine = tmp_path / "mine.yaml"
    mine.write_text("description: d\nlearning: {n_iter: 7}")
    assert building.choose_profile(str(mine)) == load_profile("mine")
    mine.rename(tmp_path / "smoke.yaml")
    with pytest.raises(ParameterError, match=r"another name than smoke\.yaml, which is ours"):
        building.choose_profile(str(tmp_path / "smoke.yaml"))
    chosen = building.choose_profile(str(tmp_path / "smoke.yaml"), clips="90")
    assert chosen.name == "smoke-cover_bands"


def test_soundtracks_that_cannot_be_had_are_told_why(tmp_path, home):
    assert "No such file" in building.fetch_soundtracks(tmp_path, 20)
    (tmp_path / "extras").mkdir()
    script = tmp_path / "extras" / "soundtracks.py"
    script.write_text("import sys; sys.exit('no apt-get')")
    assert building.fetch_soundtracks(tmp_path, 20) == "no apt-get"
    script.write_text("import sys; sys.exit(sys.argv[2:] != ['--clips', '20'])")
    assert building.fetch_soundtracks(tmp_path, 20) == ""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise RuntimeError('no such band')", "cell 'work-0' raised RuntimeError: no such band"),
        ("import os\nos.kill(os.getpid(), 9)", "Kernel died"),
    ],
)
def test_a_failing_chapter_is_named_and_leaves_no_page(book, staged, capsys, source, message):
    write_chapter(book, "front", source)
    assert build(book) == 1
    assert f"chapter front: {message}" in capsys.readouterr().err
    assert set(executed(book)) == {"smoke/second/second.ipynb", "smoke/second/files/second/sum.txt"}
    assert staged == []


def test_a_killed_build_ends_in_the_same_bytes(book, staged):
    marker = book / "slow"
    wait = f"import time\nfrom pathlib import Path\ntime.sleep(60 * Path({str(marker)!r}).exists())"
    write_chapter(book, "second", f"print('first half')\n{wait}\n{GOOD}")
    marker.touch()
    child = psutil.Popen(
        [sys.executable, "-c", BUILD.format(root=str(book))], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (book / "_build/chapters/smoke/front/made.json").exists():
        assert time.monotonic() < deadline, "the build never finished the first chapter"
        time.sleep(0.1)
    orphans = child.children(recursive=True)
    assert orphans, "the second chapter was not running"
    child.kill()
    child.wait()
    assert psutil.wait_procs(orphans, timeout=30)[1] == []
    assert not (book / "_build" / "chapters" / "smoke" / "second").exists()
    marker.unlink()
    assert build(book) == 0
    resumed = executed(book)
    shutil.rmtree(book / "_build")
    assert build(book) == 0
    assert executed(book) == resumed


@pytest.mark.parametrize(
    ("chapter", "given", "message"),
    [
        ("third", {}, "chapter: expected one of front, second, got 'third'"),
        ("front", {"n_level": 4}, "expected one of profile, n_levels, seed, dictionary"),
        ("front", {"n_levels": 4.0}, r"n_levels: .* integer, got 4\.0"),
        ("front", {"profile": "none"}, "profile: expected one of .* got 'none'"),
    ],
)
def test_rerun_refuses_by_name_and_runs_nothing(book, monkeypatch, chapter, given, message):
    monkeypatch.setattr(rerun, "prepare", lambda *asked: pytest.fail("it ran"))
    with pytest.raises(ParameterError, match=message):
        rerun.rerun(book, chapter, given)
    assert not (book / "_runs").exists()


@pytest.mark.parametrize("text", ["n_levels", "=4", "n_levels=", "n-levels=4", "a=1 a=2"])
def test_an_assignment_must_be_one(text):
    with pytest.raises(ParameterError, match="P: expected name=value"):
        rerun.parse(text)


@pytest.mark.parametrize(
    "text", ["a=[a", "a=@x", "a=%a", "a={a", "a=*x", "a='b", "a=2020-13-45", "a=010", "a=1:30"]
)
def test_a_value_must_be_plain(text):
    with pytest.raises(ParameterError, match=f"P: .*; got {re.escape(repr(text))}"):
        rerun.parse(text)
    assert rerun.parse('source="a b.yaml" seed=10') == {"source": "a b.yaml", "seed": 10}


def test_rerun_leaves_the_book_alone_and_makes_a_page(book, monkeypatch, capsys):
    monkeypatch.setattr(rerun, "prepare", lambda *asked: {})
    monkeypatch.setattr(rerun, "make_page", lambda root, notebook, folder: folder / "page.html")
    write_chapter(book, "front", "print(n_levels, dictionary, seed)")
    before = {p: p.read_bytes() for p in book.rglob("*") if p.is_file()}
    command = ["rerun", "front", "--parameters", "n_levels=4 dictionary=pca seed=1"]
    monkeypatch.setattr(sys, "argv", [*command, "--root", str(book)])
    assert rerun.main() == 0
    folder = book / "_runs" / "front" / "n_levels=4_dictionary=pca_seed=1"
    notebook = folder / "front.ipynb"
    assert capsys.readouterr().out.splitlines()[-2:] == [str(notebook), f"{folder}/page.html"]
    assert nbformat.read(notebook, as_version=4).cells[-1].outputs[0].text == "4 pca 1\n"
    assert {p: content for p, content in before.items() if p.read_bytes() != content} == {}


def test_the_api_pages_have_modules_that_exist():
    pages = api_page.api_pages()
    for page, (title, names) in api_page.PARTS.items():
        assert f"[{title}]({page}.md)" in pages["api"]
        for name in names.split():
            importlib.import_module(name)
            assert f".. automodule:: {name}\n" in pages[page]
