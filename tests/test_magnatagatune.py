"""MagnaTagATune on a few clips of the very same form, over servers that behave and misbehave."""

from __future__ import annotations

import io
import json
import re
import stat
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import SAMPLE_RATE, make_clip, outcome
from hypothesis import given
from hypothesis import strategies as st

from multiscale import datasets
from multiscale.config import AudioError, DatasetSettings, ParameterError
from multiscale.datasets import (
    clip_tables,
    downloading,
    magnatagatune,
    magnatagatune_files,
    unpacking,
)
from multiscale.datasets import magnatagatune_tables as published
from multiscale.datasets.downloading import DownloadError, Expected

TAGS = ("guitar", "techno", "violin", "violins", "woman", "female", "no voice", "weird", "never")
N_CLIPS = 20
TRUNCATED, EMPTY, MISSING = 3, 6, 9


def quoted(table: pd.DataFrame) -> str:
    return table.to_csv(sep="\t", index=False, quoting=1, lineterminator="\n")


@pytest.fixture(scope="session")
def copy(tmp_path_factory) -> Path:
    """Folders 0 to f with two clips each, and both tables."""
    root = tmp_path_factory.mktemp("magnatagatune")
    rng = np.random.default_rng(0)
    rows, info = [], []
    for number in range(N_CLIPS):
        folder = f"{number % 16:x}"
        path = f"{folder}/artist_{number % 5}-album-{number:02d}-song-0-29.mp3"
        (root / folder).mkdir(exist_ok=True)
        soundfile.write(root / path, make_clip(number, 5.3), SAMPLE_RATE, format="MP3")
        given = (rng.random(len(TAGS)) < np.linspace(0.8, 0.1, len(TAGS))).astype(int)
        given[-1] = 0
        rows.append([number * 7, *given, path])
        info.append([number * 7, 1, f"Song {number}", f"Artist {number % 5}", "", path])
    mp3 = [root / row[-1] for row in rows]
    mp3[TRUNCATED].write_bytes(mp3[TRUNCATED].read_bytes()[:600])
    mp3[EMPTY].write_bytes(b"")
    mp3[MISSING].unlink()
    table = pd.DataFrame(rows, columns=["clip_id", *TAGS, "mp3_path"])
    (root / published.ANNOTATIONS).write_text(quoted(table))
    # As published: also clips that nobody annotated, without a path.
    info.append([9999, 2, 'A "quoted" song', "Somebody Else", "", ""])
    columns = ["clip_id", "track_number", "title", "artist", "album", "mp3_path"]
    (root / published.CLIP_INFO).write_text(quoted(pd.DataFrame(info, columns=columns)))
    return root


@pytest.fixture(scope="session")
def archive(copy) -> bytes:
    """All mp3s in a zip."""
    return zipped({p.relative_to(copy).as_posix(): p.read_bytes() for p in copy.rglob("*.mp3")})


def zipped(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return data.getvalue()


def in_parts(data: bytes) -> dict[str, bytes]:
    third = len(data) // 3
    cuts = [data[:third], data[third : 2 * third], data[2 * third :]]
    return {f"mp3.zip.00{number}": cut for number, cut in enumerate(cuts, 1)}


def settings_for(path: Path | None = None, **others) -> DatasetSettings:
    where = None if path is None else str(path)
    return DatasetSettings(name="magnatagatune", path=where, clip_seconds=5, **others)


def prepared(settings: DatasetSettings) -> datasets.ClipDataset:
    return datasets.prepare(settings, n_workers=1)


def check_contents(dataset: datasets.ClipDataset) -> None:
    """What every way to the same music must give."""
    numbers = [int(re.search(r"album-(\d+)", file)[1]) for file in dataset.clips["file"]]
    assert numbers == sorted(set(range(N_CLIPS)) - {TRUNCATED, EMPTY, MISSING})
    for number, signal in zip(numbers, dataset, strict=True):
        assert signal.shape == (5 * SAMPLE_RATE,)
        assert np.corrcoef(signal, make_clip(number, 5.3)[: len(signal)])[0, 1] > 0.9
    skipped = dataset.skipped.set_index("path")["reason"]
    paths = {
        number: f"{number % 16:x}/artist_{number % 5}-album-{number:02d}-song-0-29.mp3"
        for number in (TRUNCATED, EMPTY, MISSING)
    }
    assert set(skipped.index) == set(paths.values())
    assert skipped[paths[TRUNCATED]].startswith("expected at least 2.5 s of audio, got")
    assert skipped[paths[EMPTY]] == "expected an audio file, got one of zero bytes"
    assert skipped[paths[MISSING]] == "expected an mp3, got nothing there"


def test_an_unpacked_copy(home, copy):
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
    assert datasets.identity(settings) == datasets.identity(settings)


def test_tags_are_the_most_frequent_ones_of_the_whole_table(home, copy):
    table = pd.read_csv(copy / published.ANNOTATIONS, sep="\t").set_index("mp3_path")
    counts = table.drop(columns="clip_id").sum()
    dataset = prepared(settings_for(copy, n_tags=4))
    assert list(dataset.tag_names) == sorted(counts.index, key=lambda t: (-counts[t], t))[:4]
    expected = table.loc[dataset.clips["file"], list(dataset.tag_names)].astype(bool)
    np.testing.assert_array_equal(dataset.tags, expected)
    everything = prepared(settings_for(copy))
    assert set(everything.tag_names) == set(TAGS) - {"never"}


def test_synonyms_are_merged_when_asked(home, copy):
    apart, merged = (prepared(settings_for(copy, merge_synonyms=m)) for m in (False, True))
    assert {"violin", "violins", "woman", "female"} < set(apart.tag_names)
    assert set(merged.tag_names) == {"guitar", "techno", "violin", "female", "no singer", "strange"}
    columns = [apart.tag_names.index(name) for name in ("violin", "violins")]
    either = apart.tags[:, columns].any(axis=1)
    np.testing.assert_array_equal(merged.tags[:, merged.tag_names.index("violin")], either)


def test_no_tag_is_a_synonym_twice():
    tags = [tag for group in published.SYNONYMS for tag in group]
    assert len(tags) == len(set(tags))
    assert min(map(len, published.SYNONYMS)) >= 2


def test_counts_that_are_not_as_published_are_said(home, copy, monkeypatch):
    settings = settings_for(copy)
    prepared(settings)
    assert datasets.check(settings) == [
        "train: expected 18709 clips less 3 skipped ones, got 13",
        "valid: expected 1825 clips less 0 skipped ones, got 1",
        "test: expected 5329 clips less 0 skipped ones, got 3",
        "artists: expected 230, got 5",
    ]
    monkeypatch.setattr(magnatagatune, "PUBLISHED", {"train": 16, "valid": 1, "test": 3})
    monkeypatch.setattr(magnatagatune, "N_ARTISTS", 5)
    assert datasets.check(settings) == []


def test_some_of_the_clips(home, copy):
    dataset = prepared(settings_for(copy, n_clips=12))
    assert len(dataset) == 12
    assert set(dataset.clips.index) < set(prepared(settings_for(copy)).clips.index)
    assert datasets.check(settings_for(copy, n_clips=12)) == []


def test_parts_do_the_work_that_prepare_finds_done(home, copy, monkeypatch):
    for part in range(2):
        datasets.prepare_part(settings_for(copy), part, 2)
    monkeypatch.setattr("multiscale.datasets.preparing.cut", None)
    check_contents(prepared(settings_for(copy)))


@pytest.mark.parametrize("split", [True, False], ids=["parts", "whole"])
def test_a_copy_in_zips(home, copy, archive, tmp_path, split):
    files = in_parts(archive) if split else {"mp3.zip": archive}
    for name in (published.ANNOTATIONS, published.CLIP_INFO):
        files[name] = (copy / name).read_bytes()
    (tmp_path / "mine").mkdir()
    for name, content in files.items():
        (tmp_path / "mine" / name).write_bytes(content)
    check_contents(prepared(settings_for(tmp_path / "mine")))
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == sorted(files)


def test_copies_that_lack_something(home, copy, tmp_path):
    with pytest.raises(ParameterError, match=r"a folder with annotations_final.csv in it, got"):
        prepared(settings_for(tmp_path))
    with pytest.raises(ParameterError, match=r"a folder with annotations_final.csv in it, got"):
        datasets.identity(settings_for(tmp_path / "nowhere"))
    table = (copy / published.ANNOTATIONS).read_bytes()
    (tmp_path / published.ANNOTATIONS).write_bytes(table)
    with pytest.raises(ParameterError, match=r"the folders 0 to f, mp3\.zip or .*, got none"):
        prepared(settings_for(tmp_path))
    for folder in "0123456789abcdef":
        (tmp_path / folder).mkdir()
    with pytest.raises(
        ParameterError, match=r"clip_info_final\.csv: expected a table, got No such"
    ):
        prepared(settings_for(tmp_path))
    info = (copy / published.CLIP_INFO).read_bytes()
    (tmp_path / published.CLIP_INFO).write_bytes(info)
    with pytest.raises(AudioError, match=r"expected at least one file .* none of 20"):
        prepared(settings_for(tmp_path))


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
def test_annotations_that_are_not_as_published(home, copy, tmp_path, old, new, message):
    text = (copy / published.ANNOTATIONS).read_text()
    assert old in text
    (tmp_path / published.ANNOTATIONS).write_text(text.replace(old, new))
    (tmp_path / published.CLIP_INFO).write_bytes((copy / published.CLIP_INFO).read_bytes())
    with pytest.raises(ParameterError, match=rf"annotations_final\.csv.*{message}"):
        published.read(tmp_path, 50, False)


@given(
    st.binary(max_size=200),
    st.sampled_from(["", "clip_id\tmp3_path\n", "clip_id\tx\tmp3_path\n1\t"]),
)
def test_no_annotations_break_the_reader(tmp_path_factory, content, head):
    root = tmp_path_factory.mktemp("tables")
    (root / published.ANNOTATIONS).write_bytes(head.encode() + content)
    (root / published.CLIP_INFO).write_text("clip_id\tartist\ttitle\n1\tx\ty\n")
    found, message = outcome(published.read, root, 50, True)
    if found is None:
        assert published.ANNOTATIONS in message
    else:
        clips, names = found
        assert len(names) <= 50
        assert list(clips) == ["mp3_path", "artist", "title", "tags"]


@pytest.mark.parametrize(
    "path", ["../x.mp3", "/etc/x.mp3", "0/../../x.mp3", "g/x.mp3", "0/x.wav", ""]
)
def test_paths_that_leave_the_folder_are_skipped(home, copy, tmp_path, path):
    for folder in "0123456789abcdef":
        (tmp_path / folder).symlink_to(copy / folder)
    text = (copy / published.ANNOTATIONS).read_text()
    first = re.search(r'"(0/[^"]+)"', text)[1]
    (tmp_path / published.ANNOTATIONS).write_text(text.replace(first, path))
    (tmp_path / published.CLIP_INFO).write_bytes((copy / published.CLIP_INFO).read_bytes())
    skipped = magnatagatune.collection(settings_for(tmp_path)).skipped
    assert (path, "expected a path such as 0/name.mp3") in skipped


@pytest.mark.parametrize("name", ["../x.mp3", "/x.mp3", "0/../../x.mp3", "..\\x.mp3", "C:/x.mp3"])
def test_zips_that_leave_their_folder(tmp_path, name):
    (tmp_path / "a.zip").write_bytes(zipped({"0/good.mp3": b"x", name: b"y"}))
    with pytest.raises(
        AudioError, match=r"a\.zip: expected members that stay in their folder, got"
    ):
        unpacking.unpack([tmp_path / "a.zip"], tmp_path / "to", magnatagatune_files.MEMBERS)
    assert not (tmp_path / "to").exists()


def test_zips_with_links(tmp_path):
    link = zipfile.ZipInfo("0/link.mp3")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(AudioError, match=r"stay in their folder, got '0/link\.mp3'"):
        unpacking.unpack([tmp_path / "a.zip"], tmp_path / "to", magnatagatune_files.MEMBERS)


def test_a_broken_member_is_named_and_the_rest_unpacked(tmp_path):
    data = zipped({"0/a.mp3": b"first" * 99, "deep/1/b.mp3": b"second" * 99, "readme.txt": b"x"})
    (tmp_path / "a.zip").write_bytes(data.replace(b"second", b"SECOND", 1))
    broken = unpacking.unpack([tmp_path / "a.zip"], tmp_path / "to", magnatagatune_files.MEMBERS)
    assert list(broken) == ["1/b.mp3"]
    assert broken["1/b.mp3"].startswith("broken in the zip: Bad CRC-32")
    assert [p.name for p in (tmp_path / "to").rglob("*") if p.is_file()] == ["a.mp3"]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=4))
def test_parts_read_as_one(tmp_path_factory, data, cuts):
    root = tmp_path_factory.mktemp("parts")
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    paths = [root / str(i) for i in range(len(edges) - 1)]
    for path, start, end in zip(paths, edges, edges[1:], strict=False):
        path.write_bytes(data[start:end])
    with io.BufferedReader(unpacking.Joined(paths)) as file:
        assert file.read() == data
        half = len(data) // 2
        assert file.seek(-half, io.SEEK_END) == len(data) - half
        assert file.read() == data[len(data) - half :]


class Server(ThreadingHTTPServer):
    """Serves ``files`` at ``/site/`` and ``/mirror/``, each as its ``manners`` say."""

    def __init__(self, files: dict[str, dict[str, bytes]]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.manners: set[str] = set()
        self.log: list[tuple[str, str | None, int]] = []

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        site, _, name = self.path.strip("/").partition("/")
        content = self.server.files.get(site, {}).get(name)
        wanted = self.headers.get("Range")
        manners = self.server.manners
        if content is None or f"no {site}" in manners:
            self.server.log.append((self.path, wanted, 404))
            return self.send_error(404)
        start, mark = 0, f'"{hash(content)}"'
        fresh = self.headers.get("If-Range") in (None, mark)
        if wanted and "no ranges" not in manners and fresh:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
        if start == len(content):
            self.server.log.append((self.path, wanted, 416))
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{start}")
            self.end_headers()
            return None
        self.server.log.append((self.path, wanted, 206 if start else 200))
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "text/html" if "web page" in manners else "text/plain")
        self.send_header("Content-Length", str(len(content) - start))
        if "no marks" not in manners:
            self.send_header("ETag", mark)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        end = len(content)
        if "drops" in manners and not start and len(content) > 2000:
            end = len(content) // 2
        if "drops often" in manners:
            end = min(end, start + len(content) // 10)
        self.wfile.write(content[start:end])

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def server(home, copy, archive, monkeypatch):
    tables = {n: (copy / n).read_bytes() for n in (published.ANNOTATIONS, published.CLIP_INFO)}
    files = {"site": tables | in_parts(archive), "mirror": tables | {"mp3.zip": archive}}
    server = Server(files)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    sources = [
        source.model_copy(update={"base": f"{server.base}{name}/"})
        for source, name in zip(magnatagatune_files.SOURCES, ("site", "mirror"), strict=True)
    ]
    monkeypatch.setattr(magnatagatune_files, "SOURCES", tuple(sources))
    monkeypatch.setattr(downloading, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(downloading, "ATTEMPTS", 3)
    yield server
    server.shutdown()
    server.server_close()


def source_folder(home: Path) -> Path:
    return home / "datasets" / "magnatagatune" / "source"


def statuses(server: Server, name: str) -> list[int]:
    return [code for path, _, code in server.log if path.endswith(name)]


@pytest.mark.parametrize(
    ("manners", "expected"),
    [
        (set(), [200]),
        ({"drops"}, [200, 206]),
        ({"drops often"}, [200, *[206] * 10]),
    ],
)
def test_downloads(server, home, manners, expected):
    server.manners = manners
    check_contents(prepared(settings_for()))
    assert statuses(server, "mp3.zip.002") == expected
    assert statuses(server, "mp3.zip") == []
    record = downloading.recorded(source_folder(home))
    assert set(record) == set(server.files["site"])
    assert record["mp3.zip.002"]["size"] == len(server.files["site"]["mp3.zip.002"])
    left = {path.name for path in source_folder(home).iterdir()} - {"lock"}
    assert left == {published.ANNOTATIONS, published.CLIP_INFO, "downloads.json", "unpacked.json"}
    n_requests = len(server.log)
    check_contents(prepared(settings_for()))
    assert prepared(settings_for(n_tags=3)).tags.shape == (17, 3)
    assert len(server.log) == n_requests, "downloaded again"


@pytest.mark.parametrize("manner", ["no ranges", "no marks"])
def test_a_server_that_drops_and_cannot_go_on(server, manner):
    server.manners = {"drops", manner}
    with pytest.raises(DownloadError, match=r"mp3\.zip\.001: expected it from some source"):
        prepared(settings_for())
    server.manners = {manner}
    check_contents(prepared(settings_for()))


def test_a_download_goes_on_in_the_next_call(server, home, monkeypatch):
    monkeypatch.setattr(downloading, "ATTEMPTS", 1)
    content = server.files["site"]["mp3.zip.001"]
    expected = Expected(name="mp3.zip.001")
    url = f"{server.base}site/mp3.zip.001"
    server.manners = {"drops"}
    with pytest.raises(DownloadError, match="before it ended"):
        downloading.fetch([url], home, expected)
    assert (home / "mp3.zip.001.part").stat().st_size == len(content) // 2
    assert not (home / "mp3.zip.001").exists()
    assert downloading.fetch([url], home, expected).read_bytes() == content
    assert statuses(server, "mp3.zip.001") == [200, 206]
    assert {p.name for p in home.iterdir()} == {"mp3.zip.001", "downloads.json"}


def test_a_download_that_was_whole_is_not_repeated(server, home):
    url, content = f"{server.base}site/mp3.zip.001", server.files["site"]["mp3.zip.001"]
    (home / "mp3.zip.001.part").parent.mkdir(parents=True)
    (home / "mp3.zip.001.part").write_bytes(content)
    note = {"url": url, "mark": f'"{hash(content)}"'}
    (home / "mp3.zip.001.part.json").write_text(json.dumps(note))
    assert downloading.fetch([url], home, Expected(name="mp3.zip.001")).read_bytes() == content
    assert len(server.log) == 1
    (home / "mp3.zip.001").rename(home / "mp3.zip.001.part")
    server.files["site"]["mp3.zip.001"] = content[:-1]
    (home / "mp3.zip.001.part.json").write_text(json.dumps(note))
    again = downloading.fetch([url], home, Expected(name="mp3.zip.001"))
    assert again.read_bytes() == content[:-1]


def test_half_of_one_file_is_never_joined_to_half_of_another(server, home, monkeypatch):
    monkeypatch.setattr(downloading, "ATTEMPTS", 1)
    server.manners = {"drops"}
    expected = Expected(name="mp3.zip.001")
    url = f"{server.base}site/mp3.zip.001"
    with pytest.raises(DownloadError, match="before it ended"):
        downloading.fetch([url], home, expected)
    server.manners = set()
    changed = server.files["site"]["mp3.zip.001"][::-1]
    server.files["site"]["mp3.zip.001"] = changed
    assert downloading.fetch([url], home, expected).read_bytes() == changed
    (home / "mp3.zip.001").rename(home / "mp3.zip.001.part")
    other = f"{server.base}mirror/mp3.zip"
    assert (
        downloading.fetch([other], home, expected).read_bytes() == server.files["mirror"]["mp3.zip"]
    )


def test_the_mirror_is_asked_when_the_site_fails(server, home):
    server.manners = {"no site"}
    check_contents(prepared(settings_for()))
    assert statuses(server, "mirror/mp3.zip") == [200]
    assert statuses(server, "mp3.zip.001") == [404], "a refusal is no reason to try again"
    assert downloading.recorded(source_folder(home))["mp3.zip"]["url"].startswith(
        f"{server.base}mirror/"
    )


def test_when_nobody_has_it(server):
    server.manners = {"no site", "no mirror"}
    with pytest.raises(
        DownloadError, match=r"site/annotations_final\.csv: .*404.*mirror/annot.*404"
    ):
        prepared(settings_for())


@pytest.mark.parametrize("name", ["mp3.zip.001", "mp3.zip.002", "mp3.zip.003"])
@pytest.mark.parametrize("wrong", [b"not what it should be", b"PK\3\4 begins well" * 3000])
def test_a_wrong_file_is_not_taken(server, home, name, wrong):
    server.files["site"][name] = wrong
    check_contents(prepared(settings_for()))
    assert statuses(server, "mirror/mp3.zip") == [200]


def test_wrong_files_everywhere(server, home):
    server.files["site"]["mp3.zip.002"] = server.files["mirror"]["mp3.zip"] = b"PK" * 900
    with pytest.raises(DownloadError, match=r"14 files are broken .*; .* a zip in mp3\.zip"):
        prepared(settings_for())
    assert not list(source_folder(home).glob("mp3.zip*")), "would be taken for good next time"


def test_a_wrong_table_or_web_page_is_not_taken(server, home):
    server.files["site"][published.ANNOTATIONS] = b"some words"
    prepared(settings_for())
    assert statuses(server, f"mirror/{published.ANNOTATIONS}") == [200]
    server.manners = {"web page"}
    with pytest.raises(DownloadError, match="expected the file, got a web page"):
        downloading.fetch([f"{server.base}site/mp3.zip.002"], home, Expected(name="x"))


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"size": 5}, "expected 5 bytes, got"),
        ({"sha256": "0" * 64}, "expected sha256 0000"),
        ({"begins": (b"RIFF",)}, r"expected a file that begins with b'RIFF', got b'PK"),
    ],
)
def test_what_is_known_of_a_file_is_verified(server, home, known, message):
    urls = [f"{server.base}site/mp3.zip.001"]
    with pytest.raises(DownloadError, match=message):
        downloading.fetch(urls, home, Expected(name="a", **known))
    assert not list(home.glob("a*"))
    seen = downloading.fetch(urls, home, Expected(name="a"))
    record = downloading.recorded(home)["a"]
    assert record["size"] == seen.stat().st_size
    again = Expected(name="b", size=record["size"], sha256=record["sha256"], begins=(b"PK",))
    assert downloading.fetch(urls, home, again).read_bytes() == seen.read_bytes()


def test_a_damaged_archive_is_fetched_from_the_mirror(server, copy):
    good = server.files["site"]["mp3.zip.002"]
    middle = len(good) // 2
    server.files["site"]["mp3.zip.002"] = good[:middle] + bytes(9) + good[middle + 9 :]
    check_contents(prepared(settings_for()))
    assert statuses(server, "mirror/mp3.zip") == [200]


def test_unpacking_goes_on_after_a_kill(server, home, monkeypatch):
    extract, count = unpacking._extract, [0]

    def dying(*arguments):
        count[0] += 1
        if count[0] > 10:
            raise KeyboardInterrupt
        extract(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(unpacking, "_extract", dying)
        with pytest.raises(KeyboardInterrupt):
            prepared(settings_for())
    n_requests = len(server.log)
    check_contents(prepared(settings_for()))
    assert len(server.log) == n_requests


def test_tables_on_disk_that_cannot_be_read_are_made_again(home, copy):
    settings = settings_for(copy)
    first = prepared(settings)
    for name in ("clips.csv", "skipped.csv", "tags.json"):
        (path,) = (first.folder / "tables").rglob(name)
        path.write_bytes(b"")
        assert prepared(settings).clips.equals(first.clips)
        assert json.loads(next((first.folder / "tables").rglob("tags.json")).read_text())
    assert clip_tables.load("magnatagatune", home, {}, "") is None
