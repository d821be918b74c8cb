"""The order of the house: which way imports point, and how a chapter is written."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lib" / "multiscale"
sys.path.insert(0, str(ROOT / "tools"))

from api_page import module_names  # noqa: E402
from contents import toc_files  # noqa: E402
from multiscale.store import FLOW  # noqa: E402

MODULES = [name for name in module_names(PACKAGE) if "." not in name]
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
PLOTTING = {"matplotlib", "seaborn", "plotly"}
SIDE_BY_SIDE = [{"tagging", "similarity"}]
FOR_NOTEBOOKS = {"figures", "listen"}
MACHINE_PATH = re.compile(r"/(?:home|Users|root|tmp|work|mnt)/|[A-Z]:\\")


def sources(module: str) -> list[Path]:
    """Files of a module, or of a package of modules."""
    folder = PACKAGE / module
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def imported(path: Path) -> set[str]:
    """Dotted names that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively; write the whole name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported_modules(module: str) -> set[str]:
    """Modules of the library that a module imports."""
    names = {name for path in sources(module) for name in imported(path)}
    parts = (name.split(".") for name in names if name.startswith("multiscale."))
    return {part[1] for part in parts} & set(MODULES) - {module}


def imported_packages(path: Path) -> set[str]:
    """Top-level packages that a file imports."""
    return {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_stands_to_its_left(module):
    assert module in FLOW, f"say in store.FLOW where {module} stands in the pipeline"
    left = set(FLOW[: FLOW.index(module)])
    for group in SIDE_BY_SIDE:
        left -= group if module in group else set()
    if module != "cli":
        left -= FOR_NOTEBOOKS
    if module == "store":
        left &= {"config"}
    assert imported_modules(module) <= left


@pytest.mark.parametrize("module", [name for name in MODULES if name != "figures"])
def test_only_figures_plots(module):
    packages = set().union(*map(imported_packages, sources(module)))
    assert packages & PLOTTING == set()


def test_the_readme_table_names_what_exists():
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    rows = [line for line in text.splitlines() if line.startswith("|") and "tests/" in line]
    for path in re.findall(r"(?:lib|book|tests)/[\w/.]+\w", "\n".join(rows)):
        assert (ROOT / path).exists(), f"README's table names {path}"


def test_the_table_of_contents_and_the_folder_agree():
    named = toc_files(ROOT / "_toc.yml")
    assert len(set(named)) == len(named)
    generated = {"book/api"}
    present = {
        p.relative_to(ROOT).with_suffix("").as_posix()
        for p in (ROOT / "book").iterdir()
        if p.suffix in {".ipynb", ".md"}
    }
    assert set(named) == present | generated


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return read(request.param)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_a_notebook_is_valid_and_free_of_output(notebook):
    nbformat.validate(notebook)
    assert [c.id for c in code_cells(notebook) if c.outputs or c.execution_count] == []
    assert notebook.metadata.kernelspec.name == "python3"
    assert not {"papermill", "widgets"} & set(notebook.metadata)


def test_cells_have_ids_that_say_what_they_are(notebook):
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    word = re.compile(r"[a-z]{2,}|[a-z]?\d{1,4}|a")
    assert [i for i in ids if not all(word.fullmatch(part) for part in i.split("-"))] == []
    hexadecimal = re.compile(r"(?=.*\d)[0-9a-f]{8}")
    assert [i for i in ids if hexadecimal.match(i)] == []


def test_a_notebook_starts_with_its_title_and_parameters(notebook):
    assert notebook.cells[0].source.startswith("# ")
    cells = [cell for cell in notebook.cells if "parameters" in tags(cell)]
    assert len(cells) == 1
    values = {}
    for line in ast.parse(cells[0].source).body:
        assert isinstance(line, ast.Assign), ast.unparse(line)
        values[line.targets[0].id] = ast.literal_eval(line.value)
    assert values["profile"] == "laptop"
    assert all(isinstance(value, (bool, int, float, str)) for value in values.values())


def test_cells_are_short_and_define_nothing_that_belongs_in_the_library(notebook):
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= 25, cell.id
        code = re.sub(r"^\s*%.*$", "", cell.source, flags=re.MULTILINE)
        kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
        defines = any(isinstance(node, kinds) for node in ast.walk(ast.parse(code)))
        assert "lesson" in tags(cell) or not defines, f"{cell.id}: move it into the library"


def test_a_notebook_names_no_place_of_one_machine(notebook):
    assert [cell.id for cell in notebook.cells if MACHINE_PATH.search(cell.source)] == []
