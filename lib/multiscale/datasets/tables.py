"""Tables that a reader wrote: any usual encoding and delimiter, complaints with file and line."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path

from multiscale.config import ParameterError

DELIMITERS = (",", "\t", ";")
"""Between columns; the first that finds the required ones is taken."""

BOMS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
"""Marks at a file's start that tell its encoding, besides UTF-8's own."""


def read_text(path: Path) -> str:
    """Text of a file in UTF-8 or UTF-16 with their marks, plain UTF-8, or Windows' cp1252.

    Raises
    ------
    ParameterError
        If it is missing, or none of these.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ParameterError(f"{path}: expected a table, got {error.strerror}") from error
    for mark, encoding in BOMS:
        if data.startswith(mark):
            return _decoded(path, data, encoding, encoding.upper())
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _decoded(path, data, "cp1252", "UTF-8")


def _decoded(path: Path, data: bytes, encoding: str, wanted: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        byte = f"0x{data[error.start]:02x}"
        raise ParameterError(
            f"{path}, line {line}: expected text in {wanted}, got the byte {byte}"
        ) from error


def read_rows(path: Path, required: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str] | str]]:
    """Read a table row by row.

    Parameters
    ----------
    path : Path
        Its file; the first line names the columns.
    required : tuple of str
        Columns that must be there.

    Yields
    ------
    line : int
        Where the row ends in the file, the first line being 1.
    row : dict of str to str, or str
        Values by column, stripped; a string says what is wrong with the row.

    Raises
    ------
    ParameterError
        If there is no such table, or it cannot be made sense of from some line on.
    """
    text = read_text(path)
    head = text.lstrip("\r\n").splitlines()[:1]
    delimiter, names = _header(path, head[0] if head else "", required)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        seen_header = False
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if not seen_header:
                seen_header = True
            elif len(values) != len(names):
                yield reader.line_num, f"expected {len(names)} columns, got {len(values)}"
            else:
                stripped = (value.strip() for value in values)
                yield reader.line_num, dict(zip(names, stripped, strict=True))
    except csv.Error as error:
        raise ParameterError(f"{path}, line {reader.line_num}: {error}") from error


def _header(path: Path, head: str, required: tuple[str, ...]) -> tuple[str, list[str]]:
    """The delimiter, and the names of the columns in lower case."""
    for delimiter in DELIMITERS:
        names = [name.strip().strip('"').strip().lower() for name in head.split(delimiter)]
        if set(required) <= set(names):
            twice = [name for name in required if names.count(name) > 1]
            if twice:
                raise ParameterError(
                    f"{path}, line 1: expected each column once, got {twice[0]!r} again"
                )
            return delimiter, names
    raise ParameterError(
        f"{path}, line 1: expected columns with {', '.join(required)} among them, got {head[:80]!r}"
    )
