"""Beginning a chapter: in a warm kernel, which is a fork, and in a program of its own.

Both are run by papermill, import what every chapter does, and tell one number.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat
from timing import compare, report

from companion.kernel import WARM
from companion.notebooks import execute
from multiscale.commands import processes

BEGINNING = """
from companion import chapter, figures

study, say = chapter("smoke", seed=0)
say(levels=6)
"""


def main(tiny: bool) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        processes(1, env=WARM) as warm,
        processes(1) as cold,
    ):
        source = Path(folder) / "chapter.ipynb"
        cell = nbformat.v4.new_code_cell(BEGINNING)
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), source)
        given = execute, source, source.with_name("executed.ipynb"), {}, source.parent
        ways = {
            "ours, warm": lambda: warm.submit(*given).result(),
            "a new program": lambda: cold.submit(*given).result(),
        }
        compare("beginning a chapter", ways, repeats=1 if tiny else 5)


if __name__ == "__main__":
    report(main)
