"""Files of several pictures: none is chosen silently."""

import io
import struct

import cv2
import numpy as np
import pytest

from htnet.core.errors import FlowError, FrameError
from htnet.preprocess import read_flow_image, read_frame
from htnet.preprocess.pictures import picture_count

Image = pytest.importorskip("PIL.Image")


def pages(rng, count):
    return [Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)) for _ in range(count)]


def encoded(pictures, form, **options):
    file = io.BytesIO()
    if len(pictures) > 1:
        options |= {"save_all": True, "append_images": pictures[1:]}
    pictures[0].save(file, form, **options)
    return file.getvalue()


FORMS = [
    ("TIFF", {}),
    ("TIFF", {"big_tiff": True}),
    ("PNG", {}),
    ("WEBP", {"lossless": True}),
    ("GIF", {}),
    ("AVIF", {}),
]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize(("form", "options"), FORMS)
def test_pictures_are_counted_as_pillow_counts_them(rng, form, options, count):
    data = encoded(pages(rng, count), form, **options)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture_count(data) == getattr(picture, "n_frames", 1) == count
    if form == "AVIF":  # its main brand may be a more general one
        assert picture_count(data.replace(b"ftypavis", b"ftypmsf1", 1)) == count


@pytest.mark.parametrize("form", ["TIFF", "PNG", "WEBP"])
def test_a_file_of_several_is_refused_and_its_cure_works(rng, tmp_path, form):
    three = pages(rng, 3)
    path = tmp_path / f"onset_apex_offset.{form.lower()}"
    path.write_bytes(encoded(three, form, **({"lossless": True} if form == "WEBP" else {})))
    for source in (path, path.read_bytes()):
        with pytest.raises(FrameError, match=r"contains 3 pictures, a frame is one; .*seek\(0 to 2\)"):
            read_frame(source)
    with Image.open(path) as picture:
        picture.seek(1)
        np.testing.assert_array_equal(read_frame(picture).pixels, np.asarray(three[1]))


def test_a_flow_image_is_one_picture(rng, tmp_path):
    path = tmp_path / "stack.tiff"
    path.write_bytes(encoded(pages(rng, 2), "TIFF"))
    with pytest.raises(FlowError, match="contains 2 pictures, a flow image is one; save each as a file of its own.$"):
        read_flow_image(path)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("tag", "value", "count"), [(254, 1, 1), (254, 4, 1), (254, 0, 2), (254, 2, 2), (255, 2, 1), (255, 3, 2)]
)
def test_thumbnails_and_masks_are_no_pages(order, tag, value, count):
    """Two directories: a full picture, then one of the kind that the tag says."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    full = struct.pack(order + "HHHIHHI", 1, 256, 3, 1, 30, 0, 26)
    kind = struct.pack(order + ("HHII" if tag == 254 else "HHIHxx"), tag, 4 if tag == 254 else 3, 1, value)
    assert picture_count(head + full + struct.pack(order + "H", 1) + kind + bytes(4)) == count


def test_opencv_own_stacks_are_counted_and_broken_files_are_one(rng):
    frames = [rng.integers(0, 256, (20, 30), dtype=np.uint8) for _ in range(4)]
    stack = cv2.imencodemulti(".tiff", frames)[1].tobytes()
    assert picture_count(stack) == 4
    for data in (
        stack[:9],
        b"GIF89a",
        encoded(pages(rng, 2), "GIF")[:40],
        b"",
        b"RIFF\0\0\0\0WEBP",
        stack[:4] + b"\xff" * 4,
    ):
        assert picture_count(data) == 1


def test_a_directory_that_points_to_itself_ends():
    assert picture_count(b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 256, 3, 1, 30, 0, 8)) == 1
