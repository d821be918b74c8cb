"""Your own music: tables and folders of every kind, splits, and what is said of bad rows."""

from __future__ import annotations

import csv
import os
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import SAMPLE_RATE, make_clip, outcome
from hypothesis import given
from hypothesis import strategies as st

from multiscale import datasets
from multiscale.config import AudioError, ParameterError
from multiscale.datasets import DatasetSettings, clips, describing, folder, splitting, tables
from multiscale.datasets.tracks import Track


def write_music(path: Path, seconds: float = 2.1, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, make_clip(seed, seconds), SAMPLE_RATE)
    return path


def settings_for(path: Path, **others) -> DatasetSettings:
    # Not below the 5 s that settings allow, but a file of half of that will do.
    return DatasetSettings(name="folder", path=str(path), clip_seconds=5, **others)


@pytest.fixture
def music(home, tmp_path, monkeypatch) -> Path:
    """Three artists with four songs each; two clips of each song of the first artist."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # processes take longer to start than to work
    for artist in range(3):
        for song in range(4):
            seconds = 10.5 if artist == 0 else 5.2
            write_music(tmp_path / f"music/artist {artist}/album/{song}.wav", seconds, song)
    return tmp_path / "music"


def write_table(music: Path, rows: list[dict], name: str = "mine.csv", **options) -> Path:
    options = {"encoding": "utf-8"} | options
    path = music / name
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with open(path, "w", newline="", **options) as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows_of(music: Path) -> list[dict]:
    """A row for every song: artist by folder, tags by artist and song."""
    return [
        {
            "path": path.relative_to(music).as_posix(),
            "artist": path.parts[-3],
            "tags": f"all; {path.stem} ;{path.parts[-3]}",
        }
        for path in sorted(music.rglob("*.wav"))
    ]


def test_folders_of_audio(music):
    for name in (".hidden.wav", ".trash/x.wav", "cover.jpg", "artist 0/words.txt"):
        (music / name).parent.mkdir(exist_ok=True)
        (music / name).write_bytes(b"not audio")
    write_music(music / "loose song.ogg", 5)
    dataset = datasets.load(settings_for(music))
    assert len(dataset) == 4 * 2 + 2 * 4 + 1
    assert dataset.clips["artist"].value_counts().to_dict() == {
        "artist 0": 8,
        "artist 1": 4,
        "artist 2": 4,
    }
    loose = dataset.clips.loc[dataset.clips["file"] == "loose song.ogg"].iloc[0]
    assert pd.isna(loose["artist"])
    assert loose["title"] == "loose song"
    assert dataset.artists[dataset.clips["title"] == "loose song"].tolist() == [None]
    assert dataset.tags.shape == (17, 0)
    assert len(dataset.skipped) == 0
    assert all(signal.shape == (5 * SAMPLE_RATE,) for signal in dataset)
    assert describing.faults(dataset) == []


def test_a_table(music):
    rows = rows_of(music)
    rows[0] |= {"split": "TEST", "title": "1999", "licence": "CC BY 4.0"}
    rows[1] |= {"split": "valid", "tags": "", "artist": ""}
    dataset = datasets.load(settings_for(write_table(music, rows), n_tags=4))
    first = dataset.clips[dataset.clips["file"] == rows[0]["path"]]
    assert len(first) == 2
    assert set(first["split"]) == {"test"}
    assert first.iloc[0][["title", "licence"]].tolist() == ["1999", "CC BY 4.0"]
    second = np.flatnonzero(dataset.clips["file"] == rows[1]["path"])
    assert set(dataset.clips["split"].iloc[second]) == {"valid"}
    assert dataset.clips["artist"].iloc[second].isna().all()
    assert not dataset.tags[second].any()
    assert len(dataset.tag_names) == 4
    assert dataset.tag_names[0] == "all"
    carried = dataset.tags[:, dataset.tag_names.index("all")]
    assert carried.sum() == len(dataset) - 2
    counts = dataset.split("train").tags.sum(axis=0)
    assert (np.diff(counts) <= 0).all()


def test_bad_rows_are_listed_with_their_lines_and_the_rest_is_used(music):
    *good, last = rows_of(music)
    (music / "empty.mp3").write_bytes(b"")
    (music / "words.mp3").write_bytes(b"words " * 100)
    write_music(music / "short.wav", 1)
    write_music(music / "nan.wav")
    soundfile.write(music / "nan.wav", np.full(9 * SAMPLE_RATE, np.nan), SAMPLE_RATE, "FLOAT")
    bad = {
        "": "line 13: expected a path, got nothing",
        "gone.mp3": "line 14: expected a file, got nothing there",
        "artist 0": "line 15: expected a file, got a folder",
        "artist 1/album/../album/0.wav": "line 16: the same file as in line 6",
        "x\0y.mp3": "line 17: expected a file, got nothing there",
        "z" * 5000: "line 18: expected a file, got nothing there",
        "short.wav": "expected at least 2.5 s of audio, got 1.0 s",
        "empty.mp3": "expected an audio file, got one of zero bytes",
        "words.mp3": "expected audio that libsndfile",
        "nan.wav": "expected finite samples, got NaN",
    }
    rows = [*good, *({"path": name, "artist": "x"} for name in bad)]
    rows.append(last | {"split": "dev"})
    table = write_table(music, rows)
    with open(table, "a") as file:
        file.write("one,two,three,four,five,six\n")
    settings = settings_for(table)
    dataset = datasets.load(settings)
    assert set(dataset.clips["file"]) == {row["path"] for row in good}
    reasons = dict(zip(dataset.skipped["path"], dataset.skipped["reason"], strict=True))
    for name, reason in bad.items():
        if name:
            assert reason in reasons[name.replace("\0", r"\x00")]
    without_path = dataset.skipped.loc[dataset.skipped["path"] == "", "reason"].tolist()
    assert without_path == [
        "mine.csv, line 13: expected a path, got nothing",
        "mine.csv, line 24: expected 4 columns, got 6",
    ]
    assert reasons[last["path"]] == (
        "mine.csv, line 23: split: expected train, valid, test or nothing, got 'dev'"
    )
    assert datasets.load(settings).skipped.equals(dataset.skipped), "lost on the second call"


def test_paths_may_be_absolute_and_climb_and_be_written_in_other_ways(music, tmp_path):
    composed = unicodedata.normalize("NFC", "música é.wav")
    os.replace(music / "artist 0/album/0.wav", music / composed)
    rows = [
        {"path": str(music / "artist 1/album/0.wav")},
        {"path": "../music/artist 1/album/1.wav"},
        {"path": "..\\music\\artist 1\\album\\2.wav"},
        {"path": f"../music/{unicodedata.normalize('NFD', composed)}"},
    ]
    (tmp_path / "elsewhere").mkdir()
    dataset = datasets.load(settings_for(write_table(tmp_path / "elsewhere", rows)))
    assert len(dataset.skipped) == 0
    assert len(dataset) == 5


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encodings_and_delimiters(tmp_path, encoding, delimiter):
    path = tmp_path / "mine.csv"
    with open(path, "w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\r\n")
        header = ["Path", " ARTIST ", f"notes{delimiter} private"]
        writer.writerows([header, ["a;b,c.mp3", "Björk & live", ""], [], ["d", "e", "f"]])
    rows = [(line, row["path"], row["artist"]) for line, row in tables.read_rows(path, "path")]
    assert rows == [(2, "a;b,c.mp3", "Björk & live"), (4, "d", "e")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"mine\.csv, line 1: expected columns with path among them, got ''"),
        (b"artist,tags\nx,y\n", r"line 1: expected columns with path .*, got 'artist,tags'"),
        (b"path,artist,artist\n", r"line 1: expected each column once, got 'artist' again"),
        (b'path,artist\na.mp3,x\n"b.mp3,y\n', r"mine\.csv, line 3: unexpected end of data"),
        (b'path\n"a"b\n', r"mine\.csv, line 2: ',' expected after '\"'"),
        (b"path\na\nb\x81\xff\n", r"mine\.csv, line 3: expected text in UTF-8, got the byte 0x81"),
        (
            b"\xff\xfep\x00a\x00",
            r"mine\.csv, line 1: expected columns with path among them, got 'pa'",
        ),
        (b"\xff\xfep\x00a\x00x", r"mine\.csv, line 1: expected text in UTF-16"),
        (b"path\n" + b"x" * 200_000, r"mine\.csv, line 2: field larger than"),
    ],
)
def test_tables_that_make_no_sense(tmp_path, content, message):
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(ParameterError, match=message):
        list(tables.read_rows(path, "path", ("artist",)))


NAMES = st.lists(
    st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=12), max_size=6
)


@given(names=NAMES, artist=st.text(max_size=8), tags=st.text(max_size=12))
def test_every_row_is_used_or_listed(tmp_path_factory, names, artist, tags):
    root = tmp_path_factory.mktemp("rows")
    write_music(root / "real.wav", 1)
    rows = [{"path": name, "artist": artist, "tags": tags} for name in ["real.wav", *names]]
    table = write_table(root, rows, errors="surrogatepass")
    source, message = outcome(folder.Source, settings_for(table))
    if source is None:
        assert "mine.csv, line" in message
    else:
        found = source.gathered()
        blank = [row for row in rows if not any(value.strip() for value in row.values())]
        assert len(found.tracks) + len(found.skipped) == len(rows) - len(blank)
        assert len(found.tracks) == 1
        assert all(";" not in tag and tag.strip() for tag in found.tracks[0].tags)
        assert all(text.isprintable() for row in found.skipped for text in row)


@pytest.mark.parametrize("name", [None, "nowhere", "song.mp3"])
def test_what_is_neither_table_nor_folder(home, tmp_path, name):
    (tmp_path / "song.mp3").write_bytes(b"x")
    path = None if name is None else str(tmp_path / name)
    with pytest.raises(
        ParameterError, match=r"path: expected a folder of audio or a table \(\.csv"
    ):
        datasets.load(DatasetSettings(name="folder", path=path))
    assert not home.exists()


def test_what_cannot_be_entered_is_listed(music, tmp_path, monkeypatch):
    (music / "linked").symlink_to(music / "artist 0")
    (music / "gone.mp3").symlink_to(tmp_path / "nowhere")
    denied, scandir = str(music / "artist 2"), os.scandir

    def refusing(path):
        if str(path) == denied:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    dataset = datasets.load(settings_for(music))
    assert set(dataset.clips["artist"]) == {"artist 0", "artist 1"}
    assert dict(dataset.skipped.to_numpy()) == {
        "artist 2": "Permission denied",
        "gone.mp3": "expected a file, got nothing there",
        "linked": "expected a folder, got a link to one",
    }


def test_a_file_that_could_not_be_read_once_is_tried_again(music, monkeypatch):
    secret = str(music / "artist 0/album/0.wav")

    def refusing(path, *rest):
        if str(path) == secret:
            raise PermissionError(13, "Permission denied", path)
        return open(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(clips, "open", refusing, raising=False)
        patch.setattr(os, "access", lambda path, mode: str(path) != secret)
        (reason,) = datasets.load(settings_for(music)).skipped["reason"]
        assert reason == "Permission denied"
    assert len(datasets.load(settings_for(music)).skipped) == 0


def test_what_is_prepared_is_read_without_writing(music, monkeypatch):
    first = datasets.load(settings_for(music))
    monkeypatch.setattr("multiscale.datasets.collection.FileLock", None)
    assert datasets.load(settings_for(music)).clips.equals(first.clips)


def test_accents_in_two_spellings_are_one_artist(music):
    rows = rows_of(music)
    for row, form in zip(rows, ("NFC", "NFD"), strict=False):
        row["artist"] = unicodedata.normalize(form, "Björk")
    assert datasets.load(settings_for(write_table(music, rows))).clips["artist"].nunique() == 4


def test_nothing_that_can_be_used(music):
    (music / "empty").mkdir()
    with pytest.raises(
        AudioError, match=r"folder: expected at least one file .*: there is no audio"
    ):
        datasets.load(settings_for(music / "empty"))
    (music / "words.mp3").write_bytes(b"words")
    table = write_table(music, [{"path": "words.mp3"}, {"path": "gone.mp3"}])
    with pytest.raises(
        AudioError, match=r"got none of 2: gone\.mp3: mine\.csv, line 3: expected a"
    ):
        datasets.load(settings_for(table))


def test_too_little_for_three_splits(music):
    table = write_table(music, rows_of(music)[:2])
    with pytest.raises(ParameterError, match=r"at least 3 files .*, got 2 to deal out and none in"):
        datasets.load(settings_for(table))
    table = write_table(music, rows_of(music)[:8])
    with pytest.raises(ParameterError, match=r"at least 3 artists .*, got 2 to deal out"):
        datasets.load(settings_for(table, split_by="artist"))


def test_the_second_call_reads_the_table_and_changes_are_seen(music, monkeypatch):
    settings = settings_for(music)
    first = datasets.load(settings)
    with monkeypatch.context() as patch:
        patch.setattr("multiscale.datasets.tracks.prepare_tracks", None)
        again = datasets.load(settings)
    assert again.clips.equals(first.clips)
    identity = datasets.identity(settings)
    assert datasets.identity(settings) == identity
    write_music(music / "artist 2/new.wav", 5.5)
    assert datasets.identity(settings) != identity
    assert datasets.n_clips(settings) == len(first) + 1
    (first.folder / first.clips["path"].iloc[0]).unlink()
    assert len(datasets.load(settings)) == len(first) + 1
    for path in first.clips["path"]:
        assert (first.folder / path).is_file()


def test_ffmpeg_that_is_installed_later_is_used(music, monkeypatch):
    make_clip(0, 5).tofile(music / "samples")
    (music / "song.m4a").write_bytes(b"what libsndfile does not read")
    settings = settings_for(music)
    monkeypatch.setenv("PATH", "")
    assert "is not installed" in datasets.load(settings).skipped["reason"].iloc[0]
    fake = music / "ffmpeg"
    fake.write_text(f"#!/bin/sh\n/bin/cat '{music}/samples'\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(music))
    dataset = datasets.load(settings)
    assert len(dataset) == 17
    assert len(dataset.skipped) == 0


def test_a_smaller_set_is_part_of_a_larger_one(music):
    sets = [set(datasets.load(settings_for(music, n_clips=n)).clips.index) for n in (5, 9, 99)]
    assert [len(clips) for clips in sets] == [5, 9, 16]
    assert sets[0] < sets[1] < sets[2]
    assert datasets.n_clips(settings_for(music, n_clips=99)) == 16


@pytest.mark.parametrize("n_clips", [None, 7])
def test_parts_do_the_work_that_prepare_finds_done(music, monkeypatch, n_clips):
    settings = settings_for(music, n_clips=n_clips)
    for part in (2, 0, 1):
        datasets.prepare_part(settings, part, 3)
    monkeypatch.setattr("multiscale.datasets.tracks.cut", None)
    assert len(datasets.load(settings)) == (n_clips or 16)
    with pytest.raises(ParameterError, match="part: expected from 0 up to n_parts - 1 = 2, got 3"):
        datasets.prepare_part(settings, 3, 3)


def make_tracks(artists: list[str], tags: list[tuple[str, ...]] | None = None) -> list[Track]:
    tags = tags or [()] * len(artists)
    return [
        Track(Path(f"{i}.mp3"), f"{i}.mp3", str(i), artist=artist, tags=carried)
        for i, (artist, carried) in enumerate(zip(artists, tags, strict=True))
    ]


FILES = st.lists(st.tuples(st.sampled_from(["", *"abcdefgh"]), st.integers(1, 9)), min_size=3)


@given(files=FILES, split_by=st.sampled_from(["file", "artist"]), seed=st.integers(0, 9))
def test_splits_of_any_collection(files, split_by, seed):
    artists, counts = [artist for artist, _ in files], [count for _, count in files]
    tracks = make_tracks(artists)
    splits, message = outcome(splitting.assign, tracks, counts, split_by, seed)
    if splits is None:
        assert "none in" in message
        return
    assert set(splits) == {"train", "valid", "test"}
    assert splits == splitting.assign(tracks, counts, split_by, seed)
    by_artist = Counter()
    for artist, split, count in zip(artists, splits, counts, strict=True):
        by_artist[artist, split] += count
    for artist in set(artists) - {""}:
        within = [count for (name, _), count in by_artist.items() if name == artist]
        if split_by == "artist":
            assert len(within) == 1
        elif sum(within) >= 2:
            assert min(within) >= 2, "an artist with one clip in a split"


@pytest.mark.parametrize("split_by", ["file", "artist"])
def test_splits_have_their_shares_and_tags_alike(split_by):
    rng = np.random.default_rng(0)
    artists = [f"artist {i}" for i in rng.integers(0, 60, 900)]
    tags = [tuple(f"tag {i}" for i in np.flatnonzero(rng.random(20) < 0.1)) for _ in artists]
    tracks = make_tracks(artists, tags)
    splits = np.array(splitting.assign(tracks, [1] * 900, split_by))
    near = 0.1 if split_by == "file" else 0.2
    for split, share in splitting.SHARES.items():
        assert np.mean(splits == split) == pytest.approx(share, abs=0.02)
        for i in range(20):
            carries = np.array([f"tag {i}" in carried for carried in tags])
            assert np.mean(splits[carries] == split) == pytest.approx(share, abs=near)
    crossing = pd.crosstab(np.array(artists), splits)
    if split_by == "file":
        assert (crossing["test"] >= 2).mean() > 0.9
    assert (splits != np.array(splitting.assign(tracks, [1] * 900, split_by, seed=1))).any()


def test_what_describes_a_data_set(music):
    write_music(music / "one song/0.wav", 5)
    rows = [*rows_of(music)[:-1], {"path": "one song/0.wav", "artist": "one"}, {"path": "gone"}]
    dataset = datasets.load(settings_for(write_table(music, rows)))
    table = describing.overview(dataset)
    assert table["clips"].iloc[:3].sum() == 17
    sizes = ["clips", "artists", "artists_of_one_clip", "clips_without_tags"]
    assert table.loc["all", sizes].tolist() == [17, 4, 1, 1]
    assert table.loc["all", "hours"] == pytest.approx(17 * 5 / 3600)
    assert (describing.crossing_artists(dataset) > 0).sum(axis=1).min() > 1
    tags = describing.tag_frequencies(dataset)
    assert tags.loc["all", "all"] == tags.loc["all", ["train", "valid", "test"]].sum() == 16
    levels = describing.levels(dataset)
    assert levels["lowest"] <= levels["median"] <= levels["highest"] < 0
    text = describing.summary(dataset)
    assert "gone: mine.csv, line 15: expected a file" in text
    assert "all: 16 clips, 94.1%" in text


def test_faults_are_named(music):
    dataset = datasets.load(settings_for(music))
    paths = [dataset.folder / path for path in dataset.clips["path"]]
    paths[0].write_bytes(b"not audio")
    soundfile.write(paths[1], np.zeros(8000), 8000)
    faults = datasets.check(settings_for(music))
    assert len(faults) == 2
    assert faults[0].startswith(f"clips/{paths[0].name}: expected a clip, got")
    assert faults[1].endswith("expected 5 s at 16000 Hz, got 1 s at 8000 Hz")
    empty = ["valid: expected clips, got none", "test: expected clips, got none"]
    assert describing.faults(dataset.split("train"))[:2] == empty
