"""Run one chapter through papermill; what it leaves depends on its inputs alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from companion.contents import Chapter

INJECTED = "injected-parameters"
HEADING = re.compile(r"(#+) ")
EXAMPLES = ("clip=3", "dictionary=200", "profile=smoke")
"""Parameters to run a chapter again with, soon done: another seed is another book."""


class ChapterError(RuntimeError):
    """A chapter whose cell raised; names the chapter and the cell."""


def run_chapter(chapter: Chapter, lacking: dict[str, str]) -> tuple[str, str, str]:
    """Execute a chapter into its folder, which appears whole or not at all and is its cwd.

    What it writes into ``files/<chapter>`` there (``$MULTISCALE_FILES``) is published beside its
    page. Returns its name, why it failed if it did, and what it wrote to standard error.
    """
    name, folder = chapter.notebook.stem, chapter.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as temporary:
        fresh = Path(temporary) / name
        files = fresh / "files" / name
        files.mkdir(parents=True)
        fixed = {"MULTISCALE_FILES": str(files), "PYTHONHASHSEED": "0", "TQDM_DISABLE": "1"}
        os.environ.update(fixed)
        started = time.perf_counter()
        source, target = Path(temporary) / chapter.notebook.name, fresh / chapter.notebook.name
        leave_out(chapter.notebook, source, lacking)
        try:
            executed = execute(source, target, {"profile": chapter.profile}, cwd=fresh)
        except ChapterError as error:
            return name, str(error), ""
        words = tidy(executed, chapter.provenance)
        nbformat.write(executed, target)
        made = {"key": chapter.key, "seconds": round(time.perf_counter() - started)}
        (fresh / "made.json").write_text(json.dumps(made), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    return name, "", words


def leave_out(notebook: Path, target: Path, lacking: dict[str, str]) -> None:
    """Copy a chapter without what needs what the data lack; a note stands for it.

    A heading tagged ``needs-<name>`` goes with its section, the title with all but itself and the
    parameters; another cell goes alone.
    """
    chapter = nbformat.read(notebook, as_version=4)
    cells, said, absent, depth = [], None, None, 0
    for number, cell in enumerate(chapter.cells):
        tags = cell.metadata.get("tags", [])
        heading = HEADING.match(cell.source) if cell.cell_type == "markdown" else None
        if heading and len(heading[1]) <= depth:
            absent, depth = None, 0
        needs = (tag.removeprefix("needs-") for tag in tags if tag.startswith("needs-"))
        own = next((name for name in needs if name in lacking), None)
        if heading and own and not depth:
            absent, depth = own, len(heading[1])
        reason = absent or own
        if number == 0 or "parameters" in tags:
            reason = None
        if reason is None:
            cells.append(cell)
        elif reason != said:
            note = f"*Something is left out here: {lacking[reason]}.*"
            cells.append(nbformat.v4.new_markdown_cell(note, id=f"without-{cell.id}"))
        said = reason
    chapter.cells = cells
    nbformat.write(chapter, target)


def execute(
    notebook: Path, output: Path, given: dict, cwd: Path, progress: bool = False
) -> nbformat.NotebookNode:
    """Run a chapter with the parameters given; a cell that raises becomes a ChapterError."""
    try:
        return papermill.execute_notebook(
            notebook,
            output,
            given,
            cwd=cwd,
            kernel_name="python3",
            progress_bar=progress,
            request_save_on_cell_execute=False,  # all of it, after each cell, for nobody to read
            coalesce_streams=True,  # where printed text breaks into pieces is chance
            extra_arguments=["--log-level=ERROR"],  # of the kernel: no word on its transport
        )
    except PapermillExecutionError as error:
        source = error.source.strip()
        cells = nbformat.read(notebook, as_version=4).cells
        cell = next((cell.id for cell in cells if cell.source.strip() == source), INJECTED)
        lines = "\n".join(f"    {line}" for line in source.splitlines())
        told = f"cell '{cell}' raised {error.ename}: {error.evalue}\n{lines}"
    except RuntimeError as error:  # a kernel that was killed
        told = str(error)
    raise ChapterError(f"chapter {notebook.stem}: {told}")


def tidy(executed: nbformat.NotebookNode, provenance: str) -> str:
    """Drop what differs between two equal runs, fold the code, sign the page.

    Returns what was written to standard error, which is kept out of the page.
    """
    executed.metadata.pop("papermill", None)
    executed.metadata["provenance"] = provenance
    words, tags = [], set()
    for cell in executed.cells:
        for timed in ("papermill", "execution"):
            cell.metadata.pop(timed, None)
        if INJECTED in cell.metadata.get("tags", []):  # is seen if those before it are
            cell.metadata["tags"] += tags & {"remove-cell"}
        tags = set(cell.metadata.get("tags", []))
        if "parameters" in tags:  # of the examples the first that it has; all have the last
            has = (e for e in EXAMPLES if f"\n{e.partition('=')[0]} = " in f"\n{cell.source}")
            executed.metadata["example"] = next(has, "")
        if cell.cell_type == "code":
            words += [o.text for o in cell.outputs if o.get("name") == "stderr"]
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
            _fold(cell)
    return "".join(words)


def _fold(cell: nbformat.NotebookNode) -> None:
    """Leave open what is lesson or solution; give a figure its caption, or that as its text."""
    tags, shown = cell.metadata.setdefault("tags", []), cell.metadata.setdefault("mystnb", {})
    if not {"lesson", "remove-input"} & set(tags) and not cell.id.startswith("solution"):
        tags.append("hide-input")
    if "parameters" in tags:
        shown |= {"code_prompt_show": "Parameters", "code_prompt_hide": "Parameters"}
    if INJECTED in tags:
        cell.id = INJECTED
    if caption := cell.metadata.get("caption"):
        shown["image"] = {"alt": caption}
        seen = [o for o in cell.outputs if {"image/svg+xml", "text/html"} & set(o.get("data", ()))]
        if len(seen) == 1:  # else a player's own caption stands below
            shown["figure"] = {"caption": caption}
