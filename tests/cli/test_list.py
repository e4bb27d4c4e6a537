"""``htnet list`` with a pattern that nothing matches says so."""

import pytest

from htnet.cli import main


@pytest.mark.parametrize("pattern", ["onset0.png", "nothing*", "htnet list"])
def test_a_pattern_without_a_match_is_told(pattern, capsys):
    assert main(["list", pattern]) == 2
    assert f"No model or weights match {pattern!r}" in capsys.readouterr().err


def test_a_pattern_with_a_match_lists_it(capsys):
    assert main(["list", "synth*"]) == 0
    assert "synthetic" in capsys.readouterr().out
