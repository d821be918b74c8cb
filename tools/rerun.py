"""Run one chapter with other parameters, as a notebook and a page, beside the book."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import papermill
import yaml

from chapters import ChapterError, execute, leave_out, tidy
from contents import provenance
from multiscale.config import (
    PROJECT_ROOT,
    ParameterError,
    Profile,
    load_profile,
)
from multiscale.parameters import check_parameters
from readying import Ready, prepare_data


def find_chapter(book: Path, name: str) -> Path:
    """Path of a chapter's notebook.

    Parameters
    ----------
    book : Path
        Folder of the chapters.
    name : str
        Such as ``"03_2_gaussian_pyramid"``, with or without ``.ipynb``.

    Returns
    -------
    Path
        The notebook.

    Raises
    ------
    ParameterError
        If there is none of that name.
    """
    known = {path.stem: path for path in sorted(book.glob("*.ipynb"))}
    stem = Path(name).name.removesuffix(".ipynb")
    if stem not in known:
        raise ParameterError(f"CHAPTER: expected one of {', '.join(known)}, got {name!r}")
    return known[stem]


def parse(text: str) -> dict:
    """Read ``"n_levels=4 seed=1"``; values are YAML scalars.

    Parameters
    ----------
    text : str
        Assignments, separated by spaces; quoted as in a shell.

    Returns
    -------
    dict
        Name -> value.

    Raises
    ------
    ParameterError
        If a piece is not ``name=value``.
    """
    values = {}
    for piece in shlex.split(text):
        name, equals, value = piece.partition("=")
        if not (name.isidentifier() and equals and value):
            raise ParameterError(f"P: expected name=value, got {piece!r}")
        values[name] = yaml.safe_load(value)
    return values


def check(notebook: Path, given: dict) -> None:
    """Refuse, by name, parameters that the chapter lacks or that cannot work.

    A type other than the default's needs a comment in the chapter's cell:
    ``dictionary = 500  # type: int|str``.

    Parameters
    ----------
    notebook : Path
        The chapter.
    given : dict
        Name -> value.

    Raises
    ------
    ParameterError
        If a name is unknown, or a value of another type or out of range.
    """
    known = papermill.inspect_notebook(notebook)
    defaults = {name: ast.literal_eval(found["default"]) for name, found in known.items()}
    for name, value in given.items():
        if name not in known:
            raise ParameterError(f"{name}: expected one of {', '.join(known)}")
        stated = known[name]["inferred_type_name"]
        types = [type(defaults[name]).__name__] if stated == "None" else stated.split("|")
        if type(value).__name__ not in types:
            raise ParameterError(f"{name}: expected {' or '.join(types)}, got {value!r}")
    check_parameters({**defaults, **given})


def make_page(root: Path, notebook: Path, folder: Path) -> Path:
    """Turn an executed chapter into a page that stands alone.

    Parameters
    ----------
    root : Path
        Folder of ``_config.yml`` and ``book``.
    notebook : Path
        The executed chapter.
    folder : Path
        Receives ``html``.

    Returns
    -------
    Path
        The page.
    """
    source, output = folder / "source", folder / "output"
    shutil.copytree(root / "book", source / "book", ignore=shutil.ignore_patterns("*.ipynb", ".*"))
    (source / "extra").mkdir()
    shutil.copy(notebook, source / "book")
    toc = {"format": "jb-book", "root": f"book/{notebook.stem}"}
    toc["chapters"] = [{"file": "book/bibliography"}]
    (source / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    config["sphinx"]["local_extensions"] = {"sphinx_multiscale": str(root / "tools")}
    # Links to other chapters lead nowhere here, and a changed run may leave a citation out.
    config["sphinx"]["config"]["suppress_warnings"] = ["myst.xref_missing", "ref.doc", "ref.ref"]
    (source / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(source), "-q"]
    command += ["--path-output", str(output)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    (output / "_build" / "html").rename(folder / "html")
    shutil.rmtree(source)
    shutil.rmtree(output)
    return folder / "html" / "book" / f"{notebook.stem}.html"


def rerun(
    root: Path, chapter: str, given: dict, prepare: Callable[[Profile], Ready] = prepare_data
) -> tuple[Path, Path]:
    """Run a chapter into ``_runs``, leaving the book alone.

    Parameters
    ----------
    root : Path
        Folder of ``_config.yml`` and ``book``.
    chapter : str
        Name of the chapter.
    given : dict
        Parameters that differ from the chapter's own.
    prepare : callable
        Makes the data of a profile ready.

    Returns
    -------
    notebook, page : Path
        What was made.

    Raises
    ------
    ParameterError
        If a parameter is unknown or cannot work; nothing has run then.
    """
    source = find_chapter(root / "book", chapter)
    check(source, given)
    default = ast.literal_eval(papermill.inspect_notebook(source)["profile"]["default"])
    profile = load_profile(given.get("profile", default))
    ready = prepare(profile)
    changes = " ".join(f"{name}={value}" for name, value in given.items())
    folder = root / "_runs" / source.stem / (re.sub(r"[^\w=.-]+", "_", changes) or "defaults")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    notebook = folder / source.name
    leave_out(source, notebook, ready.lacking)
    executed = execute(notebook, notebook, given, cwd=folder, progress=True)
    print(tidy(executed, f"{provenance(profile)} Run with {changes or 'its own parameters'}."))
    nbformat.write(executed, notebook)
    return notebook, make_page(root, notebook, folder)


def main() -> int:
    """Run the chapter that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chapter", help="such as 03_2_gaussian_pyramid")
    parser.add_argument("--parameters", default="", help='such as "n_levels=4 seed=1"')
    parser.add_argument("--profile", help="smoke, laptop, paper or a .yaml file")
    arguments = parser.parse_args()
    try:
        given = {"profile": arguments.profile} if arguments.profile else {}
        given |= parse(arguments.parameters)
        if str(given.get("profile")).endswith(".yaml"):
            given["profile"] = str(Path(given["profile"]).resolve())
        print(*rerun(PROJECT_ROOT, arguments.chapter, given), sep="\n")
    except ParameterError as error:
        print(error, file=sys.stderr)
        return 2
    except ChapterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
