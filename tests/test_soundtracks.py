"""Soundtracks: packages made here, served to the real apt from a folder; and Debian's own."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import SAMPLE_RATE, make_clip

from multiscale.config import AudioError, DatasetSettings, ParameterError
from multiscale.datasets import describing, soundtracks, soundtracks_packages
from multiscale.datasets import soundtracks_apt as apt
from multiscale.datasets import soundtracks_credits as credits
from multiscale.datasets.soundtracks_unpacking import unpack

CLIP_SECONDS = 7
"""A track of 23 s has three."""

COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: music/*
Copyright: 2001, Ann Other <ann@example.org>
License: CC-BY-SA-4.0
"""

EVIDENCE = "Copyright: 2001, Ann Other License: CC-BY-SA-4.0"

needs_apt = pytest.mark.skipif(
    not all(map(shutil.which, apt.PROGRAMS)), reason="this system has no apt and dpkg-deb"
)


def sound(seed: int = 0, seconds: float = 23.0, form: str = "OGG", **comments: str) -> bytes:
    """A file of music with comments."""
    subtype = {"OGG": "VORBIS", "WAV": "PCM_16"}[form]
    target = io.BytesIO()
    with soundfile.SoundFile(target, "w", SAMPLE_RATE, 1, subtype, format=form) as file:
        for name, value in comments.items():
            setattr(file, name, value)
        file.write(make_clip(seed, seconds))
    return target.getvalue()


def build(folder: Path, name: str, files: dict[str, bytes], version: str = "1:2.0-1") -> Path:
    """A .deb of files by their paths, and a link out of it among the music."""
    root = folder / f"{name}-tree"
    for path, content in {f"usr/share/doc/{name}/copyright": COPYRIGHT.encode(), **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (root / "usr/share/games/music").mkdir(parents=True, exist_ok=True)
    (root / "usr/share/games/music/link.ogg").symlink_to("/etc/hostname")
    control = f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
    control += "Maintainer: Nobody <nobody@example.org>\nDescription: music\n"
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN" / "control").write_text(control)
    deb = folder / f"{name}_{version.partition(':')[2] or version}_all.deb"
    command = ["dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "--build", str(root), str(deb)]
    subprocess.run(command, check=True, capture_output=True)
    shutil.rmtree(root)
    return deb


def deb_by_hand(path: Path, members: dict[str, bytes]) -> Path:
    """A .deb with any member names, which dpkg-deb would not build."""
    parts = {"debian-binary": b"2.0\n"}
    for archive, files in (("control.tar", {"./control": b"Package: x\n"}), ("data.tar", members)):
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as tar:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        parts[archive] = content.getvalue()
    with path.open("wb") as file:
        file.write(b"!<arch>\n")
        for name, data in parts.items():
            file.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode())
            file.write(data + b"\n" * (len(data) % 2))
    return path


def zipped(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target.getvalue()


def files_below(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


class Repository:
    """A folder of packages that apt takes for the only source of this system."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()

    def add(self, name: str, files: dict[str, bytes], version: str = "1:2.0-1") -> Path:
        deb = build(self.folder, name, files, version)
        self.index()
        return deb

    def index(self, digests: dict[str, str] | None = None) -> None:
        """Write the list of packages, with hashes of their own where told so."""
        paragraphs = []
        for deb in sorted(self.folder.glob("*.deb")):
            said = subprocess.run(
                ["dpkg-deb", "-f", str(deb)], check=True, capture_output=True, text=True
            )
            digest = hashlib.sha256(deb.read_bytes()).hexdigest()
            digest = (digests or {}).get(deb.name, digest)
            place = f"Filename: ./{deb.name}\nSize: {deb.stat().st_size}"
            paragraphs.append(f"{said.stdout}{place}\nSHA256: {digest}\n")
        (self.folder / "Packages").write_text("\n".join(paragraphs))


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """An empty one."""
    found = Repository(tmp_path / "repository")
    found.index()
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] copy:{found.folder} ./\n")
    config = f'Dir::Etc::SourceList "{tmp_path / "sources.list"}";\n'
    (tmp_path / "apt.conf").write_text(config + 'Dir::Etc::SourceParts "/dev/null";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return found


@pytest.fixture
def downloads(tmp_path) -> Path:
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


def package(name: str, tracks: int, clips: int, pattern: str = "", music: str = "") -> dict:
    music = music or "usr/share/games/music/*.ogg"
    row = {"package": name, "pattern": pattern, "music": music, "left_out": "*/effects/*"}
    return {**row, "tracks": str(tracks), "clips": str(clips)}


TABLES = {
    "packages": (
        package("small-music", 6, 18),
        package("other-music", 4, 12, music="usr/share/games/data/*.pk3/cd/*.ogg"),
        package("missing-music", 9, 90),
        package("more-9-music", 4, 12, pattern="more-*-music"),
    ),
    "rights": (
        {
            "package": "*",
            "files": "usr/*",
            "licence": "CC-BY-SA-4.0",
            "holder": "2001 Ann Other",
            "artist": "Ann Other",
            "document": "copyright",
            "evidence": EVIDENCE,
        },
    ),
    "names": (
        {
            "package": "small-music",
            "files": "*/piece5.ogg",
            "artist": "Wilhelmine",
            "title": "Sonata",
            "said_in": "the book",
        },
    ),
    "artists": ({"variant": "A. N. Other", "artist": "Ann Other", "reason": "initials"},),
}


@pytest.fixture(scope="session")
def debs(tmp_path_factory) -> Path:
    """A folder with three of the four packages, one under another name and in two versions."""
    folder = tmp_path_factory.mktemp("debs")
    music = "usr/share/games/music"
    small = {f"{music}/piece{i}.ogg": sound(i, artist="A. N. Other") for i in range(6)}
    small[f"{music}/effects/bang.ogg"] = sound(90)
    small[f"{music}/jingle.ogg"] = sound(91, seconds=3)
    small["usr/share/games/speech/hello.ogg"] = sound(92)
    build(folder, "small-music", small)
    tracks = {f"cd/{i}.ogg": sound(10 + i, artist="Bea", title=f"No {i}") for i in range(4)}
    archive = zipped({**tracks, "cd/effects/x.ogg": sound(93), "talk/y.ogg": sound(94)})
    build(folder, "other-music", {"usr/share/games/data/one.pk3": archive}, "0.3")
    build(folder, "more-10-music", {f"{music}/{i}.ogg": sound(20 + i) for i in range(4)}, "10.1")
    build(folder, "more-8-music", {f"{music}/old.ogg": sound(95)}, "8.1")
    return folder


@pytest.fixture
def listed(home, repository, debs, monkeypatch):
    """A list of four packages, and a source that has three of them."""
    monkeypatch.setattr(credits, "table", TABLES.__getitem__)
    monkeypatch.setattr(soundtracks, "LISTED_SECONDS", CLIP_SECONDS)
    shutil.copytree(debs, repository.folder, dirs_exist_ok=True)
    repository.index()
    return repository


def settings_for(**others) -> DatasetSettings:
    return DatasetSettings(name="soundtracks", clip_seconds=CLIP_SECONDS, **others)


def prepared(**others):
    return soundtracks.prepare(settings_for(**others), n_workers=1)


# The tables


def test_the_list_is_within_700_mb_and_names_every_package_once():
    names = [row["package"] for row in credits.table("packages")]
    assert len(set(names)) == len(names)
    assert sum(float(row["mb"]) for row in credits.table("packages")) <= 700


@pytest.mark.parametrize("row", credits.table("packages"), ids=lambda row: row["package"])
def test_each_package_of_the_list_has_a_licence_with_evidence(row):
    rights = [r for r in credits.table("rights") if Path(row["package"]).match(r["package"])]
    assert rights
    assert rights[-1]["files"] == "*"
    for right in rights:
        assert right["licence"]
        assert all(len(words) > 4 for words in right["evidence"].split("|"))


def test_each_transcription_says_where_it_is_from():
    assert all(row["said_in"] and row["artist"] for row in credits.table("names"))
    assert all(row["reason"] for row in credits.table("artists"))
    variants = Counter(row["variant"] for row in credits.table("artists"))
    assert max(variants.values()) == 1
    assert not set(variants) & {row["artist"] for row in credits.table("artists")}


# Unpacking


@needs_apt
def test_only_the_music_is_unpacked_and_links_are_left(tmp_path):
    wanted = {
        "usr/share/games/music/a.ogg": b"a",
        "usr/share/games/music/deeper/b.ogg": b"b",
        "usr/share/doc/x/copyright": COPYRIGHT.encode(),
    }
    inner = {"cd/c.ogg": b"c", "cd/speech/d.ogg": b"d", "readme.txt": b"e"}
    others = {
        "usr/share/games/music/notes.txt": b"f",
        "usr/share/games/music/speech/hello.ogg": b"g",
        "usr/share/games/effects/bang.ogg": b"h",
        "usr/share/games/data/other.pk3": zipped(inner),
        "usr/share/games/data/music.pk3": zipped(inner),
    }
    deb = build(tmp_path, "x", {**wanted, **others})
    (tmp_path / "out").mkdir()
    globs = ["usr/*/music/*.ogg", "usr/share/games/data/music.pk3/cd/*.ogg", credits.COPYRIGHT]
    unpack(deb, tmp_path / "out", globs, ["*/speech/*"])
    wanted["usr/share/games/data/music.pk3/cd/c.ogg"] = b"c"
    assert files_below(tmp_path / "out") == set(wanted)
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
    for path, content in wanted.items():
        assert (tmp_path / "out" / path).read_bytes() == content


EVIL = ["./../evil.ogg", "/evil.ogg", "./music/../../evil.ogg", "./music/../../../../tmp/evil.ogg"]


@needs_apt
@pytest.mark.parametrize("name", EVIL)
def test_no_path_of_a_package_leaves_the_folder(tmp_path, name):
    target = tmp_path / "deep" / "out"
    target.mkdir(parents=True)
    deb = deb_by_hand(tmp_path / "x.deb", {"./music/good.ogg": b"good", name: b"evil"})
    before = files_below(tmp_path) | {"deep/out/music/good.ogg"}
    with pytest.raises(AudioError, match="leaves it"):
        unpack(deb, target, ["*.ogg"])
    assert files_below(tmp_path) == before


@needs_apt
@pytest.mark.parametrize("name", ["../../evil.ogg", "a/../../../../evil.ogg"])
def test_no_path_of_an_archive_leaves_the_folder(tmp_path, name):
    target = tmp_path / "deep" / "out"
    target.mkdir(parents=True)
    deb = deb_by_hand(tmp_path / "x.deb", {"./data/m.pk3": zipped({name: b"evil"})})
    with pytest.raises(AudioError, match="leaves it"):
        unpack(deb, target, ["data/m.pk3/*.ogg"])
    assert files_below(tmp_path) == {"x.deb"}


@needs_apt
@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_a_truncated_package_is_an_error_that_names_it(tmp_path, share):
    deb = build(tmp_path, "x", {f"usr/share/games/music/{i}.ogg": os.urandom(9999) for i in (1, 2)})
    deb.write_bytes(deb.read_bytes()[: int(share * deb.stat().st_size)])
    (tmp_path / "out").mkdir()
    with pytest.raises(AudioError, match=r"x_2\.0-1_all\.deb: expected a whole package"):
        unpack(deb, tmp_path / "out", ["*.ogg"])


# Credits


FILE = "usr/share/games/music/piece.ogg"
TEXTS = {"usr/share/doc/x/copyright": COPYRIGHT}


def test_a_table_corrects_comments_and_comments_come_before_the_copyright_file(monkeypatch):
    monkeypatch.setattr(credits, "table", TABLES.__getitem__)
    said = {"artist": "Bea", "title": "Etude"}
    assert credits.credit("x", FILE, said, TEXTS).artist == "Bea"
    assert credits.credit("x", FILE, said, TEXTS).title == "Etude"
    named = credits.credit("small-music", FILE.replace("piece", "piece5"), said, TEXTS)
    assert (named.artist, named.title) == ("Wilhelmine", "Sonata")
    unsaid = credits.credit("x", FILE, {"artist": "", "title": ""}, TEXTS)
    assert (unsaid.artist, unsaid.title) == ("Ann Other", "piece")


def test_spellings_of_one_artist_become_one(monkeypatch):
    monkeypatch.setattr(credits, "table", TABLES.__getitem__)
    spellings = ["A. N. Other", "Ann Other", " A. N.  Other ", "Ann  Other"]
    artists = {credits.credit("x", FILE, {"artist": a}, TEXTS).artist for a in spellings}
    assert artists == {"Ann Other"}


def test_an_unknown_artist_stays_unknown():
    found = credits.credit("cavepacker-data", "usr/share/games/x.ogg", {}, {})
    assert found.artist == ""


@pytest.mark.parametrize(
    ("texts", "licence"),
    [
        (TEXTS, "CC-BY-SA-4.0, © 2001 Ann Other"),
        ({"usr/share/doc/x/copyright": COPYRIGHT.replace("4.0\n", "3.0\n")}, "see the file"),
        ({"usr/share/doc/x/README": COPYRIGHT}, "see the file"),
        ({}, "see the file"),
    ],
    ids=["evidence", "another licence", "another document", "no document"],
)
def test_a_licence_is_given_only_with_its_evidence(monkeypatch, texts, licence):
    monkeypatch.setattr(credits, "table", TABLES.__getitem__)
    assert credits.credit("x", FILE, {}, texts).licence.startswith(licence)


# Fetching


@needs_apt
def test_a_package_that_is_there_whole_is_not_fetched_again(repository, downloads):
    source = repository.add("x-music", {"usr/share/a": b"a"})
    path, offer = apt.fetch("x-music", "", downloads)
    assert (offer.package, offer.version) == ("x-music", "1:2.0-1")
    assert path.read_bytes() == source.read_bytes()
    before = path.stat()
    source.unlink()
    assert apt.fetch("x-music", "", downloads)[0] == path
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@needs_apt
@pytest.mark.parametrize("damage", ["cut", "changed", "longer", "empty"])
def test_a_damaged_download_is_mended(repository, downloads, damage):
    content = repository.add("x-music", {"usr/share/a": os.urandom(50_000)}).read_bytes()
    path, _ = apt.fetch("x-music", "", downloads)
    damaged = {
        "cut": content[:20_000],
        "changed": content[:20_000] + b"?" + content[20_001:],
        "longer": content + b"?",
        "empty": b"",
    }
    path.write_bytes(damaged[damage])
    assert apt.fetch("x-music", "", downloads)[0].read_bytes() == content


@needs_apt
def test_a_package_that_is_not_what_the_lists_say_is_refused(repository, downloads):
    deb = repository.add("x-music", {"usr/share/a": b"a"})
    repository.index({deb.name: "0" * 64})
    with pytest.raises(ParameterError, match="expected apt to download x-music, got E: "):
        apt.fetch("x-music", "", downloads)
    assert list(downloads.glob("*.deb")) == []


@needs_apt
def test_lists_that_are_out_of_date_are_renewed(repository, downloads):
    repository.add("x-music", {"usr/share/a": b"a"}, "1").unlink()
    assert apt.find("x-music", "", downloads).version == "1"
    newer = repository.add("x-music", {"usr/share/a": b"b"}, "2")
    path, offer = apt.fetch("x-music", "", downloads)
    assert offer.version == "2"
    assert path.read_bytes() == newer.read_bytes()


@needs_apt
def test_another_version_is_found_by_its_pattern_the_latest_first(repository, downloads):
    for number in (8, 10, 9):
        repository.add(f"x-1.{number}-music", {"usr/share/a": b"a"})
    assert apt.find("x-1.16-music", "x-1.*-music", downloads).package == "x-1.10-music"
    assert apt.find("x-1.16-music", "", downloads) is None
    assert apt.find("x-1.8-music", "x-1.*-music", downloads).package == "x-1.8-music"


def test_without_apt_the_error_says_what_is_needed(home, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ParameterError, match=r"Debian or Ubuntu system.*without apt-get"):
        soundtracks.prepare(settings_for(n_clips=9))
    assert not list(home.rglob("*.flac"))


@needs_apt
def test_without_a_network_the_error_says_so(home, repository):
    shutil.rmtree(repository.folder)
    with pytest.raises(ParameterError, match="is there a network"):
        soundtracks.prepare(settings_for(n_clips=9))


# The data set


@needs_apt
def test_the_clips_are_music_alone_with_their_credits(listed):
    dataset = prepared()
    clips = dataset.clips
    by_package = clips["file"].str.partition("/")[0]
    assert by_package.value_counts().to_dict() == {
        "small-music": 18,
        "other-music": 12,
        "more-10-music": 12,
    }
    assert dataset.tags.shape == (42, 0)
    assert describing.faults(dataset) == []
    assert {len(dataset[i]) for i in (0, 20, 41)} == {CLIP_SECONDS * SAMPLE_RATE}
    assert set(clips["licence"]) == {"CC-BY-SA-4.0, © 2001 Ann Other"}
    assert set(clips["source"]) == {"small-music 1:2.0-1", "other-music 0.3", "more-10-music 10.1"}
    assert set(clips.loc[by_package == "small-music", "artist"]) == {"Ann Other", "Wilhelmine"}
    assert set(clips.loc[by_package == "other-music", "title"]) == {f"No {i}" for i in range(4)}
    reasons = dict(dataset.skipped.to_numpy())
    assert set(reasons) == {"missing-music", "small-music/music/jingle.ogg"}
    assert "no such package" in reasons["missing-music"]
    assert "20 s at least, got 3.0 s" in reasons["small-music/music/jingle.ogg"]


@needs_apt
def test_the_audio_of_a_clip_is_the_tracks(listed):
    dataset = prepared(n_clips=12)
    original = soundfile.read(io.BytesIO(sound(0)), dtype="float32")[0]
    first = np.flatnonzero(dataset.clips["file"] == "small-music/music/piece0.ogg")[1]
    n_samples = CLIP_SECONDS * SAMPLE_RATE
    np.testing.assert_allclose(dataset[int(first)], original[n_samples : 2 * n_samples], atol=1e-4)


@needs_apt
def test_clips_of_a_track_never_cross_splits_and_artists_do(listed):
    clips = prepared().clips
    assert (clips.groupby("file")["split"].nunique() == 1).all()
    assert clips.groupby("artist")["split"].nunique().max() == 3
    assert set(clips["split"]) == {"train", "valid", "test"}


@needs_apt
def test_split_by_artist_no_artist_crosses(listed):
    clips = prepared(split_by="artist").clips
    assert set(clips["split"]) == {"train", "valid", "test"}
    assert (clips.groupby("artist")["split"].nunique() == 1).all()


@needs_apt
def test_a_smaller_set_is_the_beginning_of_a_larger_one(listed):
    large, small = prepared().clips, prepared(n_clips=11).clips
    assert len(small) == 11
    assert small.equals(large[:11])


@needs_apt
def test_a_small_set_fetches_the_first_packages_alone(listed):
    for name in ("other-music", "more-10-music"):
        next(listed.folder.glob(f"{name}_*")).unlink()
    assert len(prepared(n_clips=10)) == 10
    fetched = {path.name for path in (soundtracks_packages.home() / "music").iterdir()}
    assert len(fetched) == 1
    with pytest.raises(ParameterError, match="expected apt to download other-music"):
        prepared(n_clips=20)


@needs_apt
def test_the_packages_after_a_missing_one_make_up_for_it(listed):
    next(listed.folder.glob("other-music_*")).unlink()
    listed.index()
    dataset = prepared(n_clips=20)
    assert len(dataset) == 20
    assert set(dataset.skipped["path"]) >= {"other-music", "missing-music"}


@needs_apt
def test_a_system_without_any_of_the_packages_is_told_where_they_would_be(listed):
    for deb in listed.folder.glob("*.deb"):
        deb.unlink()
    listed.add("another", {"usr/share/a": b"a"})
    with pytest.raises(ParameterError, match=r"such as small-music .*universe.* got none"):
        prepared()


@needs_apt
def test_the_identity_is_known_before_and_changes_with_versions(listed):
    before = soundtracks.identity(settings_for())
    prepared()
    assert soundtracks.identity(settings_for()) == before
    shutil.rmtree(soundtracks_packages.home())
    for old in listed.folder.glob("other-music_*"):
        old.unlink()
    listed.add("other-music", {"usr/share/games/data/one.pk3": zipped({"cd/1.ogg": b""})}, "0.4")
    after = soundtracks.identity(settings_for())
    assert {key for key in before if before[key] != after[key]} == {"versions"}


@needs_apt
@pytest.mark.parametrize("wanted", [None, 10, 30, 99])
def test_the_number_of_clips_is_known_before_and_fetches_nothing(listed, wanted):
    before = soundtracks.n_clips(settings_for(n_clips=wanted))
    assert not list(soundtracks_packages.home().glob("music/*"))
    dataset = prepared(n_clips=wanted)
    assert before == soundtracks.n_clips(settings_for(n_clips=wanted)) == len(dataset)
    assert len(dataset) == min(wanted or 42, 42)


@needs_apt
@pytest.mark.parametrize("seconds", [5, 7.5, 11.5])
def test_other_lengths_give_as_many_clips_as_asked_for(listed, seconds):
    settings = DatasetSettings(name="soundtracks", clip_seconds=seconds, n_clips=15)
    assert len(soundtracks.prepare(settings, n_workers=1)) == 15


@needs_apt
def test_what_is_there_is_used_without_apt(listed, monkeypatch, tmp_path):
    there = TABLES["packages"][:2]
    monkeypatch.setattr(credits, "table", {**TABLES, "packages": there}.__getitem__)
    before, identity = prepared(), soundtracks.identity(settings_for())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert prepared().clips.equals(before.clips)
    assert soundtracks.identity(settings_for()) == identity


@needs_apt
def test_a_kill_at_any_point_is_mended(listed):
    before = prepared().clips
    music = soundtracks_packages.home() / "music"
    # Killed while unpacking one package, while cutting another's tracks; a file was lost since.
    (music / ".writing-1" / "usr").mkdir(parents=True)
    shutil.rmtree(next(music.glob("small-music-*")))
    next(next(music.glob("other-music-*")).rglob("2.ogg")).unlink()
    for clip in list(Path(prepared(n_clips=9).folder).rglob("piece3*"))[:2]:
        clip.unlink()
    assert prepared().clips.equals(before)
    assert not (music / ".writing-1").exists()
    assert not list(soundtracks_packages.home().glob("*.deb"))


@needs_apt
def test_shares_and_the_whole_give_the_same_clips(listed, tmp_path, monkeypatch):
    for part in range(3):
        soundtracks.prepare_part(settings_for(), part, 3)
    shared = prepared()
    monkeypatch.setenv("MULTISCALE_HOME", str(tmp_path / "second"))
    alone = prepared()
    assert shared.clips.equals(alone.clips)
    contents = [(d.folder / d.clips["path"].iloc[-1]).read_bytes() for d in (shared, alone)]
    assert contents[0] == contents[1]


@needs_apt
def test_too_few_clips_for_three_splits_are_refused(listed):
    with pytest.raises(ParameterError, match="n_clips: expected enough for each of train"):
        prepared(n_clips=3)


@needs_apt
def test_a_package_without_music_is_refused(listed):
    for old in listed.folder.glob("small-music_*"):
        old.unlink()
    listed.add("small-music", {"usr/share/games/speech/hello.ogg": sound(92)}, "3")
    with pytest.raises(ParameterError, match=r"music/\*\.ogg in the package small-music, got none"):
        prepared(n_clips=9)
    assert not list(soundtracks_packages.home().rglob(".writing-*"))


@needs_apt
def test_a_file_that_is_no_audio_is_listed(listed):
    for old in listed.folder.glob("small-music_*"):
        old.unlink()
    files = {f"usr/share/games/music/{i}.ogg": sound(i) for i in range(6)}
    files["usr/share/games/music/text.ogg"] = b"not audio"
    listed.add("small-music", files, "3")
    reasons = dict(prepared(n_clips=9).skipped.to_numpy())
    assert "expected audio" in reasons["small-music/music/text.ogg"]


# Debian's own


@pytest.fixture
def debian(home):
    """Skips where apt cannot reach Debian's packages; MULTISCALE_REQUIRE_APT forbids that."""
    (soundtracks_packages.home()).mkdir(parents=True)
    try:
        found = apt.find("parsec47-data", "", soundtracks_packages.home())
        reason = "" if found else "this system's sources do not have parsec47-data"
    except ParameterError as error:
        reason = str(error)
    if reason and not os.environ.get("MULTISCALE_REQUIRE_APT"):
        pytest.skip(reason)
    assert reason == ""


@needs_apt
def test_the_smallest_packages_for_real(debian):
    settings = DatasetSettings(name="soundtracks", n_clips=14)
    dataset = soundtracks.prepare(settings, n_workers=1)
    assert len(dataset) == 14
    assert set(dataset.artists) == {"Kenta Cho", "Àlex Almarza"}
    assert set(dataset.clips["licence"]) == {
        "BSD-2-Clause, © 2003 Kenta Cho",
        "Free Art License 1.2, © 2007-2011 Àlex Almarza",
    }
    assert describing.faults(dataset) == []
    for signal in dataset:
        assert len(signal) == 29 * 16_000
        seconds = signal.reshape(29, 16_000)
        assert np.sqrt((seconds**2).mean(axis=1)).min() > 1e-4  # no second is silent
