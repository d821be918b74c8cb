"""Lists of what is run, and architectures that cannot be built."""

from __future__ import annotations

import pytest

from multiscale.config import ParameterError
from multiscale.representations import Representation
from multiscale.study import design
from multiscale.study.design import Architecture, Experiment


def test_architectures_have_words():
    assert str(Architecture()) == "laplacian, 1 frame, 500 means"
    pca = Architecture(representation="gaussian", window_length=4, dictionary="pca", draw=1)
    assert str(pca) == "gaussian, 4 frames, PCA, draw=1"
    assert pca.changes == "draw=1"
    level = Experiment(task="tagging", architecture=pca, level=3, training=(("n_runs", 2),))
    assert str(level) == "tagging: gaussian, 4 frames, PCA, draw=1, level 3 alone, n_runs=2"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_levels": 0}, "n_levels: expected an integer of at least 1, got 0"),
        ({"window_length": 8}, "window_length: expected at most 4"),
        ({"representation": "wavelet"}, "representation: .*got 'wavelet'"),
        ({"window_share": 0}, "window_share: .*greater than 0, got 0"),
        ({"scale": "gaussian"}, "scale: extra inputs"),
    ],
)
def test_architectures_that_cannot_be_built(change, message):
    with pytest.raises(ParameterError, match=message):
        Architecture(**change)


@pytest.mark.parametrize("level", [-1, 6])
def test_levels_that_there_are_not(level):
    with pytest.raises(ParameterError, match=f"level: expected from 0 up to .* 5, got {level}"):
        Experiment(task="tagging", architecture=Architecture(), level=level)


def test_the_grid_of_the_paper():
    assert len(set(design.ARCHITECTURES)) == 28
    assert {design.PAPERS_BEST, design.SIMILARITY_BEST} < set(design.ARCHITECTURES)
    assert len(design.grid()) == 56
    assert {e.task for e in design.grid(["similarity"])} == {"similarity"}


def test_everything_is_told_apart_by_its_words():
    everything = design.everything()
    assert len({str(e) for e in everything}) == len(set(everything)) == len(everything)
    assert len(everything) == 56 + 6 + 6 + 9 + 15 + 4 + 8
    assert {e.task for e in design.everything(["tagging"])} == {"tagging"}
    assert set(design.sensitivities()) == set(design.OPEN_CHOICES)
    for changed in design.sensitivities().values():
        assert changed.architecture.changes or changed.training


def test_other_draws_are_of_the_papers_best():
    for task, best in (("tagging", design.PAPERS_BEST), ("similarity", design.SIMILARITY_BEST)):
        draws = [e.architecture for e in design.redraws(task)]
        assert [a.draw for a in draws] == [0, 1, 2]
        assert {a.model_copy(update={"draw": 0}) for a in draws} == {best}


def test_a_hop_that_doubles_halves_the_frames_of_a_pooling_window():
    odd = {"representation": "multiresolution", "pooling_length": 100, "n_levels": 4}
    design.Architecture(**odd)  # all levels have 100 frames
    with pytest.raises(ParameterError, match="pooling_length=100 to be divisible by"):
        design.Architecture(**odd, double_hop=True)
    with pytest.raises(ParameterError, match="pooling_length=100 to be divisible by"):
        Representation("multiresolution", 4, 100, double_hop=True)
