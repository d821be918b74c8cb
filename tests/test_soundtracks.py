"""Soundtracks: packages made here, handed out by a stand-in for apt; and Debian's own."""

import io
import os
import sys
import tarfile
from pathlib import Path

import made_up
import pandas as pd
import pytest
import soundfile
from made_up import zipped

from multiscale import datasets

sys.path.append(str(Path(__file__).parents[1] / "extras"))
import soundtracks

PROGRAMS = {
    "dpkg-deb": 'grep -q ustar "$2" || { echo broken >&2; exit 2; }; cat "$2"',
    "apt-get": """for package in "$@"; do :; done
case "$*" in
*update) [ -d "$SOURCE" ] && touch lists/Packages ;;
*print-uris*) [ -e "$SOURCE/$package.deb" ] && echo "'http://x' $package.deb" ;;
*) [ -e "$SOURCE/bad" ] && { echo E: Hash Sum mismatch >&2; exit 100; }
   cp "$SOURCE/$package.deb" "./${package}_1%3a2.0-1_all.deb" ;;
esac
""",
}
COPYRIGHT = b"Copyright: 2001, Ann Other <ann@example.org>\nLicense: CC-BY-SA-4.0\n"
PAPER = "usr/share/doc/x/copyright"
NOTHING = dict.fromkeys(soundtracks.table("credits")[0], "")
HOLDER = {"artist": "Ann Other", "licence": "CC-BY-SA-4.0", "holder": "2001 Ann Other"}
HOLDER |= {"document": "usr/share/doc/*", "evidence": "2001, Ann Other License: CC-BY-SA-4.0"}
NAMED = {"package": "small", "files": "*/5.ogg", "artist": "Bea", "title": "Sonata"}
PACKAGES = (("missing", "*"), ("small", "music/*.ogg"), ("other", "*.pk3/cd/*.ogg"))
TABLES = {
    "credits": [NOTHING | NAMED, NOTHING | HOLDER | {"package": "*", "files": "*"}],
    "packages": [
        {"package": p, "music": m, "left_out": "*/effects/*", "mb": "1"} for p, m in PACKAGES
    ],
}


def sound(seed: int, seconds: float = 30.0, **comments: str) -> bytes:
    target = io.BytesIO()
    with soundfile.SoundFile(target, "w", made_up.RATE, 1, "VORBIS", format="OGG") as file:
        for name, value in comments.items():
            setattr(file, name, value)
        file.write(made_up.clip(seed, seconds))
    return target.getvalue()


def build(deb: Path, members: dict[str, bytes]) -> None:
    """A package of members with any names, and two links among the music."""
    links = {"l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE}
    with tarfile.open(deb, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in {**members, **dict.fromkeys(links, b"")}.items():
            member = tarfile.TarInfo(f"./music/{name}.ogg" if name in links else name)
            member.type, member.linkname = links.get(name, tarfile.REGTYPE), "/etc/hostname"
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Folder that apt's stand-in takes packages from: six tracks of a clip each, and four."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name, script in PROGRAMS.items():
        made_up.program(tmp_path / "bin" / name, script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.setenv("SOURCE", str(folder))
    monkeypatch.setattr(soundtracks, "table", TABLES.__getitem__)
    small = {f"./music/{i}.ogg": sound(i, artist="Alex  Almarza") for i in range(6)}
    small |= {"./music/text.ogg": b"not audio", "./music/jingle.ogg": sound(91, 3)}
    build(folder / "small.deb", {**small, "./music/effects/bang.ogg": b"", PAPER: COPYRIGHT})
    tracks = {f"cd/{i}.ogg": sound(10 + i, title=f"No {i}") for i in range(4)}
    build(folder / "other.deb", {"./a.pk3": zipped({**tracks, "x.ogg": b""}), PAPER: COPYRIGHT})
    return folder


def fetched(folder: Path, n_clips: int = 10) -> pd.DataFrame:
    assert soundtracks.main([str(folder), "--clips", str(n_clips)]) == 0
    return pd.read_csv(folder / "tracks.csv", keep_default_na=False)


@pytest.mark.parametrize("name", ["../evil.ogg", "/evil.ogg", "a/../../../../tmp/evil.ogg"])
def test_no_path_leaves_the_folder(tmp_path, source, name):
    (tmp_path / "deep" / "out").mkdir(parents=True)
    before = set(tmp_path.rglob("*")) | {tmp_path / "x.deb"}
    for members in ({name: b"evil"}, {"y.pk3": zipped({f"cd/../../{name}": b"evil"})}):
        build(tmp_path / "x.deb", members)
        with pytest.raises(soundtracks.SoundtracksError, match="leaves it"):
            soundtracks.unpack(tmp_path / "x.deb", tmp_path / "deep/out", ["*.ogg", "y.pk3/cd/*"])
        assert set(tmp_path.rglob("*")) == before


def test_a_licence_is_given_only_with_its_evidence():
    for name in (row["package"] for row in soundtracks.table("packages")):
        known = soundtracks.credit(name, "x.ogg", {"artist": " ZhayTee "}, {PAPER: "as you like"})
        assert known["licence"] == f"see the file copyright in Debian's package {name}"
        assert known["artist"] == "Joseph Toscano"


def test_the_table_is_a_data_set_of_the_first_tracks_that_hold_the_clips(source, tmp_path, capsys):
    large = fetched(tmp_path / "large")
    assert list(large["title"]) == [*"01234", "Sonata", "No 0", "No 1", "No 2", "No 3"]
    assert set(large["artist"]) == {"Àlex Almarza", "Bea", "Ann Other"}
    assert set(large["licence"]) == {"CC-BY-SA-4.0, © 2001 Ann Other"}
    names = {path.name for path in (tmp_path / "large").rglob("*.ogg")}
    assert not names & {"l.ogg", "h.ogg", "bang.ogg", "x.ogg"}
    assert set(large["source"]) == {"small 1:2.0-1", "other 1:2.0-1"}
    said = capsys.readouterr().err
    for words in ("missing: no such package", "at least, got 3.0 s", "text.ogg: expected audio"):
        assert words in said
    settings = datasets.DatasetSettings(name="folder", path=str(tmp_path / "large" / "tracks.csv"))
    assert len(datasets.load(settings)) == 10
    (source / "other.deb").unlink()  # a smaller set does without it
    assert fetched(tmp_path / "small", 6).equals(large[:6])


def test_a_kill_is_mended_and_what_is_there_needs_no_apt(source, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    before = fetched(folder)
    (folder / ".apt" / "new" / "usr").mkdir(parents=True)
    (folder / "tracks.csv").unlink()
    (folder / "other" / "a.pk3/cd/2.ogg").write_bytes(b"half")
    assert fetched(folder).equals(before)
    assert {x.name for x in folder.iterdir()} == {".lock", "tracks.csv", "small", "other"}
    monkeypatch.setattr(soundtracks, "table", {**TABLES, "packages": TABLES["packages"][1:]}.get)
    monkeypatch.setenv("PATH", "")
    assert fetched(folder).equals(before)


def test_what_cannot_be_had_is_told_in_a_line(source, tmp_path, monkeypatch, capsys):
    def complaint(n_clips: int = 10) -> str:
        assert soundtracks.main([str(tmp_path / "out"), "--clips", str(n_clips)]) == 2
        assert not (tmp_path / "out" / "tracks.csv").exists()
        return capsys.readouterr().err.splitlines()[-1]

    assert "--clips: expected at least 1, got 0" in complaint(0)
    (source / "bad").touch()
    assert "expected apt to download small, got E: Hash Sum mismatch" in complaint()
    (source / "bad").unlink()
    (source / "small.deb").write_bytes(b"half a package")
    assert "small_1%3a2.0-1_all.deb: expected a whole package, got broken" in complaint()
    build(source / "small.deb", {"./speech.ogg": b"", PAPER: COPYRIGHT})
    assert "expected music/*.ogg in the package small" in complaint()
    for deb in source.glob("*.deb"):
        deb.unlink()
    assert "such as missing in the sources" in complaint()
    source.rmdir()
    assert "is there a network?" in complaint()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "got no apt-get and no dpkg-deb" in complaint()


def test_the_smallest_packages_for_real(tmp_path, capsys):
    if soundtracks.main([str(tmp_path), "--clips", "14"]):
        reason = capsys.readouterr().err.splitlines()[-1]
        assert not os.environ.get("MULTISCALE_REQUIRE_APT"), reason
        pytest.skip(reason)
    found = fetched(tmp_path, 14)
    assert set(found["artist"]) == {"Kenta Cho", "Àlex Almarza"}
    assert set(found["licence"].str.split(",").str[0]) == {"BSD-2-Clause", "Free Art License 1.2"}
