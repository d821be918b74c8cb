"""The order of the house: which way imports point, and how a chapter is written."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest
from conftest import imported

from companion.api_page import api_pages
from companion.contents import toc_files
from multiscale.identity import module_file, source_files

ROOT = Path(__file__).parents[1]
LIB = ROOT / "lib"
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
MODULES = [
    ".".join(path.relative_to(LIB).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(LIB.rglob("*.py"))
]
BARRED = {
    "coverbands": {"multiscale", "multiscale.datasets", "multiscale.study", "companion"},
    "multiscale": {"coverbands", "multiscale.datasets", "multiscale.study", "companion"},
    "multiscale.datasets": {"multiscale.study", "companion"},
    "multiscale.study": {"companion"},
    "companion": set(),
}
"""What each layer must not import."""

RUNNING = {"eval", "exec", "os.system", "np.load", "torch.load", "joblib.load", "yaml.unsafe_load"}
DRAWING = {"matplotlib", "seaborn", "plotly", "IPython", "myst_nb"}
MACHINE_PATH = re.compile(r"/(?:home|Users|root|tmp|work|mnt)/|[A-Z]:\\")


def layer(name: str) -> str:
    """The layer or package that a dotted name belongs to."""
    parts = name.split(".")
    two = ".".join(parts[:2])
    return two if two in BARRED else parts[0]


def imports_of(module: str) -> set[str]:
    return imported(module_file(module).read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module):
    barred = BARRED[layer(module)]
    assert {name for name in imports_of(module) if layer(name) in barred} == set()


def test_nothing_that_is_read_is_run():
    """No pickle, no evaluation of text, no shell: files of other people are data."""
    for path in [*LIB.rglob("*.py"), *(ROOT / "extras").glob("*.py")]:
        source = path.read_text(encoding="utf-8")
        assert not {"pickle", "marshal", "shelve", "dill", "cloudpickle"} & imported(source), path
        called = {
            ast.unparse(n.func) for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)
        }
        assert not called & RUNNING, path
        assert path.name == "profiles.py" or "yaml.load" not in called, path
        assert "shell=True" not in source, path


def test_the_book_is_served_to_this_machine_alone():
    served = re.findall("http.server.*", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert [" --bind 127.0.0.1 " in line for line in served] == [True]


def test_tagging_and_similarity_never_meet():
    for one, other in (("tagging", "similarity"), ("similarity", "tagging")):
        assert f"multiscale.{other}" not in source_files(f"multiscale.{one}")


@pytest.mark.parametrize("module", [name for name in MODULES if layer(name) != "companion"])
def test_only_the_companion_draws_and_plays(module):
    assert {name.split(".")[0] for name in imports_of(module)} & DRAWING == set()


def test_the_readme_table_names_what_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|") and "tests/" in line]
    assert rows
    for path in re.findall(r"(?:lib|book|tests|extras)/[\w/.]+\w", "\n".join(rows)):
        assert (ROOT / path).exists(), f"README's table names {path}"


def test_the_table_of_contents_and_the_folder_agree():
    named = toc_files(ROOT / "_toc.yml")
    assert len(set(named)) == len(named)
    generated = {f"book/{name}" for name in api_pages()}
    present = {
        p.relative_to(ROOT).with_suffix("").as_posix()
        for p in (ROOT / "book").iterdir()
        if p.suffix in {".ipynb", ".md"}
    }
    assert set(named) == present | generated


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_a_notebook_is_valid_and_free_of_output(notebook):
    nbformat.validate(notebook)
    assert [c.id for c in code_cells(notebook) if c.outputs or c.execution_count] == []
    assert notebook.metadata.kernelspec.name == "python3"
    assert not {"papermill", "widgets"} & set(notebook.metadata)


def test_a_notebook_starts_with_its_title_its_parameters_and_its_study(notebook):
    assert notebook.cells[0].source.startswith("# ")
    cells = [cell for cell in notebook.cells if "parameters" in tags(cell)]
    assert len(cells) == 1
    values = {}
    for line in ast.parse(cells[0].source).body:
        assert isinstance(line, ast.Assign), ast.unparse(line)
        values[line.targets[0].id] = ast.literal_eval(line.value)
    assert values["profile"] == "laptop"
    assert all(isinstance(value, (bool, int, float, str)) for value in values.values())
    first = next(cell for cell in code_cells(notebook) if "parameters" not in tags(cell))
    assert "study, say = chapter(" in first.source


def test_cells_are_short_and_define_nothing_that_belongs_in_the_library(notebook):
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= 25, cell.id
        code = re.sub(r"^\s*%.*$", "", cell.source, flags=re.MULTILINE)
        kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
        defines = any(isinstance(node, kinds) for node in ast.walk(ast.parse(code)))
        assert "lesson" in tags(cell) or not defines, f"{cell.id}: move it into the library"


def test_what_a_section_needs_is_said_by_a_tag_that_the_build_knows(notebook):
    known = {f"needs-{name}" for name in ("tags", "artists", "cover-bands", "soundtracks")}
    needs = {tag for cell in notebook.cells for tag in tags(cell) if tag.startswith("needs-")}
    assert needs <= known


def test_a_notebook_names_no_place_of_one_machine(notebook):
    assert [cell.id for cell in notebook.cells if MACHINE_PATH.search(cell.source)] == []
