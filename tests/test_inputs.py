"""Whatever enters an estimator or a score is refused by its name, or right: tables of them all."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.utils import estimator_checks

from multiscale import NCA, MultiscaleFeatures, SphericalKMeans, TagClassifier, log_mel
from multiscale.config import AudioError, ParameterError, SpectrogramSettings, TrainingSettings
from multiscale.descent import Hyperparameters
from multiscale.similarity import SIMILARITY, clip_probabilities, nca_score
from multiscale.tagging import TAGGING, mean_auc, tag_auc, tag_average_precision
from multiscale.training import Model, fit_runs

RNG = np.random.default_rng(0)
CLIPS = RNG.uniform(-1, 1, (6, 8000)).astype(np.float32)
FEATURES = RNG.standard_normal((30, 2, 5)).astype(np.float32)
TAGS = RNG.random((30, 3)) < 0.4
ARTISTS = np.array(list("abc"))[RNG.integers(0, 3, 30)]
GROUPS = np.arange(30) // 2
OTHER = SpectrogramSettings(n_mels=40)
SETTINGS = TrainingSettings(max_epochs=2, n_hidden=4)

ESTIMATORS = {
    "MultiscaleFeatures": MultiscaleFeatures(
        dictionary=4, n_levels=2, pooling_length=8, n_windows=50, n_iter=1, device="cpu"
    ),
    "SphericalKMeans": SphericalKMeans(3, n_iter=2, random_state=0, device="cpu"),
    "TagClassifier": TagClassifier(n_hidden=4, max_epochs=2, device="cpu"),
    "NCA": NCA(n_components=2, max_epochs=2, device="cpu"),
}
DATA = {
    "MultiscaleFeatures": {"X": CLIPS},
    "SphericalKMeans": {"X": FEATURES[:, 0]},
    "TagClassifier": {"X": FEATURES, "y": TAGS, "groups": GROUPS},
    "NCA": {"X": FEATURES, "y": ARTISTS, "groups": GROUPS},
}


@cache
def fitted(name: str):
    return clone(ESTIMATORS[name]).fit(**DATA[name])


def outputs(estimator):
    """What a fitted estimator makes of the plain input."""
    name = type(estimator).__name__
    make = estimator.predict_proba if name == "TagClassifier" else estimator.transform
    return make(DATA[name]["X"])


def runs(task):
    def fit(features, labels, held_out, y_true):
        data = (features, labels), (held_out, y_true)
        return fit_runs(task, *data, [Hyperparameters(0.01, 0)], SETTINGS, device="cpu").weights()

    return fit


SCORES = RNG.random((30, 3))
ENTRANCES = {
    **{
        f"{name}.fit": (lambda name=name, **X: outputs(clone(ESTIMATORS[name]).fit(**X)), data)
        for name, data in DATA.items()
    },
    **{
        f"{name}.{method}": (
            lambda name=name, method=method, **data: getattr(fitted(name), method)(**data),
            {argument: DATA[name][argument] for argument in arguments},
        )
        for name, method, *arguments in [
            ("MultiscaleFeatures", "transform", "X"),
            ("SphericalKMeans", "transform", "X"),
            ("SphericalKMeans", "predict", "X"),
            ("TagClassifier", "predict_proba", "X"),
            ("TagClassifier", "predict", "X"),
            ("TagClassifier", "score", "X", "y"),
            ("NCA", "transform", "X"),
            ("NCA", "score", "X", "y"),
        ]
    },
    "fit_runs.tagging": (
        runs(TAGGING),
        {"features": FEATURES, "labels": TAGS, "held_out": FEATURES, "y_true": TAGS},
    ),
    "fit_runs.similarity": (
        runs(SIMILARITY),
        {"features": FEATURES, "labels": ARTISTS, "held_out": FEATURES, "y_true": ARTISTS},
    ),
    "log_mel": (log_mel, {"signal": CLIPS}),
    "mean_auc": (mean_auc, {"y_true": TAGS, "y_score": SCORES}),
    "tag_auc": (tag_auc, {"y_true": TAGS, "y_score": SCORES}),
    "tag_average_precision": (tag_average_precision, {"y_true": TAGS, "y_score": SCORES}),
    "nca_score": (nca_score, {"y_true": ARTISTS, "embedded": SCORES[None]}),
    "clip_probabilities": (clip_probabilities, {"embedded": SCORES, "artists": ARTISTS}),
}


def spoilt(value: object, dtype: type = float):
    """The first value of an array replaced."""

    def spoil(plain):
        other = plain.astype(object if plain.dtype.kind == "U" else dtype)
        other.flat[0] = value
        return other

    return spoil


def read_only(plain):
    other = plain.copy()
    other.flags.writeable = False
    return other


SAME = {
    "list": lambda plain: plain.tolist(),
    "list of arrays": list,
    "read-only": read_only,
    "negative strides": lambda plain: plain[::-1].copy()[::-1],
    "column order": np.asfortranarray,
    "other bytes": lambda plain: plain.astype(plain.dtype.newbyteorder(">")),
    "float64": lambda plain: plain.astype(float),
    "float16": lambda plain: plain.astype(np.float16),
    "pandas": lambda plain: (pd.DataFrame if plain.ndim == 2 else pd.Series)(
        plain if plain.ndim < 3 else list(plain), RNG.permutation(len(plain))
    ),
    "object": lambda plain: plain.astype(object),
    "tensor": torch.as_tensor,
    "digits": lambda plain: plain.astype(float).astype(str),
}
"""The plain input in other clothes."""

WRONG = {
    "NaN": spoilt(np.nan),
    "infinite": spoilt(np.inf),
    "None within": spoilt(None, object),
    "pandas' NA within": spoilt(pd.NA, object),
    "text within": spoilt("a", object),
    "text": lambda plain: np.full(plain.shape, "a"),
    "complex": lambda plain: plain + 1j,
    "dates": lambda plain: np.zeros(plain.shape, "M8[s]"),
    "wide integers": lambda plain: (9 * plain).astype(int),
    "far too large": lambda plain: 1e5 * plain,
    "fewer axes": lambda plain: plain[0],
    "more axes": lambda plain: plain[None],
    "narrower": lambda plain: plain[..., :-1],
    "short": lambda plain: plain[..., :1],
    "without width": lambda plain: plain[..., :0],
    "fewer": lambda plain: plain[:-1],
    "more": lambda plain: np.concatenate([plain, plain[:1]]),
    "none": lambda plain: plain[:0],
    "sparse": lambda plain: scipy.sparse.csr_matrix(np.ones((len(plain), 3))),
    "of no length": iter,
    "one number": lambda plain: np.float32(1),
    "None": lambda plain: None,
    "words": lambda plain: "abc",
    "dict": lambda plain: {"a": plain},
    "ragged": lambda plain: [plain[:1].tolist(), *plain[1:].tolist()],
}

NEVER = {
    "names": {*list(SAME)[6:8], *list(SAME)[10:], *list(WRONG)[:10], "narrower", "short"},
    "of one axis": {"narrower", "short", "without width", "text", "complex", "dates"},
    "no audio": {"wide integers", "far too large"},
    "alone": {"fewer", "more"},
    "of any width": {"narrower", "short"},
    "may be NaN": {"NaN", "infinite", "None within"},
}
"""What cannot be made of an argument of some kind, or is as good as the plain one there."""

EXCEPT = {
    "log_mel": {"fewer axes", "narrower", "short"},  # one clip, and clips of any length
    "nca_score.embedded": {"more"},  # runs
    "tag_auc.y_score": {"more axes"},  # runs, too
    "tag_average_precision.y_score": {"more axes"},
    "clip_probabilities.artists": {"without width"},
    "groups": {"None", "digits"},  # text has another order, and so another draw
    "MultiscaleFeatures": {"narrower"},
    "SphericalKMeans": {"dates"},  # scikit-learn takes them for numbers
}


def cases():
    for entrance, (_, data) in ENTRANCES.items():
        for argument, plain in data.items():
            traits = {
                "names": plain.dtype.kind == "U",
                "of one axis": plain.ndim == 1,
                "no audio": plain is not CLIPS,
                "alone": len(data) == 1,
                "of any width": entrance.endswith(".fit") or argument in {"embedded", "features"},
                "may be NaN": argument in {"y_score", "embedded"} and "clip" not in entrance,
            }
            out = {kind for trait, true in traits.items() if true for kind in NEVER[trait]}
            for name in (entrance, entrance.split(".")[0], f"{entrance}.{argument}", argument):
                out |= EXCEPT.get(name, set())
            yield from ((entrance, argument, kind) for kind in [*SAME, *WRONG] if kind not in out)


def outcome(call, *given, **data) -> tuple[object, str]:
    """What a call gives, or what it says."""
    try:
        return call(*given, **data), ""
    except (ParameterError, AudioError) as error:
        return None, str(error)


def as_dict(result) -> dict:
    return result if isinstance(result, dict) else {"": np.asarray(result)}


@cache
def expected(entrance: str) -> dict:
    call, data = ENTRANCES[entrance]
    return as_dict(call(**data))


def told(argument: str) -> str:
    """How a complaint about the argument begins."""
    others = {
        "X": r"clip \d",
        "features": "train features",
        "held_out": "valid features",
        "labels": "train|valid",  # of which the others do not fit
        "y_true": "valid|train",
        "artists": "scored artists",
    }
    return rf"({argument}|{others.get(argument, argument)})\b.*: "


@pytest.mark.parametrize(("entrance", "argument", "kind"), list(cases()))
def test_an_input_is_refused_by_its_name_or_right(entrance, argument, kind):
    call, data = ENTRANCES[entrance]
    plain = data[argument]
    before = plain.copy()
    result, complaint = outcome(call, **{**data, argument: (SAME | WRONG)[kind](plain)})
    if complaint:
        must = [*SAME][:7] if plain.ndim < 3 or kind != "pandas" else []
        assert kind not in must
        of_two = kind in {"fewer", "more", "narrower", "short"}  # that do not go together
        assert re.match(".*: .*expect" if of_two else told(argument), complaint)
    else:
        assert kind in SAME
        atol = 0.05 if kind == "float16" else 1e-5
        for name, value in expected(entrance).items():
            np.testing.assert_allclose(as_dict(result)[name], value, atol=atol, rtol=1e-4)
    np.testing.assert_array_equal(plain, before)


VALUES = {
    "None": None,
    "True": True,
    "text": "2",
    "word": "abacus",
    "-1": -1,
    "0": 0,
    "0.5": 0.5,
    "2.0": 2.0,
    "NaN": np.nan,
    "infinite": np.inf,
    "list": [2],
    "array": np.array([2, 3]),
    "complex": 2j,
}
TAKEN = {
    "n_iter patience_steps": {"0"},
    "explained_variance_ratio validation_fraction": {"0.5"},
    "learning_rate fmax log_constant": {"0.5", "2.0"},
    "damping whitening_damping weight_decay fmin clipping": {"0", "0.5", "2.0"},
    "averaging": {"0", "0.5"},
    "whiten double_hop standardise": {"True"},
    "random_state": {"None", "0"},
    "clip_summary": {"None"},
}
"""The values that some parameters do take."""

SETTINGS_OF = {
    "SpectrogramSettings": (SpectrogramSettings, {**dict(SpectrogramSettings()), "fmax": None}),
    "TrainingSettings": (TrainingSettings, dict(TrainingSettings())),
    "Hyperparameters": (Hyperparameters, {"learning_rate": 1, "weight_decay": 1}),
}
PARAMETERS = [
    *((name, parameter) for name, one in ESTIMATORS.items() for parameter in one.get_params()),
    *((name, field) for name, (_, fields) in SETTINGS_OF.items() for field in fields),
]


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_a_parameter_is_refused_by_its_name_before_the_data_are_looked_at(name, parameter, kind):
    changed, takes = {parameter: VALUES[kind]}, {("fmax", "None")}
    takes |= {
        (one, value) for names, values in TAKEN.items() for one in names.split() for value in values
    }
    if name in SETTINGS_OF:
        call, usual = SETTINGS_OF[name]
        complaint = outcome(call, **{**usual, **changed})[1]
        accepted = complaint == ""
    else:
        estimator = clone(ESTIMATORS[name]).set_params(**changed)
        complaint = outcome(estimator.fit, *[None] * len(DATA[name]))[1]
        accepted = complaint.startswith("X: ")
    assert accepted == ((parameter, kind) in takes)
    assert accepted or re.match(rf"{parameter}: .*, got ", complaint)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_numbers_of_numpy_are_numbers(name):
    kinds = {bool: np.bool_, int: np.int64, float: np.float64}
    plain = ESTIMATORS[name].get_params()
    numpys = {n: kinds[type(v)](v) for n, v in plain.items() if type(v) in kinds}
    result = clone(ESTIMATORS[name]).set_params(**numpys).fit(**DATA[name])
    assert len(numpys) >= 5
    np.testing.assert_array_equal(outputs(result), outputs(fitted(name)))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_habits_of_scikit_learn(name):
    for check in (
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_estimator_cloneable,
    ):
        check(name, clone(ESTIMATORS[name]))
    again = clone(ESTIMATORS[name]).fit(**DATA[name])
    with pytest.raises(NotFittedError):
        outputs(clone(again))
    np.testing.assert_array_equal(outputs(again.fit(**DATA[name])), outputs(fitted(name)))


@pytest.mark.parametrize(("name", "y"), [("TagClassifier", TAGS), ("NCA", ARTISTS)])
def test_a_fit_that_diverges_is_none(name, y):
    diverging = clone(ESTIMATORS[name]).set_params(learning_rate=1e30)
    with pytest.raises(ParameterError, match="learning_rate: expected a finite score, got none"):
        diverging.fit(FEATURES, y)
    with pytest.raises(NotFittedError):
        outputs(diverging)


def test_small_folds_hold_out_clips_that_can_be_scored():
    small, rare = ESTIMATORS["TagClassifier"], np.arange(18)[:, None] % 6 == 0
    assert cross_val_predict(small, FEATURES[:18], rare, cv=3).shape == (18, 1)
    searched = GridSearchCV(small, {"n_hidden": [3]}, cv=3, error_score="raise")
    searched.fit(FEATURES[:18], rare)
    with pytest.raises(ParameterError, match="validation_fraction: valid tags: expected a tag"):
        small.fit(FEATURES, np.arange(30)[:, None] == 0)


@pytest.mark.parametrize(
    "change", [{"n_levels": 1}, {"representation": "gaussian"}, {"spectrogram": OTHER}]
)
def test_what_is_set_after_a_fit_waits_for_the_next(change, tmp_path):
    learner = clone(ESTIMATORS["MultiscaleFeatures"]).fit(CLIPS)
    features = learner.transform(CLIPS)
    learner.set_params(**change, window_length=2)
    np.testing.assert_array_equal(learner.transform(CLIPS), features)
    learner.save(tmp_path / "it")
    loaded = MultiscaleFeatures.load(tmp_path / "it")
    np.testing.assert_array_equal(loaded.transform(CLIPS), features)
    assert loaded.get_params() == ESTIMATORS["MultiscaleFeatures"].get_params()


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(3)])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_any_random_state(name, random_state):
    one = clone(ESTIMATORS[name]).set_params(random_state=random_state)
    first, second = (outputs(clone(one).fit(**DATA[name])) for _ in range(2))
    same = first.shape == second.shape and (first == second).all()
    assert same == (random_state is not None)  # clone copies its state


@pytest.mark.parametrize("form", [MultiscaleFeatures, Model])
def test_files_of_another_kind_are_refused_by_name(form, tmp_path):
    learned = fitted("MultiscaleFeatures" if form is MultiscaleFeatures else "NCA")
    other = fitted("NCA").model_ if form is MultiscaleFeatures else fitted("MultiscaleFeatures")
    (learned if form is MultiscaleFeatures else learned.model_).save(tmp_path / "good")
    other.save(tmp_path / "other")
    (tmp_path / "cut").write_bytes((tmp_path / "good").read_bytes()[:-9])
    (tmp_path / "text").write_text("no model" * 9)
    (tmp_path / "empty").touch()
    for name in ("other", "cut", "text", "empty"):
        with pytest.raises(ParameterError, match=rf"{name}: expected what {form.__name__}\.save"):
            form.load(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="gone"):
        form.load(tmp_path / "gone")
    with pytest.raises(ParameterError, match="no folder/it: "):
        other.save(tmp_path / "no folder/it")


def test_a_device_of_torch_is_a_device(tmp_path):
    learner = clone(ESTIMATORS["MultiscaleFeatures"]).set_params(device=torch.device("cpu"))
    learner.fit(CLIPS).save(tmp_path / "it")
    assert MultiscaleFeatures.load(tmp_path / "it").device == "cpu"
