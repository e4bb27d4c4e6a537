"""A video is read once, whatever is made of it."""

import json
from collections import Counter

import numpy as np
import pytest

from htnet import Predictor, cli
from htnet.hub import save_pretrained
from htnet.models import create_model
from htnet.preprocess import displace, open_video
from htnet.preprocess import frames as frame_files
from htnet.preprocess.video import open as videos
from tests.support.pairs import POINTS, QUICK, SIDE, face, face_pair, save, tiny_model
from tests.support.videos import number_of, numbered_video, write_video


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A mouth that opens and closes, as a file and as frames, and the points of the face."""
    folder = tmp_path_factory.mktemp("clip")
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    opened = np.stack([0 * x, 2 * np.exp(-((x - 0.5) ** 2 + (y - 0.8) ** 2) / 0.02)])
    frames = [displace(face(), opened * max(0.0, np.sin((i - 4) / 5))) for i in range(24)]
    write_video(folder / "clip.avi", frames, fps=50)
    for number, frame in enumerate(frames):
        save(folder / "frames" / f"{number}.png", frame)
    (folder / "points.json").write_text(json.dumps(POINTS.tolist()))
    return folder


@pytest.fixture
def reads(monkeypatch):
    """How often each frame is decoded: by number of a video, by name of a file."""
    found = Counter()
    shots, decode = videos.file_shots, frame_files._decode

    def counted(path, reader, read_on):
        for shot in shots(path, reader, read_on):
            found[shot[0]] += 1
            yield shot

    def counted_file(data, path):
        found[path.name] += 1
        return decode(data, path)

    monkeypatch.setattr(videos, "file_shots", counted)
    monkeypatch.setattr(frame_files, "_decode", counted_file)
    return found


def moving_model():
    model = create_model("htnet_dual_stream").eval()
    model.preprocess_spec = QUICK
    return model


@pytest.mark.parametrize("make", [tiny_model, moving_model], ids=["of pairs", "of motion"])
def test_a_video_is_read_once(folder, reads, make):
    answer = Predictor(make()).video(folder / "clip.avi", folder / "points.json")
    assert set(reads.values()) == {1}
    assert len(reads) == len(answer.spotting.curve)
    assert (answer.input.motion is None) == (make is tiny_model)


@pytest.mark.parametrize("make", [tiny_model, moving_model], ids=["of pairs", "of motion"])
def test_a_longer_video_is_answered_alike(folder, reads, make):
    predictor = Predictor(make())
    expected = predictor.video(folder / "clip.avi", folder / "points.json")
    found = predictor.video(open_video(folder / "clip.avi").held(100_000), folder / "points.json")
    assert found.probabilities == expected.probabilities
    assert max(reads.values()) > 2, "it is read where it is needed"


@pytest.mark.parametrize("source", ["clip.avi", "frames"])
def test_the_command_draws_what_it_has_read(folder, tmp_path, reads, source):
    weights = save_pretrained(tiny_model(), tmp_path / "weights")
    words = ["predict", str(folder / source), "--landmarks", str(folder / "points.json"), "--weights", str(weights)]
    assert cli.main([*words, "--plot", str(tmp_path / "p.png")]) == 0
    # The first images of a folder are looked at twice: their size and bit depth are known before the rest is read.
    assert [name for name, count in reads.items() if count > (1 if source == "clip.avi" else 3)] == []
    assert sum(count > 1 for count in reads.values()) <= 1


def test_the_command_reads_a_pair_once(tmp_path, reads):
    files = [str(save(tmp_path / f"{i}.png", frame)) for i, frame in enumerate(face_pair())]
    weights = save_pretrained(tiny_model(), tmp_path / "weights")
    words = ["predict", *files, "--landmarks", "template", "--weights", str(weights), "--plot", str(tmp_path / "p.jpg")]
    assert cli.main(words) == 0
    assert reads == {"0.png": 1, "1.png": 1}


def test_a_pair_that_was_read_is_answered_like_its_files(tmp_path):
    """The names of the files, and whether one is the other saved again, are told of frames that were read too."""
    onset = save(tmp_path / "onset.png", face_pair()[0])
    again = save(tmp_path / "onset.jpg", frame_files.read_frame(onset).pixels)
    predictor = Predictor(tiny_model(), landmarks="template")
    for files in ((onset, save(tmp_path / "apex.png", face_pair()[1])), (onset, again)):
        of_files, of_frames = predictor.pair(*files), predictor.pair(*frame_files.read_pair(*files))
        assert of_files.to_dict() == of_frames.to_dict()
    assert "same_frame" in [w.code for w in of_frames.warnings]


def test_held_frames_are_those_of_the_video(tmp_path, reads):
    path = numbered_video(tmp_path / "v.avi", 12)
    video = open_video(path).held()
    assert video.held() is video
    assert [number_of(f.pixels) for f in video] == list(range(12))
    assert [number_of(f.pixels) for f in video.between(3, 6)] == [3, 4, 5, 6]
    assert [f.number for f in video.between(3, 6)] == [3, 4, 5, 6]
    assert {n: number_of(f.pixels) for n, f in video.take((9, 2)).items()} == {9: 9, 2: 2}
    assert set(reads.values()) == {1}
    assert video.between(3, None).held().kept is video.kept
    small = open_video(path).held(5 * video.size[0] * video.size[1] * 3)
    assert [number_of(f.pixels) for f in small] == list(range(12))
    assert [number_of(f.pixels) for f in small.between(1, 2)] == [1, 2]
    assert not small.kept.frames
