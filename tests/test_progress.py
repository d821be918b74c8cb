"""Progress on a terminal, in a log, and not at all."""

from __future__ import annotations

import io
import time

import pytest

from multiscale import progress as module
from multiscale.progress import hidden, progress


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _enabled(monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)


def test_a_terminal_gets_a_bar():
    stream = Terminal()
    assert list(progress(range(3), file=stream, desc="clips", mininterval=0)) == [0, 1, 2]
    assert stream.getvalue().count("\r") >= 3
    assert "3/3" in stream.getvalue()


def test_a_log_gets_a_last_line_and_no_returns():
    stream = io.StringIO()
    assert len(list(progress(range(300), file=stream, desc="clips"))) == 300
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().startswith("clips: 100% 300/300")
    assert "\r" not in stream.getvalue()


def test_a_log_gets_a_line_an_interval(monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0.1)
    stream = io.StringIO()
    started = time.monotonic()
    for _ in progress(range(60), file=stream):
        time.sleep(0.01)
    expected = (time.monotonic() - started) / 0.1
    lines = stream.getvalue().splitlines()
    assert 2 < len(lines) <= expected + 1
    assert all("/60" in line for line in lines)
    assert "\r" not in stream.getvalue()


def test_bars_within_bars_are_lines_too(monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    stream = io.StringIO()
    for _ in progress(range(2), file=stream, desc="outer"):
        for _ in progress(range(2), file=stream, desc="inner"):
            pass
    assert not set("\r\x1b") & set(stream.getvalue())
    assert all(line.startswith(("outer", "inner")) for line in stream.getvalue().splitlines())


def test_it_can_be_turned_off(monkeypatch):
    stream = Terminal()
    with hidden():
        list(progress(range(3), file=stream))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert list(progress(range(3), file=stream)) == [0, 1, 2]
    assert stream.getvalue() == ""
