"""Folders of frames whose names raise doubts about the frames: missing numbers, two sequences, two formats."""

import pytest

from htnet.core.errors import VideoError
from htnet.preprocess import open_video, spot
from tests.support.pairs import POINTS, face, save


def folder(root, *names):
    picture = face()
    for name in names:
        save(root / name, picture)
    return root


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([f"img{k:03}.png" for k in (1, 2, 3, 5, 6)], "from img003.png to img005.png (1 place; elsewhere by 1)"),
        ([f"img{k}.jpg" for k in (8, 9, 10, 11, 14, 15, 16, 25, 26)], "from img11.jpg to img14.jpg, from img16.jpg to"),
        ([f"006_{k:05}.png" for k in (10, 15, 20, 30)], "(1 place; elsewhere by 5)"),
        (["img1.png", "img01.png", "img2.png", "img3.png"], "from img01.png to img1.png"),
    ],
)
def test_missing_numbers_are_told(tmp_path, names, told):
    video = open_video(folder(tmp_path, *names), fps=100)
    assert [(w.code, told in w.message) for w in video.warnings] == [("frame_gaps", True)]
    assert len(list(video)) == len(names)


@pytest.mark.parametrize(
    "names",
    [
        [f"img{k}.png" for k in (8, 9, 10, 11)],
        [f"img{k}.png" for k in range(0, 20, 4)],
        [f"s03_img{k}.jpg" for k in range(97, 103)],
        [f"{1000 + k}.png" for k in (0, 33, 67, 100, 133)],  # times
        [f"12.{minute}.{second}.png" for minute in (1, 2) for second in range(3)],
        ["onset.png", "apex.png", "offset.png"],
        ["img1.png", "img2.jpg", "img3.bmp"],
        [*(f"img{k}.png" for k in range(4)), "cover.png"],
    ],
)
def test_other_names_raise_no_doubt(tmp_path, names):
    assert open_video(folder(tmp_path, *names)).warnings == ()


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([f"{clip}_{k}.png" for clip in "ab" for k in range(3)], "a_0.png to a_2.png (3); b_0.png to b_2.png (3)"),
        ([f"frame{k}.png" for k in range(-3, 4)], "frame0.png to frame3.png (4)"),  # from a trigger: read backwards
        ([f"img{k}{copy}.png" for k in range(3) for copy in ("", " (1)")], "img0.png to img2.png (3)"),
    ],
)
def test_several_sequences_are_told(tmp_path, names, told):
    (warning,) = open_video(folder(tmp_path, *names)).warnings
    assert (warning.code, told in warning.message) == ("mixed_frames", True)


def test_only_the_part_that_is_read_counts(tmp_path):
    folder(tmp_path, *(f"img{k}.png" for k in (1, 2, 3, 4, 6, 7, 8, 9)))
    assert open_video(tmp_path, to_frame=3).warnings == ()
    assert [w.code for w in open_video(tmp_path, from_frame=2).warnings] == ["frame_gaps"]
    assert "frame_gaps" in [w.code for w in spot(open_video(tmp_path, fps=50), POINTS).warnings]


def test_frames_in_two_formats_are_refused(tmp_path):
    with pytest.raises(VideoError, match=r"img1\.jpg and img1\.png: a frame in two formats"):
        open_video(folder(tmp_path, "img0.png", "img1.jpg", "img1.png"))
