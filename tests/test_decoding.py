"""Any file to clips of one length: every format, and every way in which a file can be broken."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import made_up
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from made_up import RATE

from multiscale import audio
from multiscale.config import AudioError
from multiscale.datasets import clips
from multiscale.datasets.clips import cut, decode, write_clip
from multiscale.datasets.tracks import Track, prepare_tracks, remove_stale

# What libsndfile cannot write, or not read again.
UNWRITTEN = {
    "WAV": ("MPEG_LAYER_III",),
    "MP3": ("MPEG_LAYER_I", "MPEG_LAYER_II"),
    "AIFF": ("DWVW_12", "DWVW_16", "DWVW_24"),
}
FORMATS = [
    (container, subtype)
    for container in ("WAV", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3", "W64", "RF64", "WAVEX")
    for subtype in soundfile.available_subtypes(container)
    if subtype not in UNWRITTEN.get(container, ())
]


def joined(path: Path) -> np.ndarray:
    return np.concatenate(list(decode(path)))


@pytest.mark.parametrize(("container", "subtype"), FORMATS, ids=lambda word: word)
def test_every_sample_format(tmp_path, container, subtype):
    rate = {"GSM610": 8_000, "OPUS": 48_000}.get(subtype, RATE)
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)
    path = tmp_path / "tone"  # what is in a file counts, not its name
    soundfile.write(path, tone, rate, subtype, format=container)
    (clip,) = cut(path, 1.9)
    assert clip.dtype == np.float32
    assert clip.shape == (30_400,)
    assert np.sqrt(np.mean(clip[4000:-4000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), abs=0.03)


@pytest.mark.parametrize("rate", [4_000, 11_025, 16_000, 22_050, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("n_channels", [1, 2, 6])
def test_decoding_by_blocks_equals_decoding_at_once(tmp_path, monkeypatch, rate, n_channels):
    monkeypatch.setattr(clips, "BLOCK_SECONDS", 1)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (round(3.3 * rate), n_channels))
    soundfile.write(tmp_path / "a.wav", noise, rate, "FLOAT")
    whole = audio.load(tmp_path / "a.wav")
    blocks = joined(tmp_path / "a.wav")
    assert blocks.dtype == np.float32
    np.testing.assert_allclose(blocks, whole, atol=1e-4)


def test_a_file_is_cut_from_its_start_and_the_rest_dropped(tmp_path):
    signal = made_up.song(tmp_path / "a.wav", 5.9, subtype="FLOAT")
    np.testing.assert_array_equal(
        list(cut(tmp_path / "a.wav", 2)), signal[: 4 * RATE].reshape(2, -1)
    )
    assert len(list(cut(tmp_path / "a.wav", 2, max_clips=1))) == 1


@given(n_samples=st.integers(1, 3000), n_clip=st.integers(80, 1500))
def test_clips_are_as_many_as_fit_and_all_of_one_length(tmp_path_factory, n_samples, n_clip):
    path = tmp_path_factory.mktemp("cut") / "a.wav"
    soundfile.write(path, np.full(n_samples, 0.25), RATE)
    if n_samples < n_clip / 2:
        with pytest.raises(AudioError, match=r"expected at least .* s of audio, got"):
            list(cut(path, n_clip / RATE))
    else:
        clips = list(cut(path, n_clip / RATE))
        assert len(clips) == max(n_samples // n_clip, 1)
        assert {len(clip) for clip in clips} == {n_clip}
        np.testing.assert_allclose(clips, 0.25)


def test_a_short_file_goes_round(tmp_path):
    signal = made_up.song(tmp_path / "a.wav", 1.5, subtype="FLOAT")
    (clip,) = cut(tmp_path / "a.wav", 2)
    np.testing.assert_array_equal(clip, np.concatenate([signal, signal[: len(signal) // 3]]))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.wav", None, "expected an audio file, got nothing there"),
        ("empty.mp3", b"", "expected an audio file, got one of zero bytes"),
        ("words.flac", b"words\n" * 99, "can read, got Format not recognised .ffmpeg, which"),
        ("bare.raw", b"\0" * 5000, "libsndfile can read"),
        ("noise.ogg", np.random.default_rng(0).bytes(9000), "libsndfile can read"),
    ],
    ids=["gone", "empty", "words", "bare", "noise"],
)
@pytest.mark.usefixtures("no_ffmpeg")
def test_broken_files(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AudioError, match=rf"{name}: .*{message}"):
        list(cut(tmp_path / name, 1))


@given(content=st.binary(min_size=1, max_size=400), head=st.sampled_from(["", "RIFF", "fLaC"]))
def test_no_bytes_break_the_decoder(tmp_path_factory, content, head):
    path = tmp_path_factory.mktemp("bytes") / "a.wav"
    path.write_bytes(head.encode() + content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        with pytest.raises(AudioError, match=r"a\.wav: "):
            list(cut(path, 10))


@pytest.mark.parametrize("kind", ["flac", "ogg", "mp3", "wav"])
@pytest.mark.usefixtures("no_ffmpeg")
def test_a_truncated_file_gives_what_is_left_or_is_refused(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    made_up.song(path, 8)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 4])
    said = "expected at least 4 s|broken after|expected audio"
    with pytest.raises(AudioError, match=rf"a\.{kind}: ({said})"):
        list(cut(path, 8))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(tmp_path, bad):
    signal = made_up.clip(0, 12)
    signal[9 * RATE] = bad
    soundfile.write(tmp_path / "a.wav", signal, RATE, "FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav: expected finite samples, got .* after 8 s"):
        list(cut(tmp_path / "a.wav", 2))


def test_what_is_beyond_full_scale_is_clipped(tmp_path):
    write_clip(tmp_path / "a.wav", np.array([0.5, 3, -3, 0.25] * 500, np.float32))
    written, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    np.testing.assert_array_equal(written[:4], [2**14, 2**15 - 1, -(2**15), 2**13])


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """Writes an ffmpeg, and a file that only it could read, whose path it returns."""

    def write(script: str) -> Path:
        made_up.program(tmp_path / "bin" / "ffmpeg", script)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
        (tmp_path / "a.m4a").write_bytes(b"something else")
        return tmp_path / "a.m4a"

    return write


def test_what_libsndfile_refuses_goes_to_ffmpeg(tmp_path, ffmpeg):
    signal = made_up.clip(0, 9)
    signal.tofile(tmp_path / "samples")
    path = ffmpeg(f'echo "$@" >{tmp_path}/told; cat {tmp_path}/samples')
    np.testing.assert_array_equal(joined(path), signal)
    told = (tmp_path / "told").read_text()
    assert f"-protocol_whitelist file,pipe -i file:{path}" in told, "lists lead elsewhere"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo first >&2; echo 'no such codec' >&2; exit 1", "can read, got .*; no such codec"),
        ("exit 0", "can read, got .*; no audio in it"),
        ("head -c 9000 /dev/zero; echo cut off >&2; exit 1", "can read, got .*; cut off"),
    ],
)
def test_what_ffmpeg_refuses_too(ffmpeg, script, message):
    path = ffmpeg(script)
    with pytest.raises(AudioError, match=rf"a\.m4a: expected audio .*{message}"):
        joined(path)


def test_what_the_system_fails_to_read_is_no_broken_file(tmp_path, monkeypatch):
    made_up.song(tmp_path / "a.wav", 2)

    def fail(*_, **__):
        raise soundfile.LibsndfileError(2)

    monkeypatch.setattr(soundfile.SoundFile, "read", fail)
    with pytest.raises(OSError, match=r"System error: .*a\.wav"):
        prepare_tracks([Track.of(tmp_path / "a.wav", "a.wav")], tmp_path, 2, n_workers=1)


def test_memory_does_not_grow_with_a_file(tmp_path):
    with soundfile.SoundFile(tmp_path / "a.wav", "w", 44_100, 2, "PCM_16") as file:
        for _ in range(30):
            file.write(np.zeros((10 * 44_100, 2), np.int16))
    tracemalloc.start()
    count = sum(1 for _ in cut(tmp_path / "a.wav", 5))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 60
    assert peak < 8e6, "the whole is 106 MB"


def make_tracks(folder: Path, count: int) -> list[Track]:
    paths = [folder / f"song {i}.ogg" for i in range(count)]
    for i, path in enumerate(paths):
        if not path.exists():
            made_up.song(path, 4.5, i)
    return [Track.of(path, path.name) for path in paths]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "clips").iterdir()}


def test_clips_do_not_depend_on_the_number_of_workers(tmp_path):
    tracks = make_tracks(tmp_path / "music", 6)
    for n_workers in (1, 2):
        reports = prepare_tracks(tracks, tmp_path / str(n_workers), 2, n_workers=n_workers)
        assert [len(report["clips"]) for report in reports] == [2] * 6
    for clip in reports[0]["clips"]:
        power = np.mean(audio.load(tmp_path / "2" / clip["path"]).astype(float) ** 2)
        assert 10 * np.log10(power) == pytest.approx(clip["level_db"], abs=0.1)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert len(contents(tmp_path / "1")) == 6 * 3


@pytest.mark.parametrize(("n_clips", "expected"), [(1, [1]), (4, [2, 2]), (5, [2, 2, 1])])
def test_no_more_files_than_clips_are_wanted(tmp_path, n_clips, expected):
    tracks = make_tracks(tmp_path / "music", 6)
    reports = prepare_tracks(tracks, tmp_path, 2, n_clips=n_clips, n_workers=1)
    assert [len(report["clips"]) for report in reports] == expected
    assert len(list((tmp_path / "clips").glob("*.json"))) <= 4


def test_a_changed_file_is_cut_anew_and_no_other(tmp_path):
    prepare_tracks(make_tracks(tmp_path / "music", 3), tmp_path, 2, n_workers=1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "clips").iterdir()}
    changed = made_up.song(tmp_path / "music" / "song 1.ogg", 5, seed=9)
    reports = prepare_tracks(make_tracks(tmp_path / "music", 3), tmp_path, 2, n_workers=1)
    written = audio.load(tmp_path / reports[1]["clips"][0]["path"])
    assert np.corrcoef(written, changed[: len(written)])[0, 1] > 0.95
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())


def test_a_full_disk_is_said_and_leaves_nothing_half_done(tmp_path, monkeypatch):
    tracks = make_tracks(tmp_path / "music", 2)
    prepare_tracks(tracks[:1], tmp_path, 2, n_workers=1)
    before = contents(tmp_path)
    write, room = Path.write_bytes, iter(range(1))

    def filling_up(path, data):
        if next(room, None) is not None:
            return write(path, data)
        write(path, data[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", filling_up)
        with pytest.raises(OSError, match="the disk is full; what is done is kept"):
            prepare_tracks(tracks, tmp_path, 2, n_workers=1)
    assert contents(tmp_path) == before
    assert all(r["clips"] for r in prepare_tracks(tracks, tmp_path, 2, n_workers=1))


def test_a_clip_that_is_gone_is_cut_again(tmp_path):
    tracks = make_tracks(tmp_path / "music", 2)
    reports = prepare_tracks(tracks, tmp_path, 2, n_workers=1)
    before = contents(tmp_path)
    (tmp_path / reports[0]["clips"][1]["path"]).unlink()
    (tmp_path / "clips" / f"{tracks[1].key}.json").write_text('{"clips": [')
    prepare_tracks(tracks, tmp_path, 2, n_workers=1)
    assert contents(tmp_path) == before


KILLED = """
import sys
from pathlib import Path
from test_decoding import make_tracks
from multiscale.datasets.tracks import prepare_tracks
root = Path(sys.argv[1])
prepare_tracks(make_tracks(root / "music", 80), root, 2, n_workers=2)
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_a_killed_run_goes_on_where_it_stopped(tmp_path):
    tracks = make_tracks(tmp_path / "music", 80)
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    how = {"cwd": Path(__file__).parent, "start_new_session": True, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **how)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("clips/*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob("clips/*.json")}
    assert 3 <= len(done) < 80
    for path in tmp_path.glob("clips/*.wav"):
        if not path.name.startswith(".writing-"):
            assert soundfile.info(path).frames == 2 * RATE
    (tmp_path / "clips" / ".writing-1.wav").write_bytes(b"half")
    reports = prepare_tracks(tracks, tmp_path, 2, n_workers=1)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in done.items())
    remove_stale(tmp_path)
    assert list(tmp_path.glob("clips/.writing-*")), "whoever writes may be alive"
    for path in tmp_path.glob("clips/.writing-*"):
        os.utime(path, (0, 0))
    remove_stale(tmp_path)
    prepare_tracks(tracks, tmp_path / "fresh", 2, n_workers=1)
    assert contents(tmp_path) == contents(tmp_path / "fresh")
    assert all(len(report["clips"]) == 2 for report in reports)
