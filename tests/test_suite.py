"""How the tests themselves are kept: seeded, and the same whatever runs before them."""

import re

import pytest

from tests.support.paths import ROOT

UNSEEDED = re.compile(r"default_rng\(\)|RandomState\(\)|np\.random\.(rand|randn|randint|random|normal|uniform)\(")


def test_no_generator_is_unseeded():
    files = [path for path in (ROOT / "tests").rglob("*.py") if path.name != "test_suite.py"]
    lines = [(path, line) for path in files for line in path.read_text("utf-8").splitlines()]
    assert [f"{path.relative_to(ROOT)}: {line}" for path, line in lines if UNSEEDED.search(line)] == []


@pytest.mark.slow
def test_a_seed_belongs_to_its_test(pytester):
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text("utf-8"))
    pytester.makepyfile(
        """
        import pytest, torch

        @pytest.fixture(scope="module")
        def shared():
            return torch.rand(1).item()

        def test_a(rng, shared):
            print("a draws", rng.random(), torch.rand(1).item(), shared)

        def test_b(rng, shared):
            print("b draws", rng.random(), torch.rand(1).item(), shared)
        """
    )

    def draws(*words):
        lines = pytester.runpytest("-s", "-p", "no:cacheprovider", *words).outlines
        return {line.split()[-5]: line.split()[-3:] for line in lines if " draws " in line}

    both = draws()
    assert draws("-k", "test_b")["b"] == both["b"]
    assert both["a"][:2] != both["b"][:2]
    assert both["a"][2] == both["b"][2]
    assert draws("--seed", "1")["b"] != both["b"]


def test_a_failure_prints_its_seed(pytester):
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text("utf-8"))
    pytester.makepyfile("def test_it(rng):\n    assert rng.random() > 1\n")
    pytester.runpytest("-p", "no:cacheprovider").stdout.re_match_lines([r"seed \d+, drawn with --seed 0"])
