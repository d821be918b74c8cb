"""The tools of the book on a made-up one: skip, fail, be killed, rerun, refuse."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

TOOLS = Path(__file__).parents[1] / "tools"
sys.path.insert(0, str(TOOLS))

import api_page  # noqa: E402
import build_book  # noqa: E402
import pages  # noqa: E402
import rerun  # noqa: E402
from multiscale import config  # noqa: E402
from multiscale.config import ParameterError, load_profile  # noqa: E402
from readying import Ready, choose_profile  # noqa: E402

BUILD = """
import sys
sys.path.insert(0, {tools!r})
from pathlib import Path
import build_book
from readying import Ready
sys.exit(build_book.build(Path({root!r}), "smoke", prepare=lambda profile: Ready()))
"""
GOOD = """
import os
from pathlib import Path
Path(os.environ["MULTISCALE_FILES"], "sum.txt").write_text(str(seed + 1))
print(seed + 1)
"""
BAD = "raise RuntimeError('no such band')"


def write_chapter(root: Path, name: str, source: str) -> Path:
    parameters = nbformat.v4.new_code_cell(
        'profile = "laptop"\nn_levels = 6\nseed = 0\ndictionary = 500  # type: int|str',
        id="parameters",
    )
    parameters.metadata.tags = ["parameters"]
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(f"# {name}", id="title"),
            parameters,
            nbformat.v4.new_code_cell(source, id="work"),
        ],
        metadata={"kernelspec": {"display_name": "", "language": "python", "name": "python3"}},
    )
    path = root / "book" / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def book(tmp_path):
    """A book of two good chapters."""
    (tmp_path / "book").mkdir()
    toc = "format: jb-book\nroot: book/front\nchapters: [{file: book/second}, {file: book/api}]\n"
    (tmp_path / "_toc.yml").write_text(toc, encoding="utf-8")
    (tmp_path / "_config.yml").write_text("title: made up\n", encoding="utf-8")
    write_chapter(tmp_path, "front", GOOD)
    write_chapter(tmp_path, "second", GOOD)
    return tmp_path


@pytest.fixture
def no_pages(monkeypatch):
    """Leave Sphinx out; give the names of the chapters staged at each call."""
    staged = []

    def make_pages(root, tree, key):
        staged.append(sorted(p.name for p in (tree / "book").glob("*.ipynb")))
        (root / "_build" / "html").mkdir(exist_ok=True)
        (root / "_build" / "html" / "key.txt").write_text(key, encoding="utf-8")
        return True

    monkeypatch.setattr(pages, "make_pages", make_pages)
    return staged


def build(book: Path) -> int:
    return build_book.build(book, "smoke", prepare=lambda profile: Ready())


def executed(book: Path) -> dict[str, bytes]:
    """What the chapters left for the pages, by path."""
    chapters = book / "_build" / "chapters"
    beside = {"key.txt", "seconds.txt"}
    found = (p for p in chapters.rglob("*") if p.is_file() and p.name not in beside)
    return {p.relative_to(chapters).as_posix(): p.read_bytes() for p in found}


def test_chapters_run_with_the_profile_and_are_staged_with_their_files(book, no_pages):
    assert build(book) == 0
    assert no_pages == [["front.ipynb", "second.ipynb"]]
    front = nbformat.read(book / "_build" / "stage" / "book" / "front.ipynb", as_version=4)
    ids = [cell.id for cell in front.cells]
    assert ids == ["title", "parameters", "injected-parameters", "work"]
    assert 'profile = "smoke"' in front.cells[2].source
    assert front.cells[3].outputs[0].text == "1\n"
    assert "profile smoke" in front.metadata.provenance
    assert re.search(r"This page: seed 0, run in \d+ s\.$", front.metadata.provenance)
    for place in ("book", "extra/book"):
        assert (book / "_build" / "stage" / place / "files/second/sum.txt").read_text() == "1"


def test_only_what_changed_runs_again(book, no_pages, capsys):
    build(book)
    first = executed(book)
    assert build(book) == 0
    assert "all 2 chapters are up to date" in capsys.readouterr().out
    assert len(no_pages) == 1
    write_chapter(book, "second", GOOD + "\nprint('more')")
    assert build(book) == 0
    changed = {name for name, content in executed(book).items() if content != first[name]}
    assert changed == {"smoke/second/second.ipynb"}
    assert len(no_pages) == 2


def test_what_failed_is_said_and_tried_again_next_time(book, no_pages, capsys):
    write_chapter(book, "second", "# engine.run_all(...)\nprint(1)")
    assert build_book.build(book, "smoke", prepare=lambda profile: Ready({"a": "a: no room"})) == 0
    assert "missing in the book: a: no room" in capsys.readouterr().err
    asked = []
    assert build_book.build(book, "smoke", prepare=lambda profile: asked.append(1) or Ready()) == 0
    assert asked == [1]
    assert build_book.build(book, "smoke", prepare=lambda profile: asked.append(1) or Ready()) == 0
    assert asked == [1]


def test_cells_that_need_what_the_data_lacks_are_left_out(book, no_pages):
    path = book / "book" / "second.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for number in range(3):
        cell = nbformat.v4.new_code_cell("print(1 / 0)", id=f"part-{number}")
        cell.metadata.tags = ["needs-tags"]
        notebook.cells.append(cell)
    nbformat.write(notebook, path)
    ready = Ready(lacking={"tags": "there are no tags"})
    assert build_book.build(book, "smoke", prepare=lambda profile: ready) == 0
    page = nbformat.read(book / "_build/chapters/smoke/second/second.ipynb", as_version=4)
    assert [cell.id for cell in page.cells][-2:] == ["work", "without-part-0"]
    assert page.cells[-1].source == "*Something is left out here: there are no tags.*"


def test_a_profile_on_other_data(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "GIVEN_PROFILES", tmp_path / "profiles")
    assert choose_profile("smoke", None, None, None) == "smoke"
    name = choose_profile("smoke", "folder", str(tmp_path / "tags.csv"), "all")
    assert name == "smoke-folder"  # no path: pages show it
    chosen, smoke = load_profile(name), load_profile("smoke")
    assert chosen.dataset.name == "folder"
    assert chosen.dataset.path == str(tmp_path / "tags.csv")
    assert chosen.dataset.n_clips is None
    assert chosen.tagging == smoke.tagging
    with pytest.raises(ParameterError, match=r"DATASET: expected one of cover_bands, .* 'radio'"):
        choose_profile("smoke", "radio", None, None)
    with pytest.raises(ParameterError, match="n_clips"):
        choose_profile("smoke", None, None, "many")


def test_a_profile_from_a_file_goes_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "GIVEN_PROFILES", tmp_path / "profiles")
    mine = tmp_path / "mine.yaml"
    mine.write_text("description: d\nlearning: {n_iter: 7}")
    assert choose_profile(str(mine), None, None, None) == "mine"
    assert load_profile("mine") == load_profile(mine)
    mine.rename(tmp_path / "smoke.yaml")
    with pytest.raises(ParameterError, match=r"another name than smoke\.yaml, which is ours"):
        choose_profile(str(tmp_path / "smoke.yaml"), None, None, None)
    assert choose_profile(str(tmp_path / "smoke.yaml"), None, None, "90") == "smoke-cover_bands"


def test_two_runs_give_the_same_bytes(book, no_pages):
    build(book)
    first = executed(book)
    shutil.rmtree(book / "_build")
    build(book)
    assert executed(book) == first


def test_a_failing_chapter_is_named_and_leaves_no_page(book, no_pages, capsys):
    write_chapter(book, "front", BAD)
    assert build(book) == 1
    message = capsys.readouterr().err
    assert "chapter front: cell 'work' raised RuntimeError: no such band" in message
    assert set(executed(book)) == {"smoke/second/second.ipynb", "smoke/second/files/second/sum.txt"}
    assert no_pages == []


def test_a_killed_build_ends_in_the_same_book(book, no_pages):
    marker = book / "slow"
    wait = f"import time\nfrom pathlib import Path\ntime.sleep(60 * Path({str(marker)!r}).exists())"
    write_chapter(book, "second", f"print('first half')\n{wait}\n{GOOD}")
    marker.touch()
    code = BUILD.format(tools=str(TOOLS), root=str(book))
    child = psutil.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (book / "_build/chapters/smoke/front/key.txt").exists():
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
    ("given", "message"),
    [
        ({"n_level": 4}, "n_level: expected one of profile, n_levels, seed, dictionary"),
        ({"n_levels": 0}, "n_levels"),
        ({"n_levels": 4.0}, "n_levels: expected int, got 4.0"),
        ({"seed": "one"}, "seed: expected int, got 'one'"),
        ({"seed": True}, "seed: expected int, got True"),
        ({"dictionary": 2.5}, "dictionary: expected int or str, got 2.5"),
        ({"dictionary": "ica"}, "dictionary"),
        ({"profile": "none"}, "profile"),
    ],
)
def test_rerun_refuses_by_name_and_runs_nothing(book, given, message):
    with pytest.raises(ParameterError, match=message):
        rerun.rerun(book, "front", given, prepare=lambda profile: pytest.fail("it ran"))
    assert not (book / "_runs").exists()


def test_rerun_refuses_an_unknown_chapter(book):
    with pytest.raises(ParameterError, match="CHAPTER: expected one of front, second, got 'third'"):
        rerun.rerun(book, "third", {})


def test_the_command_says_one_line_and_gives_2():
    command = [sys.executable, str(TOOLS / "rerun.py"), "03_2_gaussian_pyramid"]
    result = subprocess.run(
        [*command, "--parameters", "n_wings=2"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.startswith("n_wings: expected one of ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("text", ["n_levels", "=4", "n_levels=", "n-levels=4"])
def test_an_assignment_must_be_one(text):
    with pytest.raises(ParameterError, match="P: expected name=value"):
        rerun.parse(text)


def test_values_are_read_as_yaml():
    expected = {"n_levels": 4, "scale": "gaussian", "variance": 0.9, "dictionary": "pca"}
    assert rerun.parse("n_levels=4 scale=gaussian variance=0.9 dictionary=pca") == expected


def test_rerun_leaves_the_book_alone_and_makes_a_page(book, monkeypatch):
    monkeypatch.setattr(rerun, "make_page", lambda root, notebook, folder: folder / "page.html")
    write_chapter(book, "front", "print(n_levels, dictionary)")
    before = {p: p.read_bytes() for p in book.rglob("*") if p.is_file()}
    given = {"n_levels": 4, "dictionary": "pca"}
    notebook, _ = rerun.rerun(book, "front", given, prepare=lambda profile: Ready())
    assert notebook == book / "_runs" / "front" / "n_levels=4_dictionary=pca" / "front.ipynb"
    assert nbformat.read(notebook, as_version=4).cells[-1].outputs[0].text == "4 pca\n"
    assert {p: content for p, content in before.items() if p.read_bytes() != content} == {}


def test_the_api_page_names_every_module_in_the_order_of_the_pipeline(tmp_path):
    for name in ("__init__", "zither", "scales", "audio", "datasets/__init__", "datasets/folder"):
        path = tmp_path / "multiscale" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    names = ["audio", "datasets", "datasets.folder", "scales", "zither"]
    assert api_page.module_names(tmp_path / "multiscale") == names
    page = api_page.api_page(tmp_path / "multiscale")
    assert [line for line in page.splitlines() if "automodule" in line] == [
        f".. automodule:: multiscale.{name}" for name in names
    ]


def test_papermill_alone_runs_a_chapter(book, tmp_path):
    write_chapter(book, "front", "print(seed + 1)")
    command = [sys.executable, "-m", "papermill", str(book / "book" / "front.ipynb")]
    command += [str(tmp_path / "out.ipynb"), "-p", "seed", "41", "--cwd", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    cells = json.loads((tmp_path / "out.ipynb").read_text(encoding="utf-8"))["cells"]
    assert "".join(cells[-1]["outputs"][0]["text"]) == "42\n"
