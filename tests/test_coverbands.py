"""Cover bands: rendered alike whatever the circumstances, and true to their tags."""

from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import pytest
import soundfile
from tqdm import tqdm

import coverbands
from coverbands import backing, crowd, planning, playing, scores
from coverbands.arranging import Part
from coverbands.bands import bands, choose, instruments, melodic

SECONDS = 5
render = partial(coverbands.render, 60, 0, clip_seconds=SECONDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bands")


@pytest.fixture(scope="module")
def clips(folder):
    return render(folder, n_workers=2)


@pytest.fixture(scope="module")
def signals(clips, folder):
    return [soundfile.read(folder / path, dtype="float32")[0] for path in clips["path"]]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.suffix}


def test_shares_and_the_whole_give_the_same_files(clips, folder, tmp_path, capsys):
    for share in range(3):
        assert render(tmp_path, part=share, n_parts=3) is None
    assert not (tmp_path / "clips.csv").exists()
    again = render(tmp_path, n_workers=1, progress=partial(tqdm, disable=True))
    pd.testing.assert_frame_equal(again, clips)
    assert contents(tmp_path) == contents(folder)
    assert capsys.readouterr() == ("", "")


def test_a_broken_run_resumes_to_the_same_bytes(clips, folder):
    before = contents(folder)
    victims = [folder / path for path in clips["path"].iloc[[0, 20, 59]]]
    for victim in victims:
        victim.unlink()
    victims[1].with_suffix(".json").unlink()
    (folder / "clips.csv").unlink()
    victims[0].with_name(victims[0].name + ".partial").write_bytes(b"half a clip")
    stamp = (folder / clips["path"].iloc[1]).stat().st_mtime_ns
    render(folder, n_workers=2)
    assert contents(folder) == before
    assert (folder / clips["path"].iloc[1]).stat().st_mtime_ns == stamp, "rendered again"


def test_another_seed_gives_other_clips_and_wants_another_folder(clips, folder):
    assert (planning.plan(60, 1)["piece"] != clips["piece"]).mean() > 0.5
    with pytest.raises(ValueError, match=r"expected clips of \{'seed': 1.* got some of .*: 0"):
        coverbands.render(60, 1, folder, clip_seconds=SECONDS)


def test_pieces_never_cross_splits_and_bands_do():
    plan = coverbands.plan()
    assert len(plan) == coverbands.N_CLIPS
    assert coverbands.plan(100).equals(plan.loc[coverbands.plan(100).index])  # the beginning
    assert plan.index.is_unique
    assert not plan[["piece", "split"]].drop_duplicates()["piece"].duplicated().any()
    by_band = pd.crosstab(plan["artist"], plan["split"])
    assert len(by_band) == len(bands()) >= 40
    new = by_band["train"] == 0
    assert new.mean() == 1 / planning.NEW_EVERY
    assert (by_band.loc[new, "valid"] == 0).all()
    assert by_band[~new].min()["valid"] >= 2
    assert by_band.min()["test"] >= 4
    assert by_band[~new].min()["train"] >= 10
    assert plan["split"].value_counts(normalize=True).round(2).to_dict() == planning.SHARES


def test_clips_are_what_the_table_says_heard_throughout_and_never_clip(clips, folder, signals):
    for (name, clip), signal in zip(clips.iterrows(), signals, strict=True):
        info = soundfile.info(folder / clip["path"])
        assert (info.format, info.samplerate, info.channels) == ("WAV", 16_000, 1)
        assert len(signal) == SECONDS * 16_000
        assert 0.005 < np.abs(signal).max() < 0.999
        assert 10 * np.log10((signal**2).mean()) == pytest.approx(clip["level_db"], abs=0.1)
        loud = np.abs(signal).reshape(-1, 1600).max(axis=1) > 10 ** (-55 / 20)
        edges = np.flatnonzero(np.concatenate([[True], loud, [True]]))
        assert np.diff(edges).max() * 0.1 <= 3, f"{name}: longer than 3 s without sound"
        spectra = np.abs(np.fft.rfft(signal.reshape(-1, 8000)))
        spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
        assert (spectra @ spectra.T).min() < 0.9, f"{name}: one sound all through"


def test_tags_follow_from_what_was_played(clips):
    tags = clips["tags"].str.get_dummies(";").astype(bool)
    played = clips["instruments"].str.split(";")
    for tag in ("flute", "guitar", "piano", "drums", "synth", "violin"):
        can = {name for name, carried in instruments()["tags"].items() if tag in carried}
        holds = played.map(lambda names, can=can: bool(can & set(names)))
        assert tags[tag].sum() > 0
        assert holds[tags[tag]].all(), f"{tag} where none of {can} plays"
        assert tags[tag].sum() > 0.6 * holds.sum(), f"{tag} is missing too often"
    assert not (tags["drums"] & tags["no drums"]).any()
    assert (clips.loc[tags["slow"], "notes_per_second"] < crowd.SLOW).all()
    assert (clips.loc[tags["fast"], "notes_per_second"] > crowd.FAST).all()
    assert (clips.loc[tags["loud"], "level_db"] >= crowd.LOUD).all()
    assert (clips.loc[tags["quiet"] | tags["soft"], "level_db"] <= crowd.QUIET).all()


def test_the_crowd_forgets_a_tag_now_and_then():
    names = [str(i) for i in range(5000)]
    kept = crowd.as_crowd(names, np.random.default_rng(0))
    assert set(kept) < set(names)
    assert 1 - len(kept) / len(names) == pytest.approx(crowd.DROPPED, abs=0.02)


def test_stems_are_the_parts_and_the_mix_is_the_clip(clips, signals):
    number = clips["instruments"].str.count(";").argmax()
    stems = coverbands.stems(clips.iloc[number], seed=0)
    mix = stems.pop("mix")
    played = {name.split(": ")[-1].split()[0] for name in stems}
    assert played == set(clips["instruments"].iloc[number].split(";"))
    assert all(stem.shape == mix.shape and np.abs(stem).max() > 0 for stem in stems.values())
    np.testing.assert_allclose(mix, signals[number], atol=2**-14)


def test_every_band_can_be_played():
    table = pd.read_csv(scores.DATA / "scores.csv")
    assert not table["piece"].duplicated().any()
    assert set(bands()["repertoire"]) <= set(table["repertoire"])
    patterns = {"parts": {}, **backing.patterns()}
    for column, known in {"parts": "parts", "backing": "rhythms", "drums": "grooves"}.items():
        for seed, text in product(range(5), bands()[column]):
            for *what, instrument in choose(text, np.random.default_rng(seed)):
                assert instrument in instruments().index
                assert not what or what[-1] in patterns[known]


def test_patterns_are_whole_bars():
    for group in [*backing.patterns()["grooves"].values(), backing.patterns()["rhythms"]]:
        for name, (duple, triple) in group.items():
            assert (len(duple), len(triple)) == (16, 12), name
            assert set(duple + triple) <= set("Xx.")


def test_scores_know_ties_chords_and_bars():
    chorale = scores.read("bach/bwv253.mxl")
    assert len(chorale.parts) == 4
    assert chorale.bar == 4
    assert chorale.parts[0][:, 2].mean() > chorale.parts[3][:, 2].mean()
    assert all((part[:, 1] > 0).all() for part in chorale.parts)


def test_an_excerpt_goes_round():
    part = np.array([[0.0, 1, 60], [3, 1, 64]])
    score = scores.Score((part,), length=4.0, bar=4.0)
    (notes,) = score.excerpt(3.5, beats=5)
    np.testing.assert_allclose(notes, [[0, 0.5, 64], [0.5, 1, 60], [3.5, 1, 64], [4.5, 0.5, 60]])


def test_chords_are_found():
    triad = np.array([[0.0, 2, 57], [0, 2, 60], [0, 2, 64], [2, 2, 55], [2, 2, 59], [2, 2, 62]])
    chords = backing.find_chords([triad], 4, scores.Score((triad,), 4.0, 4.0))
    np.testing.assert_allclose(chords, [[0, 2, 9, 3], [2, 2, 7, 4]])  # A minor, G major


def test_what_cannot_be_is_refused_before_any_work(tmp_path):
    with pytest.raises(ValueError, match=r"n_clips: expected at least \d+ .* got 30"):
        coverbands.render(30, 0, tmp_path)
    assert not any(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"clip: expected a row of the table .* got 'x'"):
        coverbands.stems(pd.Series({"artist": "Nobody"}, name="x"), seed=0)
    with pytest.raises(ValueError, match=r"bach/none\.mxl: expected a score"):
        scores.read("bach/none.mxl")


@pytest.mark.parametrize("instrument", melodic())
def test_instruments_sound_over_all_their_range(instrument):
    low, high = instruments().loc[instrument, ["low", "high"]]
    pitches = np.arange(low, high + 1, 4)
    starts = np.arange(len(pitches)) * 0.5
    notes = np.column_stack([starts, starts + 0.4, pitches, np.full(len(pitches), 0.8)])
    signal = playing.play(Part(instrument, instrument, "part", notes), len(pitches) * 0.5)
    level = np.sqrt((signal.reshape(len(pitches), -1) ** 2).mean(axis=1))
    assert level.min() > 0.01 * level.max(), f"silent at {pitches[level.argmin()]}"
