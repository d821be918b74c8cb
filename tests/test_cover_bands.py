"""The embedded data set: rendered alike whatever the circumstances, and true to its tags."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from multiscale.config import AudioError, DatasetSettings, ParameterError
from multiscale.datasets import backing, cover_bands, crowd, planning, playing, scores
from multiscale.datasets.arranging import Part
from multiscale.datasets.bands import bands, choose, instruments, melodic

SETTINGS = DatasetSettings(n_clips=80, clip_seconds=5)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MULTISCALE_HOME", str(tmp_path_factory.mktemp("home")))
        yield cover_bands.prepare(SETTINGS, n_workers=2)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.suffix != ""}


def true_tags(dataset):
    """Columns of tags by name, before the crowd forgets: what the table says was played."""
    return pd.DataFrame(dataset.tags, index=dataset.clips.index, columns=dataset.tag_names)


def test_clips_do_not_depend_on_the_number_of_workers(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("MULTISCALE_HOME", str(tmp_path))
    again = cover_bands.prepare(SETTINGS, n_workers=1)
    first, second = contents(dataset.folder), contents(again.folder)
    assert len(first) == 2 * len(dataset) + 1
    assert first == second


def test_a_broken_run_resumes_to_the_same_bytes(dataset):
    before = contents(dataset.folder)
    victims = [dataset.folder / path for path in dataset.clips["path"].iloc[[0, 20, 79]]]
    for victim in victims:
        victim.unlink()
    victims[1].with_suffix(".json").unlink()
    (dataset.folder / "clips-80.csv").unlink()
    partial = victims[0].with_name(victims[0].name + ".partial")
    partial.write_bytes(b"half a clip")
    kept = dataset.folder / dataset.clips["path"].iloc[1]
    stamp = kept.stat().st_mtime_ns
    cover_bands.prepare(SETTINGS, n_workers=2)
    assert contents(dataset.folder) == before
    assert kept.stat().st_mtime_ns == stamp, "a clip that was there was rendered again"


def test_another_seed_gives_other_clips():
    one, other = (planning.plan(SETTINGS.model_copy(update={"seed": seed})) for seed in (0, 1))
    assert (one["piece"] != other["piece"]).mean() > 0.5


def test_a_smaller_plan_is_part_of_a_larger_one():
    small, large = (planning.plan(DatasetSettings(n_clips=n)) for n in (100, 1000))
    assert small.equals(large.loc[small.index])


def test_pieces_never_cross_splits_and_bands_do():
    plan = planning.plan(DatasetSettings())
    assert len(plan) == planning.N_CLIPS
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


def test_too_few_clips_are_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTISCALE_HOME", str(tmp_path))
    with pytest.raises(ParameterError, match=r"n_clips: expected at least \d+ .* got 30"):
        cover_bands.prepare(DatasetSettings(n_clips=30))
    assert not any(tmp_path.iterdir())


def test_clips_have_the_right_form(dataset):
    for path in dataset.clips["path"]:
        info = soundfile.info(dataset.folder / path)
        assert (info.format, info.samplerate, info.channels) == ("FLAC", 16_000, 1)
        assert info.frames == 5 * 16_000


def test_clips_are_heard_throughout_and_never_clip(dataset):
    for signal in dataset:
        assert 0.005 < np.abs(signal).max() < 0.999
        loud = np.abs(signal).reshape(-1, 1600).max(axis=1) > 10 ** (-55 / 20)
        edges = np.flatnonzero(np.concatenate([[True], loud, [True]]))
        assert np.diff(edges).max() * 0.1 <= 3, "longer than 3 s without sound"


def tonality(signal):
    """Spectral flatness: 1 for white noise, near 0 for tones."""
    frames = signal[: len(signal) // 2048 * 2048].reshape(-1, 2048) * np.hanning(2048)
    power = np.abs(np.fft.rfft(frames)) ** 2 + 1e-12
    return np.median(np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1))


def test_clips_are_tones_that_change_not_noise(dataset):
    noise = np.random.default_rng(0).normal(size=80_000)
    assert tonality(noise) > 0.4
    for clip, signal in zip(dataset.clips.index, dataset, strict=True):
        assert tonality(signal) < 0.3, clip
        spectra = np.abs(np.fft.rfft(signal[: 80_000 // 8000 * 8000].reshape(-1, 8000)))
        spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
        assert (spectra @ spectra.T).min() < 0.9, f"{clip}: one sound all through"


def test_tags_follow_from_what_was_played(dataset):
    tags, clips = true_tags(dataset), dataset.clips
    played = clips["instruments"].str.split(";")
    for tag in ("flute", "guitar", "piano", "drums", "synth", "violin"):
        can = set(instruments().index[instruments()["tags"].map(lambda names, t=tag: t in names)])
        holds = played.map(lambda names, can=can: bool(can & set(names)))
        assert tags[tag].sum() > 0
        assert holds[tags[tag]].all(), f"{tag} where none of {can} plays"
        assert tags[tag].sum() > 0.6 * holds.sum(), f"{tag} is missing too often"
    assert not (tags["drums"] & tags["no drums"]).any()
    assert (clips.loc[tags["slow"], "notes_per_second"] < crowd.SLOW).all()
    assert (clips.loc[tags["fast"], "notes_per_second"] > crowd.FAST).all()
    assert (clips.loc[tags["loud"], "level_db"] >= crowd.LOUD).all()
    assert (clips.loc[tags["quiet"] | tags["soft"], "level_db"] <= crowd.QUIET).all()


def test_the_level_in_the_table_is_that_of_the_file(dataset):
    for level, signal in zip(dataset.clips["level_db"], dataset, strict=True):
        assert 10 * np.log10((signal.astype(float) ** 2).mean()) == pytest.approx(level, abs=0.1)


def test_tags_come_most_frequent_first(dataset):
    counts = dataset.split("train").tags.sum(axis=0)
    assert (np.diff(counts) <= 0).all()
    assert len(dataset.tag_names) == dataset.tags.shape[1] == SETTINGS.n_tags


def test_the_crowd_forgets_a_tag_now_and_then():
    names = [str(i) for i in range(5000)]
    kept = crowd.as_crowd(names, np.random.default_rng(0))
    assert set(kept) < set(names)
    assert 1 - len(kept) / len(names) == pytest.approx(crowd.DROPPED, abs=0.02)


def test_stems_are_the_parts_and_the_mix_is_the_clip(dataset):
    clip = dataset.clips.index[dataset.clips["instruments"].str.count(";").argmax()]
    stems = cover_bands.stems(SETTINGS, clip)
    mix = stems.pop("mix")
    assert {name.split(": ")[-1].split()[0] for name in stems} == set(
        dataset.clips.loc[clip, "instruments"].split(";")
    )
    assert all(stem.shape == mix.shape and np.abs(stem).max() > 0 for stem in stems.values())
    stored = dataset[int(dataset.clips.index.get_loc(clip))]
    np.testing.assert_allclose(mix, stored, atol=2**-14)


def test_stems_of_an_unknown_clip():
    with pytest.raises(ParameterError, match=r"clip: expected one such as .* got 'no such clip'"):
        cover_bands.stems(SETTINGS, "no such clip")


def test_every_band_can_be_played():
    table = pd.read_csv(scores.DATA / "cover_bands_scores.csv")
    rhythms, grooves = backing.patterns()["rhythms"], backing.patterns()["grooves"]
    for _, band in bands().iterrows():
        assert band["repertoire"] in set(table["repertoire"])
        for column in ("parts", "backing", "drums"):
            for seed in range(5):
                for *what, instrument in choose(band[column], np.random.default_rng(seed)):
                    assert instrument in instruments().index
                    known = {"parts": {}, "backing": rhythms, "drums": grooves}[column]
                    assert not what or what[-1] in known
    assert not table["piece"].duplicated().any()


def test_patterns_are_whole_bars():
    for name, group in {**backing.patterns()["grooves"], "": backing.patterns()["rhythms"]}.items():
        for drum, (duple, triple) in group.items():
            assert (len(duple), len(triple)) == (16, 12), f"{name} {drum}"
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


def test_a_missing_score_is_named():
    with pytest.raises(AudioError, match=r"bach/none\.mxl: expected a score"):
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
