import dataclasses
import json

import pytest

from htnet.core.errors import InputError
from htnet.synthesis import ACTION_UNITS, MUSCLES, SOURCES, SynthesisConfig
from htnet.synthesis.muscles import ANCHORS, bump_table
from tests.support.paths import ROOT


def test_configs_survive_json():
    config = SynthesisConfig(
        size=56, edge=(2.0, 3.0), expressions=(*SynthesisConfig().expressions, ("positive", (14,), 0.1))
    )
    assert SynthesisConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 30}, "size is 30; give one of 28, 56, 112"),
        ({"template": ((0.0, 0.0),)}, "template is"),
        ({"blink": 1.5}, "blink is 1.5; give a number from 0 to 1"),
        ({"noise": -0.1}, "noise is -0.1; give a number of 0 or more"),
        ({"blink": "often"}, "blink is 'often'"),
        ({"shares": 0.3}, "shares is 0.3; give a tuple of 3 numbers"),
        ({"strength": float("nan")}, "strength is nan"),
        ({"identity": (0.1, float("inf"))}, "identity is"),
        ({"identity": (0.1,)}, "identity is"),
        ({"shares": (0.5, 0.5)}, "shares is"),
        ({"shares": (0.0, 0.0, 0.0)}, "shares is"),
        ({"edge": (3.0, 2.0)}, "edge is"),
        ({"edge": (0.5, 2.0)}, "edge is"),
        ({"rise": (0.3, 0.2)}, "rise is"),
        ({"rise": (0.1, 0.6)}, "duration"),
        ({"noise_scales": ((1, 0.5),)}, "noise_scales is"),
        ({"expressions": (("sad", (4,), 1.0),)}, "expressions contains"),
        ({"expressions": (("negative", (99,), 1.0),)}, "expressions contains"),
        ({"expressions": (("negative", (4,), 1.0),)}, "no positive expression"),
    ],
)
def test_impossible_values_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        SynthesisConfig(**changes)


def test_unknown_fields_are_refused():
    with pytest.raises(InputError, match="Did you mean 'blink'"):
        SynthesisConfig.from_dict({"blinks": 0.1})


def test_every_constant_has_a_source_and_stands_on_the_page():
    names = [field.name for field in dataclasses.fields(SynthesisConfig)]
    assert list(SOURCES) == names
    page = (ROOT / "docs" / "synthesis.md").read_text("utf-8")
    for name, source in SOURCES.items():
        assert source
        assert f"`{name}`" in page, name


def test_the_two_sides_of_the_muscles_mirror_each_other():
    table = bump_table(MUSCLES)
    assert table.side.tolist() == [0, 1] * (len(table.side) // 2)
    for name in ("offset", "motion"):
        left, right = getattr(table, name)[0::2], getattr(table, name)[1::2]
        assert (left[:, 0] == -right[:, 0]).all()
        assert (left[:, 1] == right[:, 1]).all()
    assert (table.radius[0::2] == table.radius[1::2]).all()
    assert table.unit.unique().tolist() == list(range(len(ACTION_UNITS)))
    assert all(bump.anchor in ANCHORS for bumps in MUSCLES.values() for bump in bumps)
