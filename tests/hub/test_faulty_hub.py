"""A Hub whose answers are wrong, late, cut or refused, and the real client; benchmarks.trust.hub tries all."""

import math

import pytest

from benchmarks.trust.hub import _files, _poisoned
from htnet.core import network
from htnet.core.errors import CorruptWeightsError, WeightsError
from htnet.hub import load_pretrained, save_pretrained
from tests.support.hub_faults import Fault
from tests.support.pairs import tiny_model


@pytest.fixture
def load(hub, tmp_path, monkeypatch):
    """Loads the weights of a Hub that a fault disturbs, by default none."""
    monkeypatch.setattr(network, "TIME_LIMIT", 0.5)
    monkeypatch.setattr("htnet.hub.weights.TIME_LIMIT", 0.5)
    folder = save_pretrained(tiny_model(), tmp_path / "weights")
    hub.add_repo("a/b", {path.name: path.read_bytes() for path in folder.iterdir()})

    def load(fault=lambda request: None, **options):
        network.forget_failures()
        hub.disturb(fault)
        return load_pretrained("a/b", cache_dir=tmp_path / "cache", **options)

    yield load
    network.forget_failures()


@pytest.mark.parametrize("place", ["config", "weights"])
@pytest.mark.parametrize("good", [False, True])
def test_wrong_content_is_never_kept(load, tmp_path, place, good):
    """The client itself checks the length alone, and would give it out from then on."""
    if good:
        load()
    before = _files(tmp_path / "cache")
    with pytest.raises(CorruptWeightsError, match="twice sent content .* Nothing of it was kept"):
        load(Fault("wrong", place), force_download=good)
    assert not _poisoned(tmp_path / "cache")
    assert before.items() <= _files(tmp_path / "cache").items()
    if good:
        load(local_files_only=True)
    load(Fault("wrong", place, times=1), force_download=True)  # the second try is right
    assert not list((tmp_path / "cache").rglob("*.kept.incomplete"))
    assert load(local_files_only=True).labels


@pytest.mark.parametrize(
    ("name", "place", "said"),
    [
        ("404", "weights", "status 404, not found"),
        ("403", "config", "status 403, you may not do that"),
        ("401", "info", "status 401"),
        ("500", "info", r"cannot be reached \(status 500\)"),
        ("503", "weights", "status 503"),
        ("429", "info", "too many requests"),
        ("circle", "weights", "too many redirects"),
        ("cut", "config", "sent nothing for 1 s, or asks to wait longer"),
        ("429 for an hour", "weights", "sent nothing for 1 s, or asks to wait longer"),
    ],
)
def test_what_is_wrong_is_told(load, name, place, said):
    fault = Fault(name, place)
    with pytest.raises(WeightsError, match=said):
        load(fault)
    assert 1 <= fault.seen <= 25
    if "sent nothing" not in said:  # the client's thread goes on trying, and holds its lock meanwhile
        load()


def test_one_error_of_the_server_is_survived(load):
    fault = Fault("500", "weights", times=1)
    load(fault)
    assert fault.seen == 1


@pytest.mark.parametrize("name", ["500", "429"])
def test_while_the_hub_refuses_everything_the_cache_serves(load, name):
    load()
    fault = Fault(name, "info", times=math.inf)
    load(fault)
    assert fault.seen >= 1
    with pytest.raises(WeightsError, match=f"status {name}"):
        load(fault, force_download=True)
