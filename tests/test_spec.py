"""Each field of the preprocessing says what it decides; what is listed elsewhere is derived from that."""

import dataclasses

import pytest

from htnet.core.errors import SpecError
from htnet.core.types import SPEC_USES, PreprocessSpec
from htnet.data import Manifest
from htnet.data.prepare import prepare, resolve_spec
from htnet.preprocess import TemplateLandmarks
from htnet.preprocess.video.clip_files import motion_settings
from tests.support.pairs import QUICK, pair_manifest

NAMES = [field.name for field in dataclasses.fields(PreprocessSpec)]


def test_every_field_says_what_it_decides():
    for field in dataclasses.fields(PreprocessSpec):
        assert field.metadata["uses"], field.name
        assert set(field.metadata["uses"]) <= set(SPEC_USES), field.name


def test_each_field_is_baked_into_images_or_read_by_the_network():
    spec = PreprocessSpec()
    image, network, motion = (list(spec.part(use)) for use in SPEC_USES)
    assert sorted(image + network) == sorted(NAMES)
    assert image == ["size", "face_size", "template", "flow", "flow_parameters", "resize", "head_motion", "clahe"]
    assert network == ["layout", "region_points", "channels", "clip_frames"]
    assert set(motion) == set(NAMES) - {"layout", "size", "resize", "channels"}
    assert list(motion_settings(spec)) == motion
    with pytest.raises(SpecError, match="image"):
        spec.part("images")


def test_differences():
    one, other = PreprocessSpec(), PreprocessSpec(flow="dis", layout="whole")
    assert one.differences(other, "image") == {"flow": ("tvl1", "dis")}
    assert other.differences(one, "network") == {"layout": ("whole", "anatomical")}
    assert not one.differences(PreprocessSpec(), "motion")


def test_a_prepared_manifest_says_how_its_images_were_made(tmp_path):
    made = dataclasses.replace(QUICK, clahe=True)
    prepared = prepare(pair_manifest(tmp_path / "frames", 2), tmp_path / "made", made, TemplateLandmarks())
    wanted = PreprocessSpec(layout="whole", clip_frames=4)
    expected = dataclasses.replace(made, layout="whole", clip_frames=4)
    for data in (prepared, prepared.subset([1]), tmp_path / "made", tmp_path / "made" / "manifest.csv"):
        assert resolve_spec(data, wanted) == expected
    assert resolve_spec(Manifest(()), wanted) == wanted, "a manifest that was never a file"


def test_the_order_of_flow_parameters_means_nothing(tmp_path):
    one = PreprocessSpec(flow_parameters=(("warps", 2), ("nscales", 3)))
    assert one == PreprocessSpec(flow_parameters={"nscales": 3, "warps": 2}) == PreprocessSpec.from_dict(one.to_dict())
    assert not one.differences(PreprocessSpec.from_dict(one.to_dict()), "image")
    for wrong in (5, ("warps", 2), [(1, 2)], (("warps", 2), ("warps", 3))):
        with pytest.raises(SpecError, match=r"flow_parameters is .* each name once"):
            PreprocessSpec(flow_parameters=wrong)
    for wrong in ("2", float("nan"), True, None, [2]):
        with pytest.raises(SpecError, match=r"flow_parameters\['warps'\] is .*; give a number"):
            PreprocessSpec(flow_parameters={"warps": wrong})


@pytest.mark.parametrize("template", [["'"], 5, [[1, "x"]], None])
def test_a_template_that_is_no_points_is_refused(template):
    with pytest.raises(SpecError, match="template"):
        PreprocessSpec.from_dict({"template": template})
