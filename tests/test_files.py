"""Files of other people, of every kind: read as they were meant, or refused in one line."""

from __future__ import annotations

import csv
import io
import os
import shlex
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import made_up
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st
from made_up import as_anyone, outcome
from safetensors.numpy import save_file

from companion import figures, listen, rerun, sphinx_extension
from multiscale import audio
from multiscale.config import ParameterError
from multiscale.datasets import DatasetSettings, folder, load, tables
from multiscale.datasets.tracks import printable
from multiscale.features import MultiscaleFeatures
from multiscale.study import store
from multiscale.study.profiles import LearningSettings, Profile, load_profile, parse_yaml
from multiscale.study.protocol import Result
from multiscale.study.store import Artefact
from multiscale.training import Model

ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])
TEXT = st.text(st.characters(exclude_categories=["C"]), max_size=12)
CELLS = TEXT | st.sampled_from(["", " x ", '"', "a,b", "a;b", "a\tb", "'", "é", "e\u0301", "#"])
COLUMNS = ("path", *folder.COLUMNS)
NASTY = "<script>alert(1)</script>&\"'"


def encoded(text: str, encoding: str) -> bytes:
    """A text as bytes, where its encoding can be told from them."""
    try:
        data = text.encode(encoding)
        assume(encoding != "cp1252" or text.isascii() or data.decode("utf-8") == text)
    except UnicodeEncodeError:
        assume(False)
    except UnicodeDecodeError:
        pass
    return data


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder of this module's own."""
    return tmp_path_factory.mktemp("files")


@given(
    columns=st.lists(st.sampled_from(["notes", "year", *COLUMNS]), unique=True, max_size=8),
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=8), max_size=5),
    delimiter=st.sampled_from(tables.DELIMITERS),
    encoding=ENCODINGS,
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    write=st.sampled_from([str, str.upper, " {} ".format]),
)
def test_a_table_is_read_whole(place, columns, rows, delimiter, encoding, quoting, end, write):
    columns = ["path", *(name for name in columns if name != "path")]
    columns = columns[len(rows) % len(columns) :] + columns[: len(rows) % len(columns)]
    rows = [row[:1] for row in rows] if len(columns) == 1 else rows
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([map(write, columns), *rows])
    (place / "a.csv").write_bytes(encoded(text.getvalue(), encoding))
    found = [row for _, row in tables.read_rows(place / "a.csv", "path", folder.COLUMNS)]
    stripped = [[cell.strip() for cell in row] for row in rows]
    assert found == [
        dict(zip(columns, row, strict=True))
        if len(row) == len(columns)
        else f"expected {len(columns)} columns, got {len(row)}"
        for row in stripped
        if any(row)
    ]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("path,Artist,artist", "expected each column once, got 'artist' again"),
        ("path,Artists", "expected the column 'artist', got 'artists'"),
        ("path,TAG", "expected the column 'tags', got 'tag'"),
        ("path,license", "expected the column 'licence', got 'license'"),
    ],
)
def test_no_column_is_lost_for_its_name(place, header, message):
    (place / "a.csv").write_text(f"{header}\n")
    assert message in outcome(lambda: list(tables.read_rows(place / "a.csv", "path", COLUMNS)))[1]


@pytest.mark.parametrize("row", ['a.wav, "b; c"', "Simon, Garfunkel.wav", '"a, b"'])
def test_commas_within_a_cell(place, row):
    header = "path, tags" if ";" in row else "path"
    (place / "a.csv").write_text(f"{header}\n{row}\n")
    ((_, read),) = tables.read_rows(place / "a.csv", "path")
    assert list(read.values()) == (["a.wav", "b; c"] if ";" in row else [row.strip('"')])


@given(
    data=st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace"))
)
@example(b"\xff\xfe\0\0p\0\0\0")
def test_no_bytes_break_the_reading_of_a_table(place, data):
    (place / "a.csv").write_bytes(b"path,tags\n" * (len(data) % 2) + data)
    settings = DatasetSettings(name="folder", path=str(place / "a.csv"))
    source, refusal = outcome(folder.Source, settings)
    assert source or "a.csv, line" in refusal


@given(tags=st.lists(TEXT.filter(lambda t: ";" not in t), max_size=4), artist=TEXT)
@example(["rock, pop"], "Björk")
def test_tags_and_artists_of_a_table(place, tags, artist):
    (place / "song.wav").write_bytes(b"x")
    row, decomposed = ["song.wav", artist, ";".join(tags)], unicodedata.normalize("NFD", artist)
    with open(place / "a.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "artist", "tags"], row])
    found = folder.Source(DatasetSettings(name="folder", path=str(place / "a.csv"))).gathered()
    if found.skipped:
        assert len(tags) == 1
        assert found.skipped[0][1].endswith(
            f"expected ; between them, or behind one, got {row[2].strip()!r}"
        )
        return
    assert found.tracks[0].artist == unicodedata.normalize("NFC", decomposed.strip())
    told = (unicodedata.normalize("NFC", tag.strip()) for tag in tags)
    assert found.tracks[0].tags == tuple(dict.fromkeys(tag for tag in told if tag))


SETTINGS = st.builds(
    DatasetSettings,
    name=st.just("folder"),
    n_clips=st.none() | st.integers(1, 10**9),
    clip_seconds=st.floats(5, 600),
    path=st.none() | TEXT,
)
LEARNING = st.builds(LearningSettings, whitening_damping=st.none() | st.floats(0, 1e30))


@given(
    description=st.text(st.characters(exclude_categories=["Cs"])) | CELLS,
    dataset=SETTINGS,
    learning=LEARNING,
    encoding=ENCODINGS,
    how=st.fixed_dictionaries(
        {"default_flow_style": st.booleans(), "allow_unicode": st.booleans()}
    ),
)
@example("yes", DatasetSettings(), LearningSettings(), "utf-8", {})
@example("010", DatasetSettings(), LearningSettings(), "utf-8", {})
def test_a_profile_that_was_written_is_read(place, description, dataset, learning, encoding, how):
    profile = Profile(name="mine", description=description, dataset=dataset, learning=learning)
    text = yaml.safe_dump(profile.model_dump(exclude={"name"}), **how)
    (place / "mine.yaml").write_bytes(encoded(text, encoding))
    assert load_profile(place / "mine.yaml") == profile


SCALARS = (
    "010 -010 0_1 1:30 1:30.5 yes no true off ~ 0x1z 1e3 .inf 2020-13-45 2020-01-01 @x %a *x &x"
)
TRAPS = [
    *SCALARS.split(),
    "!!int ''",
    "!!float x",
    "!x 3",
    "&a [*a]",
    "[a",
    "{a",
    "{a: 1, a: 2}",
    "\tx",
    "[" * 600,
]


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap[:12])
def test_a_number_is_what_it_looks_like_or_refused(place, trap):
    (place / "trap.yaml").write_text(f"description: d\nlearning: {{n_iter: {trap}}}\n")
    assert outcome(load_profile, place / "trap.yaml")[1].startswith("profile trap: ")
    assert outcome(rerun.parse, f"n={shlex.quote(trap)}")[0] not in ({"n": 8}, {"n": 90.5})


@given(st.text("[]{}:#&*!|>'\"%@`,-?=< \n\t019abc~./\\\0\x85é\ufeff"))
def test_no_text_breaks_a_profile_or_an_assignment(place, text):
    (place / "any.yaml").write_text(text, encoding="utf-8")
    assert outcome(load_profile, place / "any.yaml")[1].startswith("profile any: ")
    for read, told in ((rerun.parse, text), (rerun.parse, f"a={text}"), (parse_yaml, text)):
        outcome(read, told)


@pytest.mark.parametrize("name", ["../x", "/x", ".x", "", "a/b", "a\\b", "a\nb"])
def test_a_profile_writes_in_no_other_folder(place, name):
    (place / "mine.yaml").write_text(yaml.safe_dump({"name": name, "description": "d"}))
    assert "profile mine: name: " in outcome(load_profile, place / "mine.yaml")[1]


VALUES = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | CELLS


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,9}", fullmatch=True), VALUES, max_size=4))
def test_assignments_are_read_as_they_were_meant(values):
    pieces = []
    for name, value in values.items():
        text = yaml.safe_dump(value, allow_unicode=True, width=1e9).removesuffix("...\n").strip()
        pieces.append(f"{name}={shlex.quote(text)}")
    assert rerun.parse(" ".join(pieces)) == values


NAMES = st.binary(max_size=40) | TEXT.map(str.encode) | st.just(NASTY.encode())
NAMES = NAMES.map(lambda name: os.fsdecode(name.translate(None, b"/\0")))


@given(
    names=st.lists(
        NAMES.filter(lambda name: name and not name.startswith(".")),
        min_size=3,
        max_size=3,
        unique_by=lambda name: unicodedata.normalize("NFC", name),
    )
)
def test_files_and_folders_may_be_named_as_they_like(tmp_path_factory, names):
    root = tmp_path_factory.mktemp("names")
    for number in range(3):
        name = names[number]
        made_up.song(root / "song.wav", 2.6, number)
        (root / "music" / name).mkdir(parents=True, exist_ok=True)
        os.replace(root / "song.wav", root / "music" / name / f"{name}{number}.WAV")
    (root / "song.wav").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MULTISCALE_HOME", str(root / "home"))
        music = load(DatasetSettings(name="folder", path=str(root / "music"), clip_seconds=5), 1)
        again = load(DatasetSettings(name="folder", path=str(root / "music"), clip_seconds=5), 1)
    assert {path.name for path in root.iterdir()} == {"home", "music", "song.wav"}
    assert music.clips.equals(again.clips)
    artists = {printable(unicodedata.normalize("NFC", name)) for name in names}
    assert set(music.artists) == artists
    titles = {printable(f"{names[number]}{number}") for number in range(3)}
    assert set(music.clips["title"]) == titles
    assert NASTY[:8] not in listen.clip(music, 0, seconds=0.1).data


METADATA = st.dictionaries(
    st.sampled_from(["parameters", "sampled", "task", "scaling", "hyperparameters"]),
    st.sampled_from(["", "{}", "[]", "[{", "tagging", '{"spectrogram": {}}']),
)


@given(
    data=st.binary(max_size=200),
    name=st.sampled_from(["best", "level0.means", "level9.mean", "runs.x", "runsx"]),
    metadata=METADATA,
    load=st.sampled_from([Result, Model, MultiscaleFeatures]),
)
def test_no_bytes_break_the_reading_of_a_store(tmp_path_factory, data, name, metadata, load):
    root = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MULTISCALE_HOME", str(root))
        artefact = Artefact("kind", {}, ("multiscale.config",), load=load.load)
        artefact.path.parent.mkdir(parents=True)
        artefact.path.write_bytes(data)
        assert artefact.read() is None
        save_file({name: np.frombuffer(data, np.uint8)}, artefact.path, metadata=metadata)
        assert artefact.read() is None


LOADS = [Result.load, Model.load, MultiscaleFeatures.load, store.metadata, audio.load, load_profile]


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.__qualname__)
def test_what_is_denied_is_named_and_is_no_broken_file(place, load):
    denied = place / "denied.yaml"
    denied.write_text("description: denied")
    denied.chmod(0)
    with as_anyone(), pytest.raises((OSError, ParameterError)) as refusal:
        load(denied)
    assert "denied.yaml" in str(refusal.value)
    assert "Permission denied" in str(refusal.value)


def test_markup_in_words_of_others_is_shown_and_not_run():
    page = {"provenance": NASTY, "example": "seed=1"}
    context, told = {"body": ""}, SimpleNamespace(metadata={"page": page})
    sphinx_extension.add_provenance(SimpleNamespace(env=told), "page", "", context, None)
    frame = pd.DataFrame({NASTY: [NASTY]}, index=[NASTY])
    shown = [figures.table(frame, "t").data, figures.text_table(frame, "t").data, frame.to_html()]
    for html in [*shown, listen.player(np.zeros(1600), NASTY).data, context["body"]]:
        assert "<script" not in html
        assert "&lt;script" in html


def test_a_title_is_no_formula():
    scores, carried = np.array([0.1, 0.9, 0.4]), np.array([False, True, False])
    for figure in (
        figures.spectrogram(np.zeros((10, 200)), 1.0, "$x_$"),
        figures.ranking(scores, carried, "$x_$", 0.5),
    ):
        figure.savefig(io.BytesIO())
