"""Run one chapter through papermill; what it leaves depends on its inputs alone.

Run as a program, it is the child process that `build_book.py` starts for each chapter.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

INJECTED = "injected-parameters"


class ChapterError(RuntimeError):
    """A chapter whose cell raised; names the chapter and the cell."""


def run_chapter(
    notebook: Path,
    folder: Path,
    parameters: dict,
    provenance: str,
    key: str,
    lacking: dict[str, str],
) -> str:
    """Execute a chapter into `folder`, which appears whole or not at all.

    The chapter's working directory is the new folder. What it writes into
    ``files/<chapter>`` there (``$MULTISCALE_FILES``) is published beside its page.

    Parameters
    ----------
    notebook : Path
        The chapter, without outputs.
    folder : Path
        Receives ``<chapter>.ipynb``, ``files``, ``key.txt`` and ``seconds.txt`` (the time it
        took, the one thing that differs between equal runs); an older one is replaced.
    parameters : dict
        Values for the cell tagged ``parameters``.
    provenance : str
        Sentence for the foot of the page.
    key : str
        Hash of all inputs, stored beside the result.
    lacking : dict of str to str
        What the data lacks: see :func:`leave_out`.

    Returns
    -------
    str
        What the chapter wrote to standard error, which is kept out of the page.

    Raises
    ------
    ChapterError
        If a cell raises.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
        fresh = Path(name) / folder.name
        files = fresh / "files" / folder.name
        files.mkdir(parents=True)
        os.environ["MULTISCALE_FILES"] = str(files)
        started = time.perf_counter()
        source = Path(name) / notebook.name
        leave_out(notebook, source, lacking)
        executed = execute(source, fresh / notebook.name, parameters, cwd=fresh)
        seconds = time.perf_counter() - started
        warnings = tidy(executed, provenance)
        nbformat.write(executed, fresh / notebook.name)
        (fresh / "key.txt").write_text(key, encoding="utf-8")
        (fresh / "seconds.txt").write_text(f"{seconds:.0f}", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    return warnings


def leave_out(notebook: Path, target: Path, lacking: dict[str, str]) -> None:
    """Copy a chapter without the cells that need what the data lacks; a note stands for them.

    Parameters
    ----------
    notebook, target : Path
        The chapter, and where its copy goes.
    lacking : dict of str to str
        Name -> reason. Cells tagged ``needs-<name>`` are left out.
    """
    chapter = nbformat.read(notebook, as_version=4)
    cells, said = [], None
    for cell in chapter.cells:
        needs = [tag.removeprefix("needs-") for tag in cell.metadata.get("tags", [])]
        absent = next((name for name in needs if name in lacking), None)
        if absent is None:
            cells.append(cell)
        elif absent != said:
            note = f"*Something is left out here: {lacking[absent]}.*"
            cells.append(nbformat.v4.new_markdown_cell(note, id=f"without-{cell.id}"))
        said = absent
    chapter.cells = cells
    nbformat.write(chapter, target)


def execute(
    notebook: Path, output: Path, parameters: dict, cwd: Path, progress: bool = False
) -> nbformat.NotebookNode:
    """Run a chapter with papermill; a cell that raises becomes a ChapterError.

    Parameters
    ----------
    notebook, output : Path
        The chapter, and where papermill keeps the executed copy.
    parameters : dict
        Values for the cell tagged ``parameters``.
    cwd : Path
        Working directory of the chapter.
    progress : bool
        Whether to show a bar over the cells.

    Returns
    -------
    NotebookNode
        The executed chapter.

    Raises
    ------
    ChapterError
        Naming the chapter, the cell and its error.
    """
    try:
        return papermill.execute_notebook(
            notebook,
            output,
            parameters,
            cwd=cwd,
            kernel_name="python3",
            progress_bar=progress,
            coalesce_streams=True,  # where printed text breaks into pieces is chance
            extra_arguments=["--log-level=ERROR"],  # of the kernel: no word on its transport
        )
    except PapermillExecutionError as error:
        source = error.source.strip()
        raise ChapterError(
            f"chapter {notebook.stem}: cell '{cell_id(notebook, source)}' raised "
            f"{error.ename}: {error.evalue}\n" + "\n".join(f"    {x}" for x in source.splitlines())
        ) from None


def cell_id(notebook: Path, source: str) -> str:
    """Id of the cell with that source."""
    cells = nbformat.read(notebook, as_version=4).cells
    return next((cell.id for cell in cells if cell.source.strip() == source), INJECTED)


def tidy(executed: nbformat.NotebookNode, provenance: str) -> str:
    """Drop what differs between two equal runs; fold and title the injected parameters.

    Parameters
    ----------
    executed : NotebookNode
        As papermill left it; changed in place.
    provenance : str
        Sentence for the foot of the page.

    Returns
    -------
    str
        The text that went to standard error.
    """
    executed.metadata.pop("papermill", None)
    executed.metadata["provenance"] = provenance
    warnings = []
    for cell in executed.cells:
        for timed in ("papermill", "execution"):
            cell.metadata.pop(timed, None)
        if INJECTED in cell.metadata.get("tags", []):
            cell.id = INJECTED
            cell.metadata.tags.append("hide-input")
            cell.metadata["mystnb"] = {
                "code_prompt_show": "Parameters of this copy",
                "code_prompt_hide": "Parameters of this copy",
            }
        if cell.cell_type == "code":
            warnings += [o.text for o in cell.outputs if o.get("name") == "stderr"]
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    return "".join(warnings)


def die_with_parent() -> None:
    """End this process when the pipe from the one that started it closes."""

    def wait() -> None:
        os.read(0, 1)  # returns when the pipe closes; sys.stdin's lock would disturb our exit
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> int:
    """Run the chapter that the command line names; what is to be told goes to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("parameters", type=json.loads)
    parser.add_argument("provenance")
    parser.add_argument("key")
    parser.add_argument("lacking", type=json.loads)
    die_with_parent()
    try:
        warnings = run_chapter(**vars(parser.parse_args()))
    except ChapterError as error:
        print(error)
        return 1
    print(warnings, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
