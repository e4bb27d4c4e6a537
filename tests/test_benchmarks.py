import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from benchmarks import attention, attention_models, gpu, inference, models, zoo_floor, zoo_mhssa, zoo_profile, zoo_small
from benchmarks import measure as measure_under_test
from benchmarks.flow_cases import pairs
from benchmarks.measure import code_digest, compare, interleave, memory_bandwidth, refuse_changed
from benchmarks.registry import BENCHMARKS, Benchmark, get_benchmark
from benchmarks.run import main
from benchmarks.verify import DisagreementError, agree
from htnet.acceleration import optimize
from htnet.acceleration.layers import FusedLinear
from htnet.acceleration.packing import PackedLinear
from htnet.core.errors import InputError
from htnet.models import reference_state


def test_every_benchmark_is_listed(capsys):
    assert main(["--list"]) == 0
    shown = capsys.readouterr().out
    for name, benchmark in BENCHMARKS.items():
        assert name == benchmark.name
        assert name in shown
        assert benchmark.description in shown


def test_code_that_changes_while_it_is_measured_is_told(tmp_path, monkeypatch):
    """Processes that a benchmark starts import the code of that moment, not of the commit that was told before."""
    monkeypatch.setattr(measure_under_test, "ROOT", tmp_path)
    for name in ("htnet/core/a.py", "benchmarks/b.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("1\n")
    before = code_digest()
    (tmp_path / "benchmarks" / "results.json").write_text("{}")
    refuse_changed(before)
    (tmp_path / "htnet/core/a.py").write_text("2\n")
    with pytest.raises(SystemExit, match="changed while it was measured"):
        refuse_changed(before)


def test_unknown_names_are_refused(capsys):
    with pytest.raises(InputError, match="Did you mean 'models'"):
        get_benchmark("model")
    assert main(["model"]) == 2
    assert "Did you mean 'models'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([])


@pytest.mark.slow
def test_quick_run_writes_the_figures_and_where_they_come_from(tmp_path, capsys):
    assert main(["models", "--quick", "--out", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["models_cpu.json"]
    text = (tmp_path / "models_cpu.json").read_text("utf-8")
    assert capsys.readouterr().out == text
    result = json.loads(text)
    assert result["quick"] is True
    assert result["torch"] == torch.__version__
    assert result["threads"] == torch.get_num_threads()
    assert {"commit", "uncommitted_changes", "cpu", "cores", "htnet", "load_1min_at_start"} <= set(result)
    assert result["largest_relative_difference"]["outputs"] <= result["tolerance"]["outputs"]
    assert 0 < result["largest_relative_difference"]["bfloat16_gradients_1_minus_cosine"] < 0.01
    assert set(result["training_step_batch_128"]["times_as_fast"]) >= {"htnet", "htnet_bfloat16"}
    for topic in ("inference_batch_1", "inference_batch_128", "training_step_batch_128"):
        speed = result[topic]["times_as_fast"]["htnet"]
        assert speed["median"] > 0
        assert speed["q1"] <= speed["q3"]
        times = result[topic]["ms"]
        assert speed["median"] == pytest.approx(times["reference"]["median"] / times["htnet"]["median"], rel=2e-3)
    floor = result["inference_batch_1_memory_floor"]
    # Queries and keys of the three blocks of htnet_tiny (32, 64, 128 wide) are never read.
    unread = sum(4 * dim * 2 * dim for dim in (32, 64, 128)) / 1e6
    assert floor["megabytes"]["reference"] - floor["megabytes"]["htnet"] == pytest.approx(unread)


def test_quick_run_leaves_the_results_alone(monkeypatch, tmp_path):
    monkeypatch.setattr("benchmarks.run.RESULTS", tmp_path)
    fake = Benchmark("fake", lambda quick: {"device": "cpu", "figure": 1}, "none")
    monkeypatch.setitem(BENCHMARKS, "fake", fake)
    assert main(["fake", "--quick"]) == 0
    assert list(tmp_path.iterdir()) == []
    assert main(["fake"]) == 0
    assert json.loads((tmp_path / "fake_cpu.json").read_text("utf-8"))["figure"] == 1


@pytest.mark.parametrize("key", ["mlp_head.2.weight", "layers.1.0.layers.0.1.fn.net.3.weight"])
def test_models_that_disagree_are_not_timed(monkeypatch, capsys, key):
    def shifted(model):
        state = reference_state(model)
        return state | {key: state[key] * 1.01}

    monkeypatch.setattr(models, "reference_state", shifted)
    monkeypatch.setattr(models, "interleave", lambda *a, **k: pytest.fail("timed all the same"))
    assert main(["models", "--quick"]) == 2
    assert "outputs" in capsys.readouterr().err


@pytest.mark.slow
def test_mhssa_section_of_the_zoo(monkeypatch):
    found = zoo_mhssa.run_mhssa(True)
    assert found["largest_relative_difference"]["outputs"] <= found["tolerance"]["outputs"]
    optimized = {"htnet_optimized_float32", "htnet_optimized_bfloat16"}
    for topic, more in (
        ("scaling_batch_32", set()),
        ("inference_batch_32", optimized),
        ("training_step_batch_32", set()),
    ):
        assert set(found[topic]["times_as_fast"]) == {"htnet_published_form", "htnet"} | more
    assert {bar["wanted"] for bar in found["bars"]} == {10.0}
    monkeypatch.setattr(zoo_mhssa, "interleave", lambda *a, **k: pytest.fail("timed all the same"))
    monkeypatch.setattr(zoo_mhssa, "load_ours", lambda reference, model: reference)  # other weights
    with pytest.raises(DisagreementError, match="outputs"):
        zoo_mhssa.run_mhssa(True)


def test_agreement_is_relative_to_each_tensor():
    truth = {"large": torch.tensor([4.0, -2.0]), "small": torch.tensor([1e-3])}
    off = {"large": truth["large"] + torch.tensor([0.0, 4e-5]), "small": truth["small"]}
    assert agree(off, truth, 2e-5, "x") == pytest.approx(1e-5, rel=1e-2)
    with pytest.raises(DisagreementError, match="x: large differs by 1e-05"):
        agree(off, truth, 5e-6, "x")
    with pytest.raises(DisagreementError, match="small differs by 0.01"):
        agree({**truth, "small": truth["small"] * 1.01}, truth, 1e-3, "x")


@pytest.mark.parametrize(
    ("ours", "message"),
    [
        ({"a": torch.ones(2)}, r"only one side has \['zero'\]"),
        ({"a": torch.ones(3), "zero": torch.zeros(1)}, r"a is \(3,\), not \(2,\)"),
        ({"a": torch.tensor([1.0, float("nan")]), "zero": torch.zeros(1)}, "a differs by nan"),
        ({"a": torch.ones(2), "zero": torch.tensor([1e-3])}, "zero differs"),
        ({"a": torch.ones(2), "zero": torch.tensor([float("nan")])}, "zero differs"),
    ],
)
def test_disagreement_is_refused(ours, message):
    truth = {"a": torch.ones(2), "zero": torch.zeros(1)}
    with pytest.raises(DisagreementError, match=message):
        agree(ours, truth, 1e-4, "x")


def test_rounding_noise_counts_as_zero():
    truth = {"a": torch.ones(2), "noise": torch.tensor([2e-8])}
    assert agree({"a": torch.ones(2), "noise": torch.tensor([-1e-8])}, truth, 1e-5, "x") == 0


def test_sides_take_turns():
    calls = []
    sides = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = interleave(sides, rounds=3, repeats=2, warmup=1)
    assert "".join(calls) == "aabb" + "bbaa" + "aabb" + "bbaa"
    assert {name: len(own) for name, own in times.items()} == {"a": 3, "b": 3}
    assert all(t >= 0 for own in times.values() for t in own)


def test_comparison_by_hand():
    summary = compare({"old": [10.0, 30.0, 20.0, 20.0, 20.0], "new": [5.0, 10.0, 4.0, 10.0, 10.0]}, "old")
    assert summary["rounds"] == 5
    assert summary["baseline"] == "old"
    assert summary["ms"]["old"] == {"median": 20.0, "q1": 20.0, "q3": 20.0}
    assert summary["ms"]["new"] == {"median": 10.0, "q1": 5.0, "q3": 10.0}
    # Rounds' ratios: 2, 3, 5, 2, 2.
    assert summary["times_as_fast"] == {"new": {"median": 2.0, "q1": 2.0, "q3": 3.0}}


def test_bandwidth_is_positive():
    assert all(speed > 0 for speed in memory_bandwidth(megabytes=4, rounds=3).values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_figures_of_a_gpu_are_refused_without_one():
    for name in ("flow_gpu", "attention_gpu"):
        with pytest.raises(InputError, match=f"{name} needs a CUDA device"):
            get_benchmark(name).run(True)


@pytest.mark.slow
def test_flow_cases_move_the_face_by_their_truth():
    """Each pixel of the onset lies at x + flow in the apex; without noise and light only rounding differs."""
    for pair in pairs(112, int(torch.randint(1000, ()))):
        y, x = np.mgrid[:112, :112]
        there = map_coordinates(pair.apex.astype(float), [y + pair.truth[1], x + pair.truth[0]], order=3)
        miss = np.abs(there - pair.onset)[16:-16, 16:-16].mean()
        still = np.abs(pair.apex.astype(float) - pair.onset)[16:-16, 16:-16].mean()
        if pair.kind in ("smooth", "piecewise", "large"):
            assert miss < 0.5 * still, pair.kind
        elif pair.kind == "noise":
            assert 1.5 < miss < 4


@pytest.mark.slow
@pytest.mark.parametrize("section", [zoo_small.run_ststnet, zoo_small.run_dual_stream])
def test_small_models_of_the_zoo(section, monkeypatch):
    found = section(True)
    for part, difference in found["largest_relative_difference"].items():
        assert difference <= found["tolerance"][part]
    for topic in ("inference_batch_32", "training_step_batch_32"):
        assert found[topic]["times_as_fast"]["htnet"]["median"] > 0
    real = zoo_small.create_model
    monkeypatch.setattr(zoo_small, "create_model", lambda name: real(name, mean=(1.0, 0.0, 0.0)))
    with pytest.raises(DisagreementError):
        section(True)


@pytest.mark.slow
def test_ways_to_train_folds_agree_and_are_timed(tmp_path):
    assert main(["training", "--quick", "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "training_cpu.json").read_text("utf-8"))
    assert set(result["largest_relative_difference"]) == {"processes", "vmapped"}
    assert max(result["largest_relative_difference"].values()) <= result["tolerance"]["probabilities"]
    assert set(result["2_folds"]["times_as_fast"]) == {"reference_form", "processes", "vmapped"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("name", ["training_gpu", "flow_gpu"])
def test_gpu_figures_are_never_taken_elsewhere(name, capsys):
    assert main([name, "--quick"]) == 2
    assert "needs a CUDA device" in capsys.readouterr().err


def test_profiles_count_all_products():
    """By shape: packed, plain, with something added, and many at once."""
    layer = FusedLinear(torch.randn(64, 32), torch.randn(64), torch.float32)
    packed, x, many = PackedLinear(layer), torch.randn(2, 4, 32), torch.randn(3, 5, 64)

    def way():
        found = packed.added(x, layer(x)) + packed.gelu(x)
        return many @ found[:1].mT.expand(3, -1, -1)

    found = zoo_profile.profile_of(way, reference_ms=1.0, calls=2)
    wanted = 3 * 2 * 8 * 32 * 64 + 3 * 2 * 5 * 64 * 4
    products = found["products"]
    assert products["gflop"] == pytest.approx(wanted / 1e9, rel=1e-3)
    assert products["times_as_fast_if_nothing_else"] == pytest.approx(1 / products["ms_alone"], rel=1e-2)
    assert found["ms"]["all"] >= max(own for name, own in found["ms"].items() if name != "all") > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo_floor.MODELS)
def test_the_floor_of_the_zoo_is_told(name):
    found = zoo_floor.measure(name, quick=True)
    assert 0 < found["largest_relative_difference"] <= zoo_floor.TOLERANCE
    assert set(found["inference"]["times_as_fast"]) == {"htnet", "htnet_optimized_float32"}
    assert found["profile"]["products"]["gflop"] > 0


@pytest.mark.slow
def test_inference_figures_say_what_was_wanted(monkeypatch):
    monkeypatch.setattr(inference, "COMPOSITE", Path("nowhere"))
    found = inference.run(True)
    assert found["agreement_on_the_composite_set"] is None
    sizes = found["floor_batch_1"]["megabytes"]
    assert sizes["htnet_int8"] < sizes["htnet_bfloat16"] < sizes["htnet_float32"] < sizes["htnet_plain"]
    assert sizes["htnet_plain"] == sizes["reference"]
    for name, difference in found["largest_relative_difference"].items():
        assert difference <= (1e-4 if not ("bfloat16" in name or "int8" in name) else 0.05)
    assert set(found["batch_1"]["times_as_fast"]) == set(found["largest_relative_difference"]) - {"reference"}
    assert [bar["what"].split(":")[0] for bar in found["bars"]] == [
        "htnet_tiny, htnet_float32, inference, batch 1",
        "htnet_tiny, htnet_bfloat16, inference, batch 1",
        "htnet_tiny, htnet_float32, batch 1",
        "htnet_tiny, htnet_bfloat16, batch 1",
    ]
    assert set(found["profile_batch_1"]) == {"htnet_float32", "htnet_bfloat16"}
    for times in found["profile_batch_1"].values():
        assert times["all"] >= max(own for name, own in times.items() if name != "all") > 0
    for bar in found["bars"][:2]:
        assert bar["met"] == (bar["got"] >= bar["wanted"])
    for bar in found["bars"][2:]:
        assert bar["met"] == (bar["got"] <= bar["wanted"])


@pytest.mark.slow
def test_an_optimized_model_that_is_wrong_is_not_timed(monkeypatch):
    def wrong(model, dtype):
        optimized = optimize(model, dtype)
        with torch.no_grad():
            optimized.network.head.bias += 1
        return optimized

    monkeypatch.setattr(inference.htnet, "optimize", wrong)
    monkeypatch.setattr(inference, "interleave", lambda *a, **k: pytest.fail("timed all the same"))
    with pytest.raises(DisagreementError, match="outputs of htnet_float32"):
        inference.run(True)


@pytest.mark.slow
def test_attention_is_timed_beside_its_floor_after_it_agrees(tmp_path, monkeypatch, capsys):
    assert main(["attention", "--quick", "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "attention_cpu.json").read_text("utf-8"))
    assert {shape["shape"][2] for shape in result["shapes"]} == {1, 9}
    for shape in result["shapes"]:
        tolerance = result["tolerance"][f"torch.{shape['dtype']}"]
        assert all(difference <= tolerance for difference in shape["largest_relative_difference"].values())
        values = np.prod(shape["shape"]) * {"float32": 4, "bfloat16": 2}[shape["dtype"]] / 1e6
        for direction, moved in (("forward", 4), ("forward_and_backward", 11)):
            figures = shape[direction]
            assert set(figures["ms"]) == {"reference", "sdpa", "htnet"}
            floor = figures["memory_floor"]
            assert floor["megabytes"] == pytest.approx(moved * values, abs=1e-3)
            assert floor["ms"] == pytest.approx(moved * values / max(result["bandwidth_gb_per_s"].values()), rel=1e-2)
            ratio = figures["ms"]["sdpa"]["median"] / figures["ms"]["htnet"]["median"]
            assert figures["times_as_fast_as_best_sdpa"] == pytest.approx(ratio, rel=1e-2)
            assert figures["met"] is (figures["times_as_fast_as_best_sdpa"] > 1)
    monkeypatch.setattr(attention, "interleave", lambda *a, **k: pytest.fail("timed all the same"))
    monkeypatch.setattr(attention, "_bandwidth", lambda setting: {"read": 1.0})
    monkeypatch.setattr(attention, "block_attention", lambda q, k, v: 1.01 * v + 0 * q * k)
    assert main(["attention", "--quick"]) == 2
    assert "by htnet: out differs" in capsys.readouterr().err


def test_the_bar_of_attention_is_higher_for_few_tokens_on_a_gpu():
    shape = (8, 3, 4, 16)
    times = {"reference": [9.0] * 3, "sdpa_math": [5.0] * 3, "sdpa_flash": [3.0] * 3, "htnet": [2.0] * 3}
    setting = attention.Setting("cuda", (4,), (16,), (torch.float32,), 1, 3, compiled=False)
    found = attention._summary(times, 10**6, shape, setting, {"copy": 2.0})
    assert (found["best_sdpa"], found["times_as_fast_as_best_sdpa"]) == ("sdpa_flash", 1.5)
    assert (found["bar"], found["met"]) == (2, False)
    assert found["memory_floor"] == {"megabytes": 1, "ms": 0.5}
    assert found["times_the_floor"]["htnet"] == 4
    assert attention._summary(times, 1, (8, 3, 49, 16), setting, {"copy": 2.0})["met"]
    assert attention._summary({**times, "htnet": [1.5] * 3}, 1, shape, setting, {"copy": 2.0})["met"]


def test_shapes_of_the_models_attention_come_from_the_models():
    shapes = attention_models.model_shapes()
    assert {(s.heads, s.tokens, s.head_dim) for s in shapes if "htnet_palsy" in s.models} == {
        (3, 64, 85), (6, 64, 85), (12, 64, 85)
    }  # fmt: skip
    assert {s.tokens for s in shapes if "mhssa_gcn" in s.models} == {43}
    assert all(s.tokens > 1 for s in shapes)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_figures_of_the_gpu_session_are_not_taken_elsewhere(tmp_path, capsys):
    assert gpu.main(["--out", str(tmp_path)]) == 2
    assert "needs a CUDA device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_a_step_of_the_gpu_session_knew_stays_when_it_fails(tmp_path, monkeypatch):
    def step(device, quick):
        yield {"batch": 1}
        raise MemoryError

    monkeypatch.setitem(gpu.STEPS, "base", gpu.Step(step, 1))
    with pytest.raises(MemoryError):
        gpu.main(["--out", str(tmp_path), "--step", "base"])
    (line,) = (tmp_path / "base.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["batch"] == 1


def test_steps_of_the_gpu_session_are_told_how_they_ended(tmp_path, monkeypatch, capsys):
    """The first is stopped at its limit, for the next no time is left, and the session says so."""
    monkeypatch.setattr(gpu, "STEPS", {"base": gpu.Step(gpu._base, 600), "flow": gpu.Step(gpu._flow, 600)})
    assert gpu.main(["--quick", "--out", str(tmp_path), "--minutes", str(5.2 / 60)]) == 1
    steps = json.loads((tmp_path / "steps.json").read_text("utf-8"))["steps"]
    assert steps["base"].startswith("stopped after 5 s") or steps["base"] == "done"
    assert steps["flow"] == "not started: no time left"
    assert "flow not started" in capsys.readouterr().out
