import csv
import json
import re

import numpy as np
import pytest

from htnet.cli import main
from htnet.core.errors import InputError, OverwriteError
from htnet.preprocess import open_video
from htnet.synthesis import (
    RecordingConfig,
    generate_recording,
    generator_hash,
    synthesize_recordings,
    write_recording,
    write_truth,
)
from htnet.synthesis.recordings.codec import compressed
from tests.synthesis.support import STILL, still_recording

pytest.importorskip("av")
SHORT = {"duration": (4.0, 4.0), "rates": ((10.0, 1),), "sizes": ((160, 120, 1),), "face_size": (60.0, 60.0)}


@pytest.mark.parametrize(("codec", "good", "poor"), [("h264", 15, 40), ("mpeg4", 2, 28), ("mjpeg", 2, 28)])
def test_codecs_keep_every_frame_and_lose_detail_by_quality(codec, good, poor):
    recording = still_recording(1, **SHORT)
    raw = [recording.frame(number) for number in range(24)]
    miss = []
    for quality in (good, poor):
        frames, again = (list(compressed(iter(raw), codec, quality, recording.fps)) for _ in range(2))
        assert len(frames) == len(raw)
        assert all(np.array_equal(a, b) for a, b in zip(frames, again, strict=True))
        miss.append(np.mean([np.abs(a.astype(float) - b).mean() for a, b in zip(frames, raw, strict=True)]))
    assert 0 < miss[0] < miss[1]
    assert miss[0] < 6


def test_frames_go_through_the_recordings_codec():
    recording = still_recording(1, **(SHORT | {"codecs": (("mjpeg", 20, 1),)}))
    assert (recording.codec, recording.quality) == ("mjpeg", 20)
    seen, raw = next(recording.frames()), recording.frame(0)
    assert not np.array_equal(seen, raw)
    np.testing.assert_array_equal(seen, next(compressed(iter([raw]), "mjpeg", 20, recording.fps)))


def test_files_keep_frames_and_times(tmp_path):
    recording = still_recording(
        4,
        **(
            SHORT
            | {
                "dropped": 1.0,
                "dropped_rate": (0.2, 0.2),
                "pause": 1.0,
                "jitter": (0.05, 0.05),
                "codecs": (("mpeg4", 3, 1),),
            }
        ),
    )
    write_recording(recording, tmp_path / "a.mp4")
    frames = list(open_video(tmp_path / "a.mp4"))
    assert len(frames) == len(recording)
    np.testing.assert_allclose([frame.time for frame in frames], recording.times, atol=2e-4)
    last = list(recording.frames())[-1].astype(float)
    assert np.abs(np.asarray(frames[-1].pixels, dtype=float) - last).mean() < 3


def test_files_are_not_written_over(tmp_path):
    recording = still_recording(4, **SHORT)
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(OverwriteError):
        write_recording(recording, tmp_path / "a.mp4")
    with pytest.raises(InputError, match="not named .mp4"):
        write_recording(recording, tmp_path / "a.avi")
    with pytest.raises(InputError, match="give both or neither"):
        write_recording(recording, tmp_path / "b.mp4", codec="h264")
    with pytest.raises(InputError, match="0 to 51 for h264"):
        write_recording(recording, tmp_path / "b.mp4", codec="h264", quality=60)
    assert not (tmp_path / "b.mp4").exists()


def test_the_truth_is_written_with_the_generators_hash(tmp_path):
    recording = still_recording(4, **SHORT)
    write_truth(recording, tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert found.pop("generator") == generator_hash()
    assert found == json.loads(json.dumps(recording.truth()))
    assert len(found["times"]) == len(recording)
    assert {"kind", "onset", "apex", "offset", "units", "displacement"} <= set(found["events"][0])


@pytest.mark.slow
def test_a_folder_of_recordings_goes_on_where_it_stopped(tmp_path):
    config = RecordingConfig(**(STILL | SHORT))
    table = synthesize_recordings(tmp_path, 1, 3, config)
    video = tmp_path / "recording-0000003.mp4"
    before = video.stat().st_mtime_ns
    done = []
    synthesize_recordings(tmp_path, 2, 3, config, on_recording=lambda count, name: done.append((count, name)))
    assert video.stat().st_mtime_ns == before
    assert done == [(1, "recording-0000003"), (2, "recording-0000004")]
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    one = generate_recording(3, config)
    own = [row for row in rows if row["recording"] == "recording-0000003"]
    assert [(r["kind"], int(r["onset"]), int(r["apex"]), int(r["offset"])) for r in own] == [
        (e.kind, e.onset, e.apex, e.offset) for e in sorted(one.events, key=lambda e: (e.onset, e.offset, e.kind))
    ]
    assert own[0]["path"] == "recording-0000003.mp4"
    assert int(own[0]["frames"]) == len(one)
    with pytest.raises(OverwriteError, match="another recording"):
        synthesize_recordings(
            tmp_path, 1, 3, RecordingConfig(**(STILL | SHORT | {"tonic": 0.1, "rates": ((30.0, 1),)}))
        )
    with pytest.raises(InputError, match="count is 0"):
        synthesize_recordings(tmp_path, 0)


@pytest.mark.slow
def test_the_command(tmp_path, succeed, fail):
    words = ("synthesize", "recordings", "--out", tmp_path, "--count", 1, "--seed", 5, "--seconds", 4, 4)
    said = succeed(*words, "--no-expression")
    assert "1 recordings" in said
    assert (tmp_path / "recording-0000005.mp4").is_file()
    assert "micro" not in (tmp_path / "recordings.csv").read_text("utf-8")
    said = fail("synthesize", "recordings", "--out", tmp_path, "--count", 1, "--seconds", 1, 2)
    assert "--seconds is (1.0, 2.0)" in said


def test_the_command_takes_the_size_of_the_picture(tmp_path, succeed, fail, monkeypatch):
    told = []

    def synthesize(out, count, seed, config, **options):
        told.append(config)
        return tmp_path / "recordings.csv"

    monkeypatch.setattr("htnet.synthesis.synthesize_recordings", synthesize)
    words = ("synthesize", "recordings", "--out", tmp_path, "--count", 1)
    succeed(*words, "--size", "320x240")
    succeed(*words)
    assert told[0].sizes == ((320, 240, 1.0),)
    assert told[1] == RecordingConfig()


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("320", "'320' is not a size; give width and height in px, such as 640x480"),
        ("320x240x3", "is not a size"),
        ("-320x240", "is not a size|expected one argument"),
        ("321x240", "'321x240' cannot be the size of a picture; give width and height, each an even whole number"),
        ("320x94", "from 96 to 4096"),
        ("5000x240", "from 96 to 4096"),
    ],
)
def test_sizes_that_cannot_be(tmp_path, capsys, size, message):
    with pytest.raises(SystemExit):
        main(["synthesize", "recordings", "--out", str(tmp_path / "out"), "--count", "1", "--size", size])
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()
