"""face-alignment's own code, with a stub instead of its two networks, whose weights must be fetched.

Detection is a list of boxes. The landmark network is a stub that *reads the frame*: pixel (x, y) of the test frame
has the color (x, y, 200), so the stub can put each heatmap's peak where the crop shows the color of a wanted point.
The package's cropping, decoding and mapping back must all be right for the points to come out.
"""

import urllib.error
import warnings
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from htnet.core.errors import MultipleFacesError, NoFaceError, WeightsError
from htnet.core.types import TEMPLATE_28, Frame, Landmarks
from htnet.preprocess import CachedLandmarker, FaceAlignmentLandmarker, estimate_68, landmarks_68

# Looked for, not imported: that takes seconds, also of those who leave slow tests out.
for name in ("numba", "face_alignment"):
    if find_spec(name) is None:
        pytest.skip(f"needs {name}; see the Makefile for how to install it", allow_module_level=True)
VERSION = version("face-alignment")
if tuple(map(int, VERSION.split(".")[:2])) < (1, 5):
    pytest.skip(f"the stubs fit face-alignment 1.5, not {VERSION}", allow_module_level=True)

pytestmark = pytest.mark.slow

SIDE, INSIDE = 250, 200


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_compiled():
    """What numba would compile for face-alignment takes longer than the tests do."""
    from numba.core import config

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_DISABLE_JIT", "1")
        config.reload_config()
        yield
    config.reload_config()


RAMP = np.arange(SIDE, dtype=np.uint8)
BLANK = Frame(np.full((SIDE, SIDE, 3), 255, np.uint8), "blank.png")


def coordinate_frame():
    pixels = np.full((SIDE, SIDE, 3), INSIDE, np.uint8)
    pixels[..., 0], pixels[..., 1] = RAMP[None, :], RAMP[:, None]
    return Frame(pixels, "ramp.png")


def a_face(rng):
    """68 points in frame px, and the detector's box about them, off by a few px."""
    five = np.array(TEMPLATE_28) * rng.uniform(3, 5) + rng.uniform(40, 70, 2)
    points = estimate_68(Landmarks(five, "drawn")).points + rng.normal(0, 1, (68, 2)).astype(np.float32)
    box = np.concatenate([points.min(0), points.max(0)]) + rng.uniform(-4, 4, 4)
    return points, [*box, 0.99]


class Detector:
    """Boxes by frame: blank frames have none."""

    reference_scale = 195

    def __init__(self, **settings):
        self.boxes, self.batches = [], []

    def detect_from_image(self, image):
        assert image.shape[1:] == (SIDE, 3)
        return [] if image.min() == 255 else self.boxes

    def detect_from_batch(self, images):
        self.batches.append(len(images))
        return [self.detect_from_image(image.numpy().transpose(1, 2, 0)) for image in images]


class Network(torch.nn.Module):
    """Heatmaps (B, 68, 64, 64) with their peaks where the crop's colors say that ``points`` are."""

    def forward(self, crops):
        x, y, inside = torch.nn.functional.interpolate(crops, 64, mode="area").mul(255).split(1, dim=1)
        wanted = torch.as_tensor(self.points)
        away = (x - wanted[None, :, 0, None, None]) ** 2 + (y - wanted[None, :, 1, None, None]) ** 2
        # Across the frame's edge colors fade to black, past those of points that are elsewhere.
        return torch.exp(-(away + 100 * (inside - INSIDE) ** 2) / 200)


@pytest.fixture
def stubbed(monkeypatch):
    """The package with both networks replaced, and what was built."""
    import face_alignment.detection.sfd as sfd
    from face_alignment import FaceAlignment

    built = []
    monkeypatch.setattr(sfd, "FaceDetector", Detector)

    def load(self, name, *settings):
        built.append(name)
        return Network()

    monkeypatch.setattr(FaceAlignment, "_load_native", load)
    return built


def landmarker_for(points, boxes, **settings):
    landmarker = FaceAlignmentLandmarker(**settings)
    network = landmarker._load()
    network.face_detector.boxes = boxes
    network.face_alignment_net.points = points
    return landmarker


def cell(box):
    """Side of one heatmap cell in frame px: 200 px of the package's scale over 64 cells."""
    return (box[2] - box[0] + box[3] - box[1]) / 195 * 200 / 64


def test_the_points_that_the_heatmaps_encode_come_back(stubbed, rng):
    for _ in range(5):
        points, box = a_face(rng)
        found = landmarker_for(points, [box]).points68(coordinate_frame())
        assert (found.source, found.estimated, found.score) == ("face-alignment", False, None)
        error = found.points - points
        # A quarter of a cell is what decoding can tell; px of the frame are whole numbers.
        assert np.abs(error).max() < 0.5 * cell(box) + 1
        assert np.abs(error.mean(axis=0)).max() < 0.5 * cell(box)
    assert stubbed == ["2DFAN-4"] * 5


def test_five_points_are_those_of_the_68(stubbed, rng):
    points, box = a_face(rng)
    landmarker = landmarker_for(points, [box])
    frame = coordinate_frame()
    all_points = landmarks_68(landmarker, frame)
    np.testing.assert_array_equal(landmarker(frame).points, all_points.five().points)
    wanted = [points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]]
    assert np.abs(landmarker(frame).points - wanted).max() < 0.5 * cell(box) + 1


def test_of_several_faces_the_largest_is_taken(stubbed, rng):
    """Every crop shows the same wanted points; a face far from them has its peaks at the crop's nearest edge."""
    points, box = a_face(rng)
    left, top, right, bottom, score = box
    small = [left, top, left + 0.3 * (right - left), top + 0.3 * (bottom - top), score]
    boxes = [small, box]
    found = landmarker_for(points, boxes).points68(coordinate_frame())
    assert np.abs(found.points - points).max() < 0.5 * cell(box) + 1
    with pytest.raises(MultipleFacesError, match=r"2 faces in ramp\.png"):
        landmarker_for(points, boxes, several="raise")(coordinate_frame())


def test_a_frame_without_a_face_is_an_error_and_no_warning_besides(stubbed, rng):
    points, box = a_face(rng)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(NoFaceError, match=r"blank\.png"):
            landmarker_for(points, [box]).points68(BLANK)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_sequence_gives_what_single_frames_give(stubbed, batch_size, rng):
    points, box = a_face(rng)
    left, top, right, bottom, score = box
    far = [left, top, left + 0.3 * (right - left), top + 0.3 * (bottom - top), score]
    landmarker = landmarker_for(points, [far, box])
    frames = [coordinate_frame(), BLANK, *[coordinate_frame()] * 3]
    single = landmarker.points68(frames[0]).points
    found = list(landmarker.many68(frames, missing="none", batch_size=batch_size))
    assert [item is None for item in found] == [False, True, False, False, False]
    for item in (found[0], *found[2:]):
        np.testing.assert_array_equal(item.points, single)
    five = list(landmarker.many(frames, missing="none", batch_size=batch_size))
    np.testing.assert_array_equal(five[4].points, found[4].five().points)
    assert five[1] is None
    assert landmarker._network.face_detector.batches == ([] if batch_size == 1 else [3, 2, 3, 2])


def test_batches_hold_frames_of_one_size(stubbed, rng):
    points, box = a_face(rng)
    landmarker = landmarker_for(points, [box])
    full = coordinate_frame()
    high = Frame(np.ascontiguousarray(full.pixels[:-1]), "less high.png")
    found = list(landmarker.many68([full, full, high, full], batch_size=3))
    assert landmarker._network.face_detector.batches == [2, 1, 1]
    for item in found:
        np.testing.assert_array_equal(item.points, landmarker.points68(full).points)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_missing_face_is_named_by_its_number_and_those_before_are_given(stubbed, batch_size, rng):
    points, box = a_face(rng)
    frames = [coordinate_frame()] * 3 + [BLANK]
    found = landmarker_for(points, [box]).many68(frames, batch_size=batch_size)
    assert len([next(found) for _ in range(3)]) == 3
    with pytest.raises(NoFaceError, match=r"^Frame 3 \(counted from 0\): No face found in blank\.png"):
        next(found)


def test_the_cache_keeps_68_points_and_five(stubbed, tmp_path, rng):
    points, box = a_face(rng)
    landmarker = landmarker_for(points, [box])
    cached = CachedLandmarker(landmarker, tmp_path)
    first = cached.points68(coordinate_frame())
    landmarker._network = None  # any use would now build it anew
    np.testing.assert_array_equal(cached.points68(coordinate_frame()).points, first.points)
    assert stubbed == ["2DFAN-4"]
    assert landmarker.identity()["face_alignment"] == VERSION


def test_weights_that_cannot_be_fetched_are_a_typed_error(monkeypatch):
    import face_alignment.detection.sfd.sfd_detector as detector

    def offline(url, **settings):
        raise urllib.error.URLError(OSError(113, "No route to host"))

    monkeypatch.setattr(detector, "load_state_dict_from_url", offline)
    with pytest.raises(WeightsError, match=r"no route to host.*TORCH_HOME"):
        FaceAlignmentLandmarker()(coordinate_frame())


def test_nothing_is_compiled(stubbed, rng):
    """Version 1.5 compiles unless told not to."""
    points, box = a_face(rng)
    assert isinstance(landmarker_for(points, [box])._network.face_alignment_net, Network)
