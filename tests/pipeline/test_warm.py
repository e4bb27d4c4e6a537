"""`predict` keeps what it has loaded, and notices what has changed."""

import pytest

import htnet
from htnet.core.errors import HtnetError, InputError, WeightsError
from htnet.core.registry import MODELS
from htnet.hub import save_pretrained
from htnet.models import STSTNet, create_model, register_model
from htnet.pipeline import calls
from htnet.pipeline.analysis_files import AnalysisJob, Loaded
from htnet.preprocess import TemplateLandmarks
from tests.support.pairs import QUICK, face_pair, tiny_model


@pytest.fixture
def built(monkeypatch):
    """What each predictor was built of; nothing is kept from before."""
    built = []

    class Counted(calls.Predictor):
        def __init__(self, weights, **settings):
            built.append(weights)
            super().__init__(weights, **settings)

    monkeypatch.setattr(calls, "_models", {})
    monkeypatch.setattr(calls, "_predictors", {})
    monkeypatch.setattr(calls, "Predictor", Counted)
    return built


@pytest.fixture
def ask(rng, tmp_path):
    """Asks about one pair; the weights are a folder."""
    save_pretrained(tiny_model(), tmp_path / "w")
    pair = face_pair(side=64, rng=rng)

    def ask(**settings):
        settings = {"weights": tmp_path / "w", "landmarks": "template", "always": True, **settings}
        return htnet.predict(*pair, **settings)

    return ask


def test_the_same_question_loads_once(built, ask):
    assert ask().probabilities == ask().probabilities
    assert len(built) == 1


def test_replaced_weights_and_other_settings_are_loaded_anew(built, ask, tmp_path):
    before = ask()
    save_pretrained(tiny_model(num_classes=5), tmp_path / "w", overwrite=True)
    after = ask()
    assert (len(before.probabilities), len(after.probabilities)) == (3, 5)
    ask(bit_depth=8)
    assert built == [tmp_path / "w"] * 2
    assert len(calls._models) == len(calls._predictors) == calls._KEPT
    assert [kept.bit_depth for kept in calls._predictors.values()] == [None, 8]


def test_damaged_and_missing_weights_are_noticed(built, ask, tmp_path):
    ask()
    (tmp_path / "w" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(WeightsError):
        ask()
    (tmp_path / "w" / "model.safetensors").unlink()
    with pytest.raises(WeightsError):
        ask()


def test_a_landmarker_that_was_given_is_asked_anew_and_the_model_is_not_loaded_again(built, ask, tmp_path):
    first, second = (ask(landmarks=TemplateLandmarks()) for _ in range(2))
    assert built == [tmp_path / "w"]
    assert first.probabilities == second.probabilities
    assert calls._predictors == {}


def test_a_model_that_was_given_is_not_kept(built, ask):
    ask(weights=tiny_model())
    assert calls._models == calls._predictors == {}


@pytest.mark.parametrize(("settings", "error"), [({"bit_depth": [8]}, InputError), ({"landmarks": "yunt"}, HtnetError)])
def test_impossible_settings_are_refused_each_time(built, ask, settings, error):
    for _ in range(2):
        with pytest.raises(error):
            ask(**settings)
    assert calls._predictors == {}


def own_model(factor):
    """A class of the user's own, defined again with other code, as in a notebook."""

    class Own(STSTNet):
        def forward_features(self, x):
            return super().forward_features(x) * factor

    register_model("own-of-test", Own, spec=QUICK)
    model = create_model("own-of-test")
    model.preprocess_spec = QUICK
    return model


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(MODELS, "_entries", dict(MODELS))


def test_a_model_that_is_defined_again_is_loaded_anew(built, ask, tmp_path, registry):
    save_pretrained(own_model(1), tmp_path / "w", overwrite=True)
    before = ask().probabilities
    assert ask().probabilities == before
    assert len(built) == 1
    own_model(0)
    after = ask()
    assert len(built) == 2
    assert after.probabilities != before


def test_recordings_are_analyzed_again_by_a_model_that_is_defined_again(tmp_path, registry):
    save_pretrained(own_model(1), tmp_path / "w")
    job = AnalysisJob(out=tmp_path, weights=str(tmp_path / "w"))
    before = Loaded.of(job)
    own_model(1)
    assert Loaded.of(job) == before
    assert before.to_dict()["weights"]["model_code"] == before.code != ""
    own_model(2)
    assert Loaded.of(job).to_dict()["weights"] != before.to_dict()["weights"]
    assert "model_code" not in Loaded.of(AnalysisJob(out=tmp_path)).to_dict()["weights"]
