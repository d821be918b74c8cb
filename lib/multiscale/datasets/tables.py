"""Tables that a reader wrote: any usual encoding and delimiter, complaints with file and line."""

from __future__ import annotations

import codecs
import csv
import difflib
import io
from collections.abc import Iterator
from pathlib import Path

from multiscale.config import ParameterError

DELIMITERS = ("\t", ",", ";")
"""Between columns; the first that finds the required one is taken: a lone one may hold commas."""


def read_text(path: Path) -> str:
    """Text of a file in UTF-8 or UTF-16 with their marks, plain UTF-8, or Windows' cp1252."""
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # the latter: a name that can be none of a file
        said = getattr(error, "strerror", error)
        raise ParameterError(f"{path}: expected a file of text, got {said}") from error
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _decoded(path, data, "utf-16", "UTF-16")
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


def read_rows(
    path: Path, required: str, known: tuple[str, ...] = ()
) -> Iterator[tuple[int, dict[str, str] | str]]:
    """The line where each row ends, and its values by column, stripped, or what is wrong with it.

    The first row names the columns, in whatever case: one that is required, and others that are
    known, which must not be there twice, or almost. A table that makes no sense is a
    ParameterError.
    """
    text = read_text(path)
    for delimiter in DELIMITERS:
        rows = _rows(path, text, delimiter)
        try:
            names = [name.lower() for name in next(rows, (1, []))[1]]
        except ParameterError:
            continue  # no header with this delimiter
        if required in names:
            break
    else:
        head = text.lstrip("\r\n").splitlines()[:1]
        raise ParameterError(
            f"{path}, line 1: expected columns with {required} among them, "
            f"got {''.join(head)[:80]!r}"
        )
    for name in (required, *known):
        if names.count(name) > 1:
            raise ParameterError(f"{path}, line 1: expected each column once, got {name!r} again")
    lacking = [name for name in known if name not in names]
    for name in names:
        if name not in known and (close := difflib.get_close_matches(name, lacking, 1, 0.85)):
            raise ParameterError(f"{path}, line 1: expected the column {close[0]!r}, got {name!r}")
    for line, values in rows:
        if len(values) == len(names):
            yield line, dict(zip(names, values, strict=True))
        else:
            yield line, f"expected {len(names)} columns, got {len(values)}"


def _rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line and stripped values of each row that is not blank."""
    how = {"delimiter": delimiter, "skipinitialspace": True, "strict": True}
    reader = csv.reader(io.StringIO(text, newline=""), **how)
    try:
        for values in reader:
            stripped = [value.strip() for value in values]
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as error:
        raise ParameterError(f"{path}, line {reader.line_num}: {error}") from error
