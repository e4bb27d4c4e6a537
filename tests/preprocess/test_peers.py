"""Tables of OpenFace and py-feat: which row is a frame's, and which rows are refused."""

import numpy as np
import pytest

from htnet.core.errors import LandmarkError
from htnet.core.types import Frame
from htnet.data import Manifest, Sample
from htnet.pipeline.predictor import Predictor
from htnet.preprocess import MEAN_SHAPE_28, Preprocessor, landmarks_68, make_landmarker, open_video, read_frame, spot
from htnet.preprocess.landmarks import PeerLandmarks, landmark_table
from tests.support.pairs import QUICK, face, save, tiny_model
from tests.support.videos import write_video

POINTS = MEAN_SHAPE_28 * 8  # of a 224 px face
NAMES = [f"{axis}_{i}" for axis in "xy" for i in range(68)]
IMAGE = face(224)


def openface(path, frames, *, failed=(), faces=1, shift=1.0):
    """As OpenFace 2 writes it: blanks before names, frames from 1; frame n is shifted by n * ``shift`` px."""
    lines = [", ".join(["frame", "face_id", "timestamp", "confidence", "success", "gaze_0_x", *NAMES, "X_0", "AU01_r"])]
    for frame in frames:
        for who in range(faces):
            points = np.round(POINTS + frame * shift, 1).T.ravel().tolist()
            good = frame not in failed
            head = [frame, who, 0.04 * frame, 0.98 if good else 0, int(good), 0.1]
            lines.append(", ".join(map(str, [*head, *points, 3.5, 0.0])))
    path.write_text("\n".join(lines) + "\n")
    return path


def pyfeat(path, frames, inputs):
    """As py-feat writes it: frames from 0, the image or video in ``input``."""
    lines = [",".join(["frame", "FaceRectX", "FaceScore", *NAMES, "AU01", "input"])]
    for frame, source in zip(frames, inputs, strict=True):
        points = np.round(POINTS + frame, 1).T.ravel().tolist()
        lines.append(",".join(map(str, [frame, 12.5, 0.99, *points, 0.1, source])))
    path.write_text("\n".join(lines) + "\n")
    return path


def five(frame):
    """Where the nose lies in the row of frame ``frame``."""
    return POINTS[30] + frame


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("clip") / "clip.avi", [IMAGE] * 14)


def test_one_row_serves_any_frame(tmp_path):
    table = make_landmarker(str(openface(tmp_path / "one.csv", [7])))
    found = table(Frame(IMAGE, "somewhere.png"))
    np.testing.assert_allclose(found.points[2], five(7), atol=0.1)
    assert found.score == 0.98
    measured = landmarks_68(table, Frame(IMAGE))
    assert not measured.estimated
    assert measured.points.shape == (68, 2)


def test_one_row_of_another_file_or_frame_is_refused(tmp_path, clip):
    table = PeerLandmarks(pyfeat(tmp_path / "p.csv", [0], ["/there/a.png"]))
    np.testing.assert_allclose(table(Frame(IMAGE, "/here/A.jpg")).points[2], five(0), atol=0.1)
    table(Frame(IMAGE, "array"))
    save(tmp_path / "alone" / "onset.png", IMAGE)
    PeerLandmarks(openface(tmp_path / "cut.csv", [7]))(read_frame(tmp_path / "alone" / "onset.png"))
    PeerLandmarks(pyfeat(tmp_path / "v.csv", [7], ["clip.mp4"]))(Frame(IMAGE, "onset.png"))
    with pytest.raises(LandmarkError, match=r"has the points of a\.png, not of b\.png"):
        table(Frame(IMAGE, "/here/b.png"))
    with pytest.raises(LandmarkError, match=r"not of clip\.avi"):
        spot(clip, str(table.path))
    only = openface(tmp_path / "o.csv", [1])
    assert spot(clip, str(only)).landmarks.score == 0.98
    with pytest.raises(LandmarkError, match="points of frame 1, but those of frame 6 are needed"):
        spot(open_video(clip, from_frame=5), str(only))
    with pytest.raises(LandmarkError, match="but those of frame 100"):
        PeerLandmarks(only)(Frame(IMAGE, "x.png"), "frame:100")


def test_success_with_a_low_confidence_is_refused_or_told(tmp_path):
    path = openface(tmp_path / "o.csv", [1])
    text = path.read_text()
    for confidence, code in ((0.75, None), (0.5, "doubtful_points")):
        path.write_text(text.replace("0.98, 1", f"{confidence}, 1"))
        codes = [warning.code for warning in PeerLandmarks(path)(Frame(IMAGE)).warnings]
        assert codes == ([code] if code else [])
    path.write_text(text.replace("0.98, 1", "0.05, 1"))
    with pytest.raises(LandmarkError, match="confidence of 0.05"):
        PeerLandmarks(path)(Frame(IMAGE))


def test_frames_counted_from_0_beside_a_column_of_success(tmp_path, clip):
    path = openface(tmp_path / "o.csv", range(14))
    for first in (0, 3):
        found = spot(open_video(clip, from_frame=first), str(path)).landmarks
        np.testing.assert_allclose(found.points[2], five(first), atol=0.1)


@pytest.mark.parametrize("first", [0, 3])
@pytest.mark.parametrize("kind", ["openface", "pyfeat"])
def test_a_video_takes_the_row_of_its_first_frame(tmp_path, clip, kind, first):
    if kind == "openface":
        path = openface(tmp_path / "o.csv", range(1, 15))
    else:
        path = pyfeat(tmp_path / "p.csv", range(14), ["clip.avi"] * 14)
    video = open_video(clip, from_frame=first)
    found = spot(video, str(path)).landmarks
    np.testing.assert_allclose(found.points[2], five(first + (kind == "openface")), atol=0.1)


def test_images_of_a_folder_are_counted_as_openface_sorts_them(tmp_path):
    """img10 comes before img2, unlike in htnet's own order."""
    names = [f"img{i}.png" for i in range(1, 13)]
    for name in names:
        save(tmp_path / "frames" / name, IMAGE)
    path = openface(tmp_path / "o.csv", range(1, 13))
    for name in ("img1.png", "img10.png", "img2.png"):
        frame = read_frame(tmp_path / "frames" / name)
        place = sorted(names).index(name) + 1
        np.testing.assert_allclose(PeerLandmarks(path)(frame).points[2], five(place), atol=0.1)
    (tmp_path / "frames" / "img3.png").unlink()
    with pytest.raises(LandmarkError, match="12 rows, and nothing says which"):
        PeerLandmarks(path)(read_frame(tmp_path / "frames" / "img1.png"))


WAYS = {
    "pair": lambda path, onset: Preprocessor(QUICK).pair(onset, onset, path).landmarks,
    "landmarker": lambda path, onset: Predictor(tiny_model(), landmarks=str(path)).pair(onset, onset).landmarks,
    "manifest": lambda path, onset: (
        next(
            iter(
                Predictor(tiny_model()).manifest(
                    Manifest((Sample(sample="12", onset=onset, apex=onset, landmarks=path),))
                )
            )
        ).landmarks
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_pyfeat_names_the_image_of_a_row_on_every_way(tmp_path, way):
    images = [save(tmp_path / f"{name}.png", IMAGE) for name in ("a", "b")]
    path = pyfeat(tmp_path / "p.csv", [0, 1], ["/elsewhere/a.png", "C:\\there\\b.png"])
    for number, image in enumerate(images):
        np.testing.assert_allclose(WAYS[way](path, image).points[2], five(number), atol=0.1)


@pytest.mark.parametrize("way", WAYS)
def test_a_row_is_never_guessed_on_any_way(tmp_path, way):
    image = save(tmp_path / "frames" / "onset.png", IMAGE)
    path = openface(tmp_path / "o.csv", range(1, 20))
    with pytest.raises(LandmarkError, match="nothing says which row belongs to"):
        WAYS[way](path, image)


@pytest.mark.parametrize("way", WAYS)
def test_a_failed_row_is_refused_on_every_way(tmp_path, way):
    image = save(tmp_path / "frames" / "onset.png", IMAGE)
    path = openface(tmp_path / "o.csv", [1], failed=[1])
    with pytest.raises(LandmarkError, match=r"o\.csv line 2: no face was found"):
        WAYS[way](path, image)


def test_two_faces_of_one_frame_and_frames_beyond_the_file_are_refused(tmp_path, clip):
    two = openface(tmp_path / "two.csv", range(1, 15), faces=2)
    with pytest.raises(LandmarkError, match="2 faces for"):
        spot(open_video(clip), str(two))
    short = openface(tmp_path / "short.csv", [5, 6])
    with pytest.raises(LandmarkError, match="has no row of frame 1 "):
        spot(open_video(clip), str(short))


@pytest.mark.slow
def test_commands_name_the_frame_or_the_sample(tmp_path, succeed, fail):
    image = save(tmp_path / "frames" / "onset.png", IMAGE)
    path = openface(tmp_path / "o.csv", range(1, 20), shift=0.1)
    words = ["predict", image, image, "--landmarks", path]
    assert "--sample frame:N" in fail(*words)
    succeed(*words, "--sample", "frame:3")
    assert "no row of frame 33" in fail(*words, "--sample", "frame:33")
    header = "sample," + ",".join(
        f"{n}_{a}" for n in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth") for a in "xy"
    )
    row = ",".join(map(str, [62, 66, 160, 62, 113, 118, 73, 162, 153, 159]))
    table = tmp_path / "table.csv"
    table.write_text(f"{header}\ns1,{row}\n")
    words[-1] = table
    succeed(*words)
    table.write_text(f"{header}\ns1,{row}\ns2,{row}\n")
    assert "(--sample)" in fail(*words)
    succeed(*words, "--sample", "s2")
    assert "Did you mean" in fail(*words, "--sample", "s3")


def test_a_table_that_changes_is_read_again(tmp_path):
    frame = Frame(IMAGE, "onset.png")
    path = openface(tmp_path / "o.csv", [1])
    before = landmark_table(path)(frame).points
    openface(path, [12])
    np.testing.assert_allclose(landmark_table(path)(frame).points, before + 11, atol=0.1)


def test_a_mesh_of_more_points_is_no_table_of_68(tmp_path):
    """py-feat's MPDetector names 478 points x_0 ... x_477; here the first 68 even lie like iBUG's."""
    points = {f"{axis}_{i}": 9.0 for i in range(478) for axis in "xyz"}
    points |= dict(zip(NAMES, POINTS.T.ravel().tolist(), strict=True))
    rows = [["frame", "FaceScore", *points, "input"], [0, 0.99, *points.values(), "onset.png"]]
    path = tmp_path / "mesh.csv"
    path.write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
    for read in (PeerLandmarks, landmark_table, make_landmarker):
        with pytest.raises(LandmarkError, match="478 points per face.*Detectorv1.*--landmarks yunet"):
            read(str(path))
