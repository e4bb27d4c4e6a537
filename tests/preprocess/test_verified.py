"""Points are checked wherever they come from: order, pose, and whether the face lies turned in the frame."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut, camera, chelsea

import htnet
from htnet import Predictor
from htnet.core.errors import InputError, LandmarkError, MultipleFacesError, PoseError
from htnet.core.types import Frame, Landmarks, Landmarks68, PreprocessSpec
from htnet.data import Manifest, Sample
from htnet.hub import save_pretrained
from htnet.preprocess import (
    CachedLandmarker,
    PrecomputedLandmarks,
    Preprocessor,
    RegionCropper,
    YuNetLandmarker,
    crop_regions,
    face_regions,
    fit_alignment,
    make_landmarker,
    motion_features,
    published_input,
    read_frame,
    remove_head_motion,
    spot,
    verified,
)
from htnet.preprocess.__main__ import main as make_image
from htnet.preprocess.landmarks.detector import YuNet
from htnet.preprocess.pose import check_order, face_shape, pose_warnings
from tests.support.pairs import QUICK, save, tiny_model
from tests.support.paths import COMPOSITE, needs_shared
from tests.support.wings import of_wings, with_wings

PORTRAIT = astronaut()[:300, 80:380]
TRUE = np.array([[123, 101], [166, 103], [143, 126], [123, 140], [164, 141]], np.float32)
SWAPPED = TRUE[[0, 1, 2, 4, 3]]


def turned(frame, quarter):
    return np.ascontiguousarray(np.rot90(frame, quarter))


# Every way in which points reach a frame: called with the frame's pixels and a source of points.
WAYS = {
    "pair": lambda rgb, points: Preprocessor(QUICK).pair(rgb, rgb, points(rgb)).landmarks,
    "published": lambda rgb, points: published_input(rgb, rgb, points(rgb), flow="dis", face_size=64).landmarks,
    "predictor": lambda rgb, points: Predictor(tiny_model()).pair(rgb, rgb, points(rgb)).landmarks,
    "manifest": lambda rgb, points: _manifest(rgb, points),
    "spot": lambda rgb, points: spot([rgb] * 8, points(rgb)).landmarks,
    "motion": lambda rgb, points: motion_features([rgb] * 2, points(rgb), PreprocessSpec(flow="dis", face_size=64)),
}
WAYS = with_wings("verified", "WAYS", WAYS)


def _manifest(rgb, points):
    def landmarker(frame, sample=""):
        return points(frame.pixels)

    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = save(Path(folder) / "frame.png", rgb)
        sample = Sample(sample="s", onset=path, apex=path)
        found = list(Predictor(tiny_model(), landmarks=landmarker).manifest(Manifest((sample,))))
    return found[0].landmarks


def given(points):
    return lambda rgb: Landmarks(points, "points.json")


@pytest.mark.parametrize("way", WAYS)
def test_exchanged_points_are_refused_on_every_way(way):
    with pytest.raises(LandmarkError, match=r"points\.json are not arranged like those of a face: the corners of the"):
        WAYS[way](PORTRAIT, given(SWAPPED))


@pytest.mark.parametrize("way", WAYS)
def test_an_upside_down_face_is_refused_on_every_way(way):
    upside_down = turned(PORTRAIT, 2)
    upright = 299 - TRUE[[1, 0, 2, 4, 3]]
    upright[:, 1] = upright[:, 1].mean() * 2 - upright[:, 1]  # as a detector gives them: in the face, but upright
    with pytest.raises(PoseError, match=r"is upside down: .*180 degrees clockwise\. Rotate the frame by"):
        WAYS[way](upside_down, given(upright))


@pytest.mark.parametrize("way", WAYS)
def test_right_points_pass_on_every_way(way):
    WAYS[way](PORTRAIT, given(TRUE))


@pytest.mark.parametrize(
    "change",
    [[1, 0, 2, 3, 4], [0, 1, 2, 4, 3], [1, 0, 2, 4, 3], [3, 4, 2, 0, 1], [2, 1, 0, 3, 4]],
)
def test_no_other_order_of_the_points_passes(change):
    check_order(TRUE, "mine")
    with pytest.raises(LandmarkError, match="from mine"):
        check_order(TRUE[change], "mine")
    with pytest.raises(LandmarkError):
        fit_alignment(Landmarks(TRUE[change], "mine"))
    with pytest.raises(LandmarkError):
        check_order(TRUE[:, ::-1], "mine")


@pytest.mark.parametrize("angle", range(0, 360, 30))
def test_order_and_pose_do_not_depend_on_how_the_face_lies(angle):
    z = (TRUE @ [1, 1j]) * np.exp(1j * np.radians(angle)) * 1.7 + 40j
    points = np.stack([z.real, z.imag], axis=1)
    check_order(points, "mine")
    assert face_shape(points).turn == pytest.approx(face_shape(TRUE).turn)
    assert (face_shape(points).roll - angle - face_shape(TRUE).roll + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("quarter", [1, 2, 3])
@pytest.mark.parametrize("side", [150, 300, 900])
def test_yunet_refuses_a_portrait_that_lies_turned(quarter, side):
    rgb = cv2.resize(PORTRAIT, (side, side), interpolation=cv2.INTER_AREA if side < 300 else cv2.INTER_CUBIC)
    frame = Frame(turned(rgb, quarter), "turned.png")
    words = {1: "90 degrees counterclockwise", 2: "180 degrees", 3: "90 degrees clockwise"}[quarter]
    with pytest.raises(PoseError, match=rf"turned\.png is .*rotated by about {words}"):
        YuNetLandmarker()(frame)


def test_given_points_that_know_how_the_face_lies_pass():
    points = np.stack([TRUE[:, 1], 299 - TRUE[:, 0]], axis=1)  # turned with the frame, a quarter counterclockwise
    found = verified(Landmarks(points, "mine"), Frame(turned(PORTRAIT, 1)))
    assert found.verified
    assert found.warnings == ()


def test_given_points_of_a_level_face_need_one_look(monkeypatch):
    faces, looks = YuNet.faces, []
    monkeypatch.setattr(YuNet, "faces", lambda self, pixels: looks.append(pixels.shape) or faces(self, pixels))
    assert verified(Landmarks(TRUE, "mine"), Frame(PORTRAIT)).warnings == ()
    assert looks == [(224, 224, 3)]


def test_points_upside_down_on_an_upright_face_are_refused():
    with pytest.raises(PoseError, match="from portrait|in portrait"):
        verified(Landmarks(TRUE[[4, 3, 2, 1, 0]], "mine"), Frame(PORTRAIT, "portrait.png"))


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_points_of_a_picture_before_its_exif_orientation_are_refused(quarter, tmp_path):
    orientation = {1: 6, 2: 3, 3: 8}[quarter]
    picture = Image.fromarray(turned(PORTRAIT, quarter))  # as a camera stores it that is held turned
    picture.getexif()[0x0112] = orientation
    path = tmp_path / "phone.png"
    picture.save(path, exif=picture.getexif())
    turn = (TRUE @ [1, 1j] - 149.5 * (1 + 1j)) * (-1j) ** quarter + 149.5 * (1 + 1j)
    stored = np.stack([turn.real, turn.imag], axis=1)
    verified(Landmarks(TRUE, "shown.json"), read_frame(path))
    degrees = {1: 90, 2: 180, 3: 90}[quarter]
    message = r"phone\.png is upright, but its points from stored\.json are .* orientation applied \(300x300 px\)"
    with pytest.raises(PoseError, match=message) as error:
        verified(Landmarks(stored, "stored.json"), read_frame(path))
    said = int(str(error.value).split("rotated by about ")[1].split()[0])
    assert abs(said - degrees) <= 5


def seen(scale=1.0, shift=0.0, mouth=0.0):
    """YuNet's points of the portrait, scaled about their middle and moved down, in eye distances; the mouth more."""
    points = YuNetLandmarker()(Frame(PORTRAIT)).points
    eyes = np.hypot(*(points[1] - points[0]))
    down = eyes * (shift + np.array([0, 0, 0, mouth, mouth]))
    return (points - points.mean(axis=0)) * scale + points.mean(axis=0) + np.outer(down, [0, 1])


@pytest.mark.parametrize("way", [way for way in WAYS if way != "motion"])
@pytest.mark.parametrize("change", [{"shift": 0.28}, {"scale": 1.25}, {"scale": 0.8}, {"mouth": 0.3}])
def test_given_points_that_disagree_with_the_detector_are_flagged_on_every_way(way, change):
    points = seen(**change).astype(np.float32)
    found = WAYS[way](PORTRAIT, lambda rgb: Landmarks(points, "points.csv"))
    (warning,) = [w for w in found.warnings if w.code == "points_disagree"]
    assert "points.csv" in warning.message


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("change", [{"shift": 0.8}, {"mouth": 0.6}])
def test_given_points_that_belong_elsewhere_are_refused_on_every_way(way, change):
    with pytest.raises(LandmarkError, match=r"points\.csv are not on the face"):
        WAYS[way](PORTRAIT, lambda rgb: Landmarks(seen(**change).astype(np.float32), "points.csv"))


@pytest.mark.parametrize("way", [way for way in WAYS if way != "motion"])
@pytest.mark.parametrize("times", [3, 4])
def test_given_points_of_the_frame_at_another_size_are_refused_on_every_way(way, times):
    large = cv2.resize(PORTRAIT, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
    message = rf"No upright face is detected at the points from points\.json, but one .* {300 * times}x{300 * times} px"
    with pytest.raises(LandmarkError, match=message) as error:
        WAYS[way](large, given(TRUE))
    assert float(str(error.value).split("multiplied by ")[1].split(":")[0]) == pytest.approx(times, rel=0.03)


def test_points_of_a_small_frame_are_not_taken_for_a_turned_face():
    """On this portrait, enlarged, YuNet takes what lies at the points for a face that is upside down."""
    onset = read_frame(Path(htnet.__file__).parent / "assets" / "sample" / "onset.png")
    points = YuNetLandmarker()(onset).points
    large = Frame(cv2.resize(onset.pixels, (672, 672), interpolation=cv2.INTER_CUBIC), "large.png")
    with pytest.raises(LandmarkError, match=r"but one in another place in large\.png .*multiplied by (2\.9|3)"):
        verified(Landmarks(points, "small.json"), large)


def test_given_points_beside_the_face_are_flagged():
    wide = np.concatenate([PORTRAIT, np.full_like(PORTRAIT, 128)], axis=1)
    found = verified(Landmarks(TRUE + np.float32([300, 0]), "mine"), Frame(wide, "wide.png"))
    (warning,) = [w for w in found.warnings if w.code == "points_disagree"]
    assert "but one in another place in wide.png" in warning.message
    empty = Frame(np.full((300, 300, 3), 128, np.uint8))
    assert verified(Landmarks(TRUE, "mine"), empty).warnings == ()


def test_points_of_the_less_certain_of_two_faces_agree_with_it(two_faces):
    for face in (1, 2):
        points = YuNetLandmarker(several=face)(two_faces).points
        assert verified(Landmarks(points, "mine"), two_faces).warnings == ()


#: The portrait cut at a line that runs so many px inside (positive: outside) of an eye or mouth corner.
CUTS = {
    "left": lambda room: astronaut()[:300, 200 - room : 480],
    "right": lambda room: astronaut()[:300, 0 : 248 + room],
    "upper": lambda room: astronaut()[102 - room : 380, 80:380],
    "lower": lambda room: astronaut()[: 145 + room, 80:380],
}


def detected(rgb):
    return YuNetLandmarker()(Frame(rgb, "cut.png"))


@pytest.mark.parametrize("edge", CUTS)
def test_a_face_that_the_edge_cuts_off_is_refused_or_flagged(edge):
    with pytest.raises(PoseError, match=f"cut off by the {edge} edge"):
        detected(CUTS[edge](-6))
    try:
        codes = [w.code for w in detected(CUTS[edge](7)).warnings]
    except PoseError:
        codes = ["face_cut_off"]
    assert "face_cut_off" in codes
    assert detected(CUTS[edge](29)).warnings == ()


@pytest.mark.parametrize("way", WAYS)
def test_a_cut_off_face_is_refused_on_every_way(way):
    with pytest.raises(PoseError, match="cut off by the left edge"):
        WAYS[way](np.ascontiguousarray(CUTS["left"](-6)), detected)


def test_a_small_face_is_told():
    for side, told in ((100, True), (200, False)):
        rgb = cv2.resize(PORTRAIT, (side, side), interpolation=cv2.INTER_AREA)
        assert ("small_face" in [w.code for w in YuNetLandmarker()(Frame(rgb)).warnings]) == told


def test_profiles_are_refused_and_half_profiles_flagged():
    with pytest.raises(PoseError, match="seen from the side"):
        YuNetLandmarker()(Frame(np.repeat(camera()[..., None], 3, axis=2), "camera.png"))
    half = TRUE + np.array([[0, 0], [0, 0], [16, 0], [0, 0], [0, 0]])
    (warning,) = pose_warnings(Landmarks(half, "mine"), "half.png")
    assert warning.code == "pose"
    assert "image's right" in warning.message


@pytest.mark.parametrize("degrees", [-45, -40, -35, -30, -25, -15, 0, 15, 25, 30, 35, 40, 45])
def test_a_tilted_head_is_flagged_or_refused(degrees):
    """YuNet takes a tilt of 35 degrees for one of 7, with points that are off by 0.27 eye distances."""
    matrix = cv2.getRotationMatrix2D((145.0, 120.0), degrees, 1.0)
    frame = Frame(cv2.warpAffine(PORTRAIT, matrix, (300, 300)), "tilted.png")
    try:
        codes = [w.code for w in YuNetLandmarker()(frame).warnings]
    except PoseError as error:
        codes = ["refused"]
        told = int(re.search(r"about (\d+) degrees", str(error)).group(1))
        assert abs(told - abs(degrees)) <= 15
    if abs(degrees) <= 15:
        assert codes == []
    if abs(degrees) >= 30:
        assert codes in (["turned_face"], ["refused"])


def test_a_cat_gives_no_upright_face():
    with pytest.raises(LandmarkError):
        YuNetLandmarker()(Frame(chelsea(), "cat.png"))


def test_verified_once_and_kept_by_cache_and_68(tmp_path, monkeypatch):
    frame = Frame(PORTRAIT, "portrait.png")
    cached = CachedLandmarker(YuNetLandmarker(), tmp_path)
    first, second = cached(frame), cached(frame)
    assert first.verified
    assert second.verified
    assert (first.faces, second.faces) == (1, 1)
    from htnet.preprocess.landmarks import verify

    monkeypatch.setattr(verify, "_checked", lambda *_: pytest.fail("looked at again"))
    assert verified(second, frame) is second


@needs_shared
@pytest.mark.parametrize("table", ["landmarks_yunet_224px.csv", "landmarks_dlib68_224px.csv"])
def test_no_face_of_the_composite_set_is_refused_or_flagged(table):
    import csv

    count = 0
    with (COMPOSITE / table).open() as file:
        for row in csv.DictReader(file):
            values = np.array([float(v) for k, v in row.items() if k not in ("sample", "score")]).reshape(-1, 2)
            five = Landmarks(values, table) if len(values) == 5 else Landmarks68(values, table).five()
            check_order(five.points, row["sample"])
            assert pose_warnings(five, row["sample"]) == ()
            count += 1
    assert count == 442


@pytest.fixture(scope="module")
def two_faces():
    """A small face left, a larger one right."""
    wide = np.zeros((300, 600, 3), np.uint8)
    wide[40:260, 0:220] = cv2.resize(PORTRAIT, (220, 220), interpolation=cv2.INTER_AREA)
    wide[:, 300:] = PORTRAIT
    return Frame(wide, "two.png")


def test_which_of_several_faces_was_taken_is_said_and_can_be_chosen(two_faces):
    found = make_landmarker("yunet")(two_faces)
    assert found.faces == 2
    (warning,) = found.warnings
    assert warning.code == "several_faces"
    assert "2 faces were found in two.png; the largest was used, number 2 from the image's left" in warning.message
    left, right = (make_landmarker("yunet", face=n)(two_faces) for n in (1, "2"))
    assert left.points[:, 0].max() < 220
    assert (right.points == found.points).all()
    assert left.warnings == right.warnings == ()
    for face, message in (("only", "2 faces in"), (3, r"There are 2 faces in .* but face 3")):
        with pytest.raises(MultipleFacesError, match=message):
            make_landmarker("yunet", face=face)(two_faces)


@pytest.mark.parametrize("face", ["smallest", "0", -1, 1.5, ""])
def test_a_face_that_means_nothing_is_refused(face):
    with pytest.raises(InputError, match=r"largest, only, or a number"):
        make_landmarker("yunet", face=face)


def test_a_choice_that_cannot_be_obeyed_is_refused(tmp_path):
    path = tmp_path / "points.json"
    path.write_text(str(TRUE.tolist()))
    assert isinstance(make_landmarker(str(path)), PrecomputedLandmarks)
    for text in ("template", str(path)):
        with pytest.raises(InputError, match="chooses among the faces that a detector finds"):
            make_landmarker(text, face=1)


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "{two}", "{two}", "--json"],
        *([*words, "{two}", "--json"] for words in of_wings("commands", "OF_ONE_IMAGE")),
    ],
)
def test_commands_take_the_face_that_was_chosen(words, two_faces, tmp_path, succeed, fail):
    two = save(tmp_path / "two.png", two_faces.pixels)
    words = [word.format(two=two) for word in words]
    largest, left = succeed(*words), succeed(*words, "--face", "1")
    assert largest != left
    assert "2 faces in" in fail(*words, "--face", "only")
    assert "but face 7" in fail(*words, "--face", "7")
    assert "chooses among the faces" in fail(*words, "--face", "1", "--landmarks", "template")


def test_spot_takes_the_face_that_was_chosen(two_faces, tmp_path, succeed, fail):
    for number in range(4):
        pixels = two_faces.pixels.copy()
        pixels[::3] //= 1 + (number == 2)
        save(tmp_path / "frames" / f"{number}.png", pixels)
    words = ["spot", str(tmp_path / "frames"), "--json"]
    found = [json.loads(succeed(*words, *more)) for more in ((), ("--face", "1"), ("--face", "2"))]
    points = [tuple(map(str, one["landmarks"]["points"].values())) for one in found]
    assert points[1] != points[2]
    assert points[0] in points[1:]
    assert ["several_faces" in [w["code"] for w in one["warnings"]] for one in found] == [True, False, False]
    assert "2 faces in" in fail(*words, "--face", "only")
    assert "but face 7" in fail(*words, "--face", "7")


def test_the_module_takes_the_face_that_was_chosen(two_faces, tmp_path, capsys):
    two = str(save(tmp_path / "two.png", two_faces.pixels))

    def run(*more):
        done = make_image([two, two, "--flow", "dis", "--out", str(tmp_path / "out.png"), "--overwrite", *more])
        return done, "".join(capsys.readouterr())

    assert "warning: several_faces" in run()[1]
    for number in ("1", "2"):
        done, said = run("--face", number)
        assert done == 0
        assert "several_faces" not in said
    for more, message in ((("--face", "only"), "2 faces in"), (("--face", "7"), "but face 7")):
        done, said = run(*more)
        assert done == 2
        assert message in said


@pytest.mark.parametrize("command", ["prepare", "predict"])
def test_a_face_is_not_chosen_where_every_sample_has_its_own_points(command, two_faces, tmp_path, fail, succeed):
    save(tmp_path / "two.png", two_faces.pixels)
    save_pretrained(tiny_model(), tmp_path / "model")
    (tmp_path / "points.json").write_text(str(YuNetLandmarker()(two_faces).points.tolist()))
    head = "sample,subject,dataset,label,onset,apex,landmarks\n"
    save(tmp_path / "later.png", np.maximum(two_faces.pixels, 9))
    row = "{0},{0},d,negative,two.png,later.png,{1}\n"
    (tmp_path / "all.csv").write_text(head + row.format("a", "points.json") + row.format("b", "points.json"))
    words = {
        "prepare": ["prepare", "manifest", "--out", str(tmp_path / "out"), "--flow", "dis", "--root"],
        "predict": ["predict", "--weights", str(tmp_path / "model"), "--out", str(tmp_path / "o.csv"), "--manifest"],
    }[command]
    said = fail(*words, str(tmp_path / "all.csv"), "--face", "1")
    assert "each of the 2 samples has its own points" in said
    if command == "predict":
        (tmp_path / "some.csv").write_text(head + row.format("a", "points.json") + row.format("b", ""))
        succeed(*words, str(tmp_path / "some.csv"), "--face", "1")


@pytest.mark.parametrize("size", [(300, 300), (300, 400)])
def test_fractions_of_the_sides_are_no_pixels(size):
    """MediaPipe returns them."""
    frame = Frame(np.ascontiguousarray(np.pad(PORTRAIT, ((0, 0), (0, size[1] - 300), (0, 0)))), "portrait")
    fractions = TRUE / [size[1], size[0]]
    with pytest.raises(LandmarkError, match=rf"as fractions of width .* portrait: x times {size[1]}, y times 300\."):
        verified(Landmarks(fractions, "file"), frame)
    with pytest.raises(LandmarkError, match="as fractions of width and height are"):
        Preprocessor(QUICK).pair(frame, frame, Landmarks(fractions, "file"))


def test_fractions_of_the_sides_of_a_flow_image_are_no_pixels():
    fractions, images, uv = TRUE / 300, np.zeros((1, 3, 28, 28), np.float32), np.ones((2, 28, 28), np.float32)
    for call in (
        lambda: crop_regions(torch.from_numpy(images), fractions, "anatomical"),
        lambda: crop_regions(torch.zeros(2, 3, 28, 28), np.stack([TRUE / 300 * 28, fractions]), "anatomical"),
        lambda: RegionCropper(points=fractions),
        lambda: RegionCropper(points=1.3 * fractions / fractions.max()),  # partly outside of the frame
        lambda: face_regions(28, 1.3 * fractions / fractions.max()),
        lambda: remove_head_motion(uv, fractions),
        lambda: face_regions(28, fractions),
    ):
        with pytest.raises(LandmarkError, match="as fractions of the sides are"):
            call()
