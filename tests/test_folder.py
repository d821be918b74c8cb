"""Your own music: tables and folders of every kind, splits, and what is said of bad rows."""

from __future__ import annotations

import csv
import errno
import os
import unicodedata
from collections import Counter
from pathlib import Path

import made_up
import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from made_up import outcome

from multiscale import datasets
from multiscale.config import AudioError, ParameterError
from multiscale.datasets import DatasetSettings, clips, describing, splitting, tables
from multiscale.datasets.tracks import Track


def settings_for(path: Path, **others) -> DatasetSettings:
    # Not below the 5 s that settings allow, but a file of half of that will do.
    return DatasetSettings(name="folder", path=str(path), clip_seconds=5, **others)


def write_table(music: Path, rows: list[dict], **how) -> Path:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with open(music / "mine.csv", "w", newline="", encoding="utf-8", **how) as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return music / "mine.csv"


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
    made_up.song(music / "loose song.ogg", 5)
    dataset = datasets.load(settings_for(music))
    assert Counter(dataset.artists) == {"artist 0": 8, "artist 1": 4, "artist 2": 4, None: 1}
    assert dataset.artists[dataset.clips["title"] == "loose song"].tolist() == [None]
    assert dataset.tags.shape == (17, 0)
    assert len(dataset.skipped) == 0
    assert all(signal.shape == (5 * made_up.RATE,) for signal in dataset)


def test_a_table(music):
    rows = rows_of(music)
    rows[0] |= {"split": "TEST", "title": "1999", "licence": "CC BY 4.0"}
    rows[1] |= {"split": "valid", "tags": "", "artist": ""}
    dataset = datasets.load(settings_for(write_table(music, rows), n_tags=4))
    first = dataset.clips[dataset.clips["file"] == rows[0]["path"]]
    assert len(first) == 2
    assert set(first["split"]) == {"test"}
    assert first.iloc[0][["title", "licence"]].tolist() == ["1999", "CC BY 4.0"]
    second = dataset[np.flatnonzero(dataset.clips["file"] == rows[1]["path"])]
    assert set(second.clips["split"]) == {"valid"}
    assert set(second.artists) == {None}
    assert not second.tags.any()
    assert len(dataset.tag_names) == 4
    assert dataset.tag_names[0] == "all"
    assert dataset.tags[:, 0].sum() == len(dataset) - 2
    assert (np.diff(dataset.split("train").tags.sum(axis=0)) <= 0).all(), "most frequent first"


def test_bad_rows_are_listed_with_their_lines_and_the_rest_is_used(music):
    *good, last = rows_of(music)
    (music / "empty.mp3").write_bytes(b"")
    (music / "words.mp3").write_bytes(b"words " * 100)
    made_up.song(music / "short.wav", 1)
    soundfile.write(music / "nan.wav", np.full(9 * made_up.RATE, np.nan), made_up.RATE, "FLOAT")
    bad = {
        "gone.mp3": "line 13: expected a file, got nothing there",
        "artist 0": "line 14: expected a file, got a folder or device",
        "artist 1/album/../album/0.wav": "line 15: the same file as in line 6",
        "x\0y.mp3": "line 16: expected a file, got nothing there",
        "z" * 5000: "line 17: File name too long",
        "short.wav": "expected at least 2.5 s of audio, got 1.0 s",
        "empty.mp3": "expected an audio file, got one of zero bytes",
        "words.mp3": "expected audio that libsndfile",
        "nan.wav": "expected finite samples, got NaN",
    }
    bad[last["path"]] = "line 22: split: expected train, valid, test or nothing, got 'dev'"
    rows = [*good, *({"path": name, "artist": "x"} for name in bad)]
    rows[-1]["split"] = "dev"
    table = write_table(music, [*rows, {"artist": "x"}])
    with open(table, "a") as file:
        file.write("one,two,three,four,five,six\n")
    settings = settings_for(table)
    dataset = datasets.load(settings)
    assert set(dataset.clips["file"]) == {row["path"] for row in good}
    reasons = dict(dataset.skipped.to_numpy())
    for name, reason in bad.items():
        assert reason in reasons[name.replace("\0", r"\x00")]
    assert dataset.skipped.loc[dataset.skipped["path"] == "", "reason"].tolist() == [
        "mine.csv, line 23: expected a path, got nothing",
        "mine.csv, line 24: expected 4 columns, got 6",
    ]
    assert datasets.load(settings).skipped.equals(dataset.skipped), "lost on the second call"


def test_paths_and_artists_may_be_written_in_other_ways(music, tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "música é") for form in ("NFC", "NFD"))
    os.replace(music / "artist 0/album/0.wav", music / f"{composed}.wav")
    rows = [
        {"path": str(music / "artist 1/album/0.wav"), "artist": composed},
        {"path": "../music/artist 1/album/1.wav", "artist": decomposed},
        {"path": "..\\music\\artist 1\\album\\2.wav"},
        {"path": f"../music/{decomposed}.wav"},
    ]
    (tmp_path / "elsewhere").mkdir()
    dataset = datasets.load(settings_for(write_table(tmp_path / "elsewhere", rows)))
    assert len(dataset.skipped) == 0
    assert Counter(dataset.artists) == {composed: 2, None: 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"mine\.csv, line 1: expected columns with path among them, got ''"),
        (b"artist,tags\nx,y\n", r"line 1: expected columns with path .*, got 'artist,tags'"),
        (b'path,artist\na.mp3,x\n"b.mp3,y\n', r"mine\.csv, line 3: unexpected end of data"),
        (b'path\n"a"b\n', r"mine\.csv, line 2: '.' expected after '\"'"),
        (b"path\na\nb\x81\xff\n", r"mine\.csv, line 3: expected text in UTF-8, got the byte 0x81"),
        (b"\xff\xfep\x00a\x00", r"line 1: expected columns with path among them, got 'pa'"),
        (b"\xff\xfep\x00a\x00x", r"mine\.csv, line 1: expected text in UTF-16"),
        (b"path\n" + b"x" * 200_000, r"mine\.csv, line 2: field larger than"),
    ],
)
def test_tables_that_make_no_sense(tmp_path, content, message):
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(ParameterError, match=message):
        list(tables.read_rows(path, "path", ("artist",)))


@pytest.mark.parametrize("name", [None, "nowhere", "song.mp3"])
def test_what_is_neither_table_nor_folder(home, tmp_path, name):
    (tmp_path / "song.mp3").write_bytes(b"x")
    path = None if name is None else str(tmp_path / name)
    with pytest.raises(ParameterError, match="path: expected a folder of audio or a table"):
        datasets.load(DatasetSettings(name="folder", path=path))
    assert not home.exists()


def test_what_cannot_be_entered_is_listed(music, tmp_path, monkeypatch):
    (music / "linked").symlink_to(music / "artist 0")
    (music / "gone.mp3").symlink_to(tmp_path / "nowhere")
    os.replace(music / "artist 1", music / "Bj\u00f6rk")
    (music / "Bjo\u0308rk").mkdir()
    os.replace(music / "Bj\u00f6rk/album/0.wav", music / "Bjo\u0308rk/0.wav")
    denied, scandir = str(music / "artist 2"), os.scandir

    def refusing(path):
        if str(path) == denied:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    dataset = datasets.load(settings_for(music))
    assert set(dataset.clips["artist"]) == {"artist 0", "Bj\u00f6rk"}
    assert dict(dataset.skipped.to_numpy()) == {
        "artist 2": "Permission denied",
        "gone.mp3": "expected a file, got nothing there",
        "linked": "expected a folder, got a link to one",
    }


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_file_that_could_not_be_read_once_is_tried_again(music, monkeypatch, number):
    """It says nothing of the file: what is denied is listed, any other failure ends the call."""
    secret = str(music / "artist 0/album/0.wav")

    def refusing(path, *rest):
        if str(path) == secret:
            raise OSError(number, os.strerror(number), path)
        return open(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(clips, "open", refusing, raising=False)
        patch.setattr(os, "access", lambda path, mode: str(path) != secret)
        if number == errno.EACCES:
            assert list(datasets.load(settings_for(music)).skipped["reason"]) == [
                "Permission denied"
            ]
        else:
            with pytest.raises(OSError, match=r"Input/output error: .*0\.wav"):
                datasets.load(settings_for(music))
    assert len(datasets.load(settings_for(music)).skipped) == 0


def test_nothing_that_can_be_used(music):
    (music / "empty").mkdir()
    with pytest.raises(AudioError, match=r"folder: expected at least one .*: there is no audio"):
        datasets.load(settings_for(music / "empty"))
    (music / "words.mp3").write_bytes(b"words")
    table = write_table(music, [{"path": "words.mp3"}, {"path": "gone.mp3"}])
    with pytest.raises(AudioError, match=r"none of 2: gone\.mp3: mine\.csv, line 3: expected a"):
        datasets.load(settings_for(table))


@pytest.mark.parametrize(("split_by", "n_rows"), [("file", 2), ("artist", 8)])
def test_too_little_for_three_splits(music, split_by, n_rows):
    table = write_table(music, rows_of(music)[:n_rows])
    with pytest.raises(ParameterError, match=rf"at least 3 {split_by}s .*, got 2 .* and none in"):
        datasets.load(settings_for(table, split_by=split_by))


def test_the_second_call_only_reads_and_changes_are_seen(music, monkeypatch):
    settings = settings_for(music)
    first, identity = datasets.load(settings), datasets.identity(settings)
    with monkeypatch.context() as patch:
        patch.setattr("multiscale.datasets.collection.FileLock", None)
        assert datasets.load(settings).clips.equals(first.clips)
    for name in ("clips.csv", "skipped.csv", "tags.json"):
        (path,) = (first.folder / "tables").rglob(name)
        whole = path.read_bytes()
        for broken in (b"", bytes(len(whole)), whole[:25], b"{" * len(whole)):
            path.write_bytes(broken)
            assert datasets.load(settings).clips.equals(first.clips)
            assert path.read_bytes() == whole, "cannot be read, so made again"
    assert datasets.identity(settings) == identity
    made_up.song(music / "artist 2/new.wav", 5.5)
    assert datasets.identity(settings) != identity
    assert datasets.n_clips(settings) == len(first) + 1
    (first.folder / first.clips["path"].iloc[0]).unlink()
    again = datasets.load(settings)
    assert len(again) == len(first) + 1
    assert all((again.folder / path).is_file() for path in again.clips["path"])


def test_ffmpeg_that_is_installed_later_is_used(music, no_ffmpeg, monkeypatch):
    made_up.clip(0, 5).tofile(music / "samples")
    (music / "song.m4a").write_bytes(b"what libsndfile does not read")
    settings = settings_for(music)
    assert "is not installed" in datasets.load(settings).skipped["reason"].iloc[0]
    made_up.program(music / "ffmpeg", f"/bin/cat '{music}/samples'")
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
    splits, refusal = outcome(splitting.assign, tracks, counts, split_by, seed)
    if splits is None:
        assert "none in" in refusal
        return
    assert set(splits) == {"train", "valid", "test"}
    assert splits == splitting.assign(tracks, counts, split_by, seed)
    table = pd.DataFrame({"artist": artists, "split": splits, "count": counts})
    for _, own in table[table["artist"] != ""].groupby("artist"):
        within = own.groupby("split")["count"].sum()
        if split_by == "artist":
            assert len(within) == 1
        elif within.sum() >= 2:
            assert within.min() >= 2, "an artist with one clip in a split"


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
    if split_by == "file":
        assert (pd.crosstab(np.array(artists), splits)["test"] >= 2).mean() > 0.9
    assert (splits != np.array(splitting.assign(tracks, [1] * 900, split_by, seed=1))).any()


def test_what_describes_a_data_set(music):
    made_up.song(music / "one song/0.wav", 5)
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
    assert "all: 16 clips, 94.1%" in describing.summary(dataset)


def test_faults_are_named(music):
    dataset = datasets.load(settings_for(music))
    assert datasets.check(settings_for(music)) == []
    paths = [dataset.folder / path for path in dataset.clips["path"]]
    paths[0].write_bytes(b"not audio")
    soundfile.write(paths[1], np.zeros(8000), 8000)
    faults = datasets.check(settings_for(music))
    assert len(faults) == 2
    assert faults[0].startswith(f"clips/{paths[0].name}: expected a clip, got")
    assert faults[1].endswith("expected 5 s at 16000 Hz, got 1 s at 8000 Hz")
    empty = ["valid: expected clips, got none", "test: expected clips, got none"]
    assert describing.faults(dataset.split("train"))[:2] == empty
