"""MagnaTagATune on a few clips of the very same form, over servers that behave and misbehave."""

from __future__ import annotations

import re
import stat
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import made_up
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import zipped

from multiscale import datasets
from multiscale.config import AudioError, ParameterError
from multiscale.datasets import DatasetSettings, magnatagatune
from multiscale.datasets import magnatagatune_files as files
from multiscale.datasets.magnatagatune_files import ANNOTATIONS, CLIP_INFO, DownloadError

pytestmark = pytest.mark.usefixtures("home", "no_ffmpeg")

TABLES = (ANNOTATIONS, CLIP_INFO)
TAGS = ("guitar", "techno", "violin", "violins", "woman", "female", "no voice", "weird", "never")
PATHS = [f"{n % 16:x}/artist_{n % 5}-album-{n:02d}-song-0-29.mp3" for n in range(20)]
TRUNCATED, EMPTY, MISSING = PATHS[3], PATHS[6], PATHS[9]


@pytest.fixture(scope="session")
def copy(tmp_path_factory) -> Path:
    """Folders 0 to f with a clip or two each, and both tables."""
    root = tmp_path_factory.mktemp("magnatagatune")
    rng = np.random.default_rng(0)
    rows, info = [], []
    for number, path in enumerate(PATHS):
        made_up.song(root / path, 5.3, number, format="MP3")
        given = (rng.random(len(TAGS)) < np.linspace(0.8, 0.1, len(TAGS))).astype(int)
        given[-1] = 0
        rows.append([number * 7, *given, path])
        info.append([number * 7, 1, f"Song {number}", f"Artist {number % 5}", "", path])
    (root / TRUNCATED).write_bytes((root / TRUNCATED).read_bytes()[:600])
    (root / EMPTY).write_bytes(b"")
    (root / MISSING).unlink()
    # As published: also clips that nobody annotated, without a path.
    info.append([9999, 2, 'A "quoted" song', "Somebody Else", "", ""])
    columns = ["clip_id", "track_number", "title", "artist", "album", "mp3_path"]
    for name, table in {
        ANNOTATIONS: pd.DataFrame(rows, columns=["clip_id", *TAGS, "mp3_path"]),
        CLIP_INFO: pd.DataFrame(info, columns=columns),
    }.items():
        table.to_csv(root / name, sep="\t", index=False, quoting=1, lineterminator="\n")
    return root


@pytest.fixture(scope="session")
def archive(copy) -> bytes:
    """All mp3s in a zip."""
    return zipped({p.relative_to(copy).as_posix(): p.read_bytes() for p in copy.rglob("*.mp3")})


def put_tables(copy: Path, folder: Path, old: str = "", new: str = "") -> None:
    """Both tables in another folder, the annotations with a word changed."""
    text = (copy / ANNOTATIONS).read_text()
    assert old in text
    (folder / ANNOTATIONS).write_text(text.replace(old, new) if old else text)
    (folder / CLIP_INFO).write_bytes((copy / CLIP_INFO).read_bytes())


def in_parts(data: bytes) -> dict[str, bytes]:
    third = len(data) // 3
    cuts = [data[:third], data[third : 2 * third], data[2 * third :]]
    return {f"mp3.zip.00{number}": cut for number, cut in enumerate(cuts, 1)}


def settings_for(path: Path | None = None, **others) -> DatasetSettings:
    where = None if path is None else str(path)
    return DatasetSettings(name="magnatagatune", path=where, clip_seconds=5, **others)


def prepared(settings: DatasetSettings) -> datasets.ClipDataset:
    return datasets.load(settings, n_workers=1)


def check_contents(dataset: datasets.ClipDataset) -> None:
    """What every way to the same music must give."""
    skipped = dict(dataset.skipped.to_numpy())
    # Whether libsndfile makes out so little depends on its version.
    truncated = skipped.pop(TRUNCATED)
    assert re.match("expected (audio that|at least 2.5 s of audio)", truncated)
    assert skipped == {
        EMPTY: "expected an audio file, got one of zero bytes",
        MISSING: "expected an mp3, got nothing there",
    }
    assert list(dataset.clips["file"]) == [
        path for path in PATHS if path not in (TRUNCATED, EMPTY, MISSING)
    ]
    for path, signal in zip(dataset.clips["file"], dataset, strict=True):
        assert signal.shape == (5 * made_up.RATE,)
        original = made_up.clip(PATHS.index(path), 5.3)[: len(signal)]
        assert np.corrcoef(signal, original)[0, 1] > 0.9


def test_an_unpacked_copy(copy):
    settings = settings_for(copy)
    dataset = prepared(settings)
    check_contents(dataset)
    split = dataset.clips["file"].str[0].map(magnatagatune.FOLDERS)
    assert (dataset.clips["split"] == split).all()
    assert dataset.clips["split"].value_counts().to_dict() == {"train": 13, "valid": 1, "test": 3}
    assert set(dataset.clips["artist"]) == {f"Artist {i}" for i in range(5)}
    assert set(dataset.clips["licence"]) == {magnatagatune.LICENCE}
    assert prepared(settings).skipped.equals(dataset.skipped)
    assert datasets.n_clips(settings) == 17


def test_tags_are_the_most_frequent_ones_of_the_whole_table(copy):
    table = pd.read_csv(copy / ANNOTATIONS, sep="\t").set_index("mp3_path")
    counts = table.drop(columns="clip_id").sum()
    dataset = prepared(settings_for(copy, n_tags=4))
    assert list(dataset.tag_names) == sorted(counts.index, key=lambda t: (-counts[t], t))[:4]
    expected = table.loc[dataset.clips["file"], list(dataset.tag_names)].astype(bool)
    np.testing.assert_array_equal(dataset.tags, expected)
    everything = prepared(settings_for(copy))
    assert set(everything.tag_names) == set(TAGS) - {"never"}


def test_copies_that_lack_something(copy, tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ParameterError, match=r"a folder with annotations_final.csv in it, got"):
            datasets.identity(settings_for(path))
    put_tables(copy, tmp_path)
    with pytest.raises(ParameterError, match=r"the folders 0 to f, mp3\.zip or .*, got none"):
        prepared(settings_for(tmp_path))
    for folder in files.FOLDERS:
        (tmp_path / folder).mkdir()
    with pytest.raises(AudioError, match=r"expected at least one file .* none of 20"):
        prepared(settings_for(tmp_path))
    (tmp_path / CLIP_INFO).unlink()
    with pytest.raises(
        ParameterError, match=r"clip_info_final\.csv: expected a file of text, got No"
    ):
        prepared(settings_for(tmp_path))


def test_synonyms_are_merged_when_asked(copy):
    apart, merged = (prepared(settings_for(copy, merge_synonyms=m)) for m in (False, True))
    assert {"violin", "violins", "woman", "female"} < set(apart.tag_names)
    assert set(merged.tag_names) == {"guitar", "techno", "violin", "female", "no singer", "strange"}
    columns = [apart.tag_names.index(name) for name in ("violin", "violins")]
    either = apart.tags[:, columns].any(axis=1)
    np.testing.assert_array_equal(merged.tags[:, merged.tag_names.index("violin")], either)


def test_counts_that_are_not_as_published_are_said(copy, monkeypatch):
    settings = settings_for(copy)
    prepared(settings)
    assert datasets.check(settings_for(copy, n_clips=12)) == [], "a part of it"
    assert datasets.check(settings) == [
        "train: expected 18709 clips less 3 skipped ones, got 13",
        "valid: expected 1825 clips less 0 skipped ones, got 1",
        "test: expected 5329 clips less 0 skipped ones, got 3",
        "artists: expected 230, got 5",
    ]
    monkeypatch.setattr(magnatagatune, "PUBLISHED", {"train": 16, "valid": 1, "test": 3})
    monkeypatch.setattr(magnatagatune, "N_ARTISTS", 5)
    assert datasets.check(settings) == []


@pytest.mark.parametrize("split", [True, False], ids=["parts", "whole"])
def test_a_copy_in_zips(copy, archive, tmp_path, split):
    mine, zips = tmp_path / "mine", in_parts(archive) if split else {"mp3.zip": archive}
    mine.mkdir()
    put_tables(copy, mine)
    for name, content in zips.items():
        (mine / name).write_bytes(content)
    check_contents(prepared(settings_for(mine)))
    assert {path.name for path in mine.iterdir()} == {*zips, *TABLES}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("clip_id", "clip", "line 1: expected tab-separated columns .* none called clip_id"),
        ('"7"\t', '"0"\t', "line 3: expected each clip_id once, got '0' again"),
        ('"7"\t"0"', '"7"\t"x"', "line 3: expected 0 or 1 for 'guitar', got 'x'"),
        ('"7"\t', '"7"\t"7"\t', "Expected 11 fields in line 3, saw 12"),
        ("\t", ",", "line 1: expected tab-separated columns"),
    ],
)
def test_annotations_that_are_not_as_published(copy, tmp_path, old, new, message):
    put_tables(copy, tmp_path, old, new)
    with pytest.raises(ParameterError, match=rf"annotations_final\.csv.*{message}"):
        magnatagatune.read_tables(tmp_path, 50, False)


@pytest.mark.parametrize(
    "path", ["../x.mp3", "/etc/x.mp3", "0/../../x.mp3", "g/x.mp3", "0/x.wav", ""]
)
def test_paths_that_leave_the_folder_are_skipped(copy, tmp_path, path):
    for folder in files.FOLDERS:
        (tmp_path / folder).symlink_to(copy / folder)
    put_tables(copy, tmp_path, PATHS[0], path)
    skipped = magnatagatune.Source(settings_for(tmp_path)).gathered().skipped
    assert (path, "expected a path such as 0/name.mp3") in skipped


def unpacked(folder: Path, data: bytes) -> dict[str, str]:
    (folder / "a.zip").write_bytes(data)
    (folder / "to").mkdir()
    return files.unpack([folder / "a.zip"], folder / "to")


def test_nothing_leaves_the_folder_of_a_zip(tmp_path):
    link = zipfile.ZipInfo("0/link.mp3")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    names = ["../x.mp3", "/x.mp3", "0/../../x.mp3", "..\\x.mp3", "C:/x.mp3", "../../0/y.mp3"]
    unpacked(
        tmp_path, zipped({"0/good.mp3": b"x", link: b"/etc/passwd"} | dict.fromkeys(names, b"y"))
    )
    found = {path for path in tmp_path.rglob("*") if not path.is_dir()} - {tmp_path / "a.zip"}
    assert all(path.parent == tmp_path / "to" / "0" and not path.is_symlink() for path in found)
    assert {path.name for path in found} == {"good.mp3", "link.mp3", "y.mp3"}


def test_a_broken_member_is_named_and_the_rest_unpacked(tmp_path):
    data = zipped({"0/a.mp3": b"first" * 99, "deep/1/b.mp3": b"second" * 99, "readme.txt": b"x"})
    broken = unpacked(tmp_path, data.replace(b"second", b"SECOND", 1))
    assert list(broken) == ["1/b.mp3"]
    assert broken["1/b.mp3"].startswith("broken in the zip: Bad CRC-32")
    assert [p.name for p in (tmp_path / "to").rglob("*") if p.is_file()] == ["a.mp3"]


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"PK\5\6" + b"\0" * 8 + b"\xff\0" * 4 + b"\0\0"])
)
def test_no_bytes_break_the_unpacking(tmp_path_factory, data, tail):
    with pytest.raises(AudioError, match=r"expected a zip in a\.zip, got"):
        unpacked(tmp_path_factory.mktemp("zip"), data + tail)


class Server(ThreadingHTTPServer):
    """Serves ``files`` at ``/site/`` and ``/mirror/``, as its ``manners`` say."""

    def __init__(self, files: dict[str, dict[str, bytes]]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server_port}/"
        self.files = files
        self.manners: set[str] = set()
        self.log: list[tuple[str, int]] = []

    def statuses(self, name: str) -> list[int]:
        """Of the replies to requests for a file."""
        return [code for path, code in self.log if path.endswith(name)]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        site, _, name = self.path.strip("/").partition("/")
        manners, content = self.server.manners, self.server.files.get(site, {}).get(name)
        if content is None or f"no {site}" in manners:
            self.server.log.append((self.path, 404))
            return self.send_error(404)
        start, mark = 0, f'"{hash(content)}"'
        if self.headers.get("If-Range") == mark and "no ranges" not in manners:
            start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
        status = 416 if start == len(content) else 206 if start else 200
        self.server.log.append((self.path, status))
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if "web page" in manners else "text/plain")
        self.send_header("Content-Length", str(len(content) - start))
        if "no marks" not in manners:
            self.send_header("ETag", mark)
        self.end_headers()
        end = len(content)
        if "drops" in manners and not start and len(content) > 2000:
            end = len(content) // 2
        if "drops often" in manners:
            end = min(end, start + len(content) // 10)
        self.wfile.write(content[start:end])
        return None

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def server(copy, archive, monkeypatch):
    tables = {name: (copy / name).read_bytes() for name in TABLES}
    server = Server({"site": tables | in_parts(archive), "mirror": tables | {"mp3.zip": archive}})
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    sites = [f"{server.base}{name}/" for name in ("site", "mirror")]
    monkeypatch.setattr(files, "SOURCES", dict(zip(sites, files.SOURCES.values(), strict=True)))
    monkeypatch.setattr(files, "RETRIES", 12)
    monkeypatch.setattr(files, "CHUNK", 64)
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("manner", "n_drops"), [("none", [0]), ("drops", [1]), ("drops often", [10, 11])]
)
def test_downloads(server, home, manner, n_drops):
    server.manners = {manner}
    assert datasets.n_clips(settings_for(n_clips=12)) == 12
    assert datasets.n_clips(settings_for()) == 25_863 - 3, "as published"
    assert server.log == []
    check_contents(prepared(settings_for()))
    assert datasets.n_clips(settings_for()) == 17
    first, *more = server.statuses("mp3.zip.002")
    assert (first, set(more) | {206}) == (200, {206})
    assert len(more) in n_drops
    assert server.statuses("mp3.zip") == []
    left = {path.name for path in (home / "datasets/magnatagatune/source").iterdir()}
    assert left == set(TABLES)
    n_requests = len(server.log)
    check_contents(prepared(settings_for()))
    assert prepared(settings_for(n_tags=3)).tags.shape == (17, 3)
    assert len(server.log) == n_requests, "downloaded again"


UNFINISHED = r"site/mp3\.zip\.001: .*; .*mirror/mp3\.zip: "


@pytest.mark.parametrize(
    ("manner", "message"),
    [("no ranges", UNFINISHED), ("no marks", UNFINISHED), ("web page", "file, got a web page")],
)
def test_a_download_that_cannot_be_ended_is_begun_anew(server, manner, message):
    server.manners = {"drops", manner}
    with pytest.raises(DownloadError, match=message):
        prepared(settings_for())
    server.manners = {manner} - {"web page"}
    check_contents(prepared(settings_for()))


def test_halves_are_joined_in_the_next_call_if_they_are_of_one_file(server, home, monkeypatch):
    monkeypatch.setattr(files, "RETRIES", 0)
    home.mkdir()
    base, name = f"{server.base}site/", "mp3.zip.001"
    content = server.files["site"][name]
    for later in (content, content[::-1]):
        server.files["site"][name], server.manners = content, {"drops"}
        with pytest.raises(DownloadError, match="IncompleteRead"):
            files.fetch(base, name, home)
        assert (home / "mp3.zip.001.part").stat().st_size >= len(content) // 2 - 64
        server.files["site"][name], server.manners = later, set()
        path = files.fetch(base, name, home)
        assert path.read_bytes() == later
        assert [p.name for p in home.iterdir()] == [name]
        path.unlink()
    assert server.statuses(name) == [200, 206, 200, 200]


def test_the_mirror_is_asked_when_the_site_fails(server):
    server.manners = {"no site"}
    check_contents(prepared(settings_for()))
    assert server.statuses("mirror/mp3.zip") == [200]
    assert server.statuses("mp3.zip.001") == [404], "a refusal is no reason to try again"


@pytest.mark.parametrize("name", ["mp3.zip.001", "mp3.zip.002", "mp3.zip.003", ANNOTATIONS])
@pytest.mark.parametrize("wrong", [b"not what it should be", b"PK\3\4 begins well" * 3000, None])
def test_a_wrong_or_damaged_file_is_not_taken(server, name, wrong):
    good = server.files["site"][name]
    spot = 0 if name == ANNOTATIONS else len(good) // 2
    server.files["site"][name] = wrong or good[:spot] + bytes(9) + good[spot + 9 :]
    check_contents(prepared(settings_for()))
    assert server.statuses(f"mirror/{ANNOTATIONS if name == ANNOTATIONS else 'mp3.zip'}") == [200]


def test_wrong_files_everywhere(server, home):
    server.files["site"]["mp3.zip.002"] = server.files["mirror"]["mp3.zip"] = b"PK" * 900
    with pytest.raises(DownloadError, match=r"a zip in mp3\.zip\.001, .*; .* a zip in mp3\.zip,"):
        prepared(settings_for())
    assert not list(home.rglob("mp3.zip*")), "would be taken for good next time"


def test_unpacking_goes_on_after_a_kill(server, monkeypatch):
    extract, left = files._extract, iter(range(10))

    def dying(*arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        extract(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_extract", dying)
        with pytest.raises(KeyboardInterrupt):
            prepared(settings_for())
    n_requests = len(server.log)
    check_contents(prepared(settings_for()))
    assert len(server.log) == n_requests
