"""Which videos paths mean."""

import pytest

import htnet
from htnet.core.errors import InputError, VideoError
from htnet.preprocess import list_videos
from tests.support.pairs import face_pair, save, tiny_model


@pytest.fixture
def tree(tmp_path):
    for name in (
        "v/b10.mp4",
        "v/b9.mp4",
        "v/notes.txt",
        "v/.hidden.mp4",
        "v/clip/1.png",
        "v/other/x.txt",
        "w/1.png",
        "w/c.mp4",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_folders_of_videos_and_of_frames(tree):
    def below(*names):
        return [str(tree / name) for name in names]

    assert list_videos([tree / "v"]) == below("v/b9.mp4", "v/b10.mp4", "v/clip")
    assert list_videos([tree / "w", str(tree / "v" / "b9.mp4")]) == below("w", "v/b9.mp4")
    assert list_videos([tree / "v" / "other", "gone.mp4"]) == [*below("v/other"), "gone.mp4"]
    with pytest.raises(InputError, match=r"b9\.mp4 is given twice"):
        list_videos([tree / "v", tree / "v" / "b9.mp4"])
    with pytest.raises(InputError, match="are the same recording"):
        list_videos([tree / "v", tree / "w" / ".." / "v" / "b9.mp4"])
    with pytest.raises(InputError, match="give a list"):
        list_videos(str(tree))


def test_many_videos_in_one_call(tmp_path, run):
    onset, apex = face_pair()
    for folder in ("all/one", "all/two", "one"):
        for k, rgb in enumerate((onset, apex, onset)):
            save(tmp_path / folder / f"{k}.png", rgb)
    (tmp_path / "all" / "bad.mp4").write_bytes(b"no video")
    model = tiny_model()
    predictor = htnet.Predictor(model, landmarks="template")
    with pytest.raises(VideoError, match=r"bad\.mp4"):
        list(predictor.videos([tmp_path / "all"]))
    errors = []
    found = list(
        predictor.videos([tmp_path / "all", tmp_path / "one"], on_error=lambda path, error: errors.append(path))
    )
    assert errors == [str(tmp_path / "all" / "bad.mp4")]
    assert [one.sample for one in found] == [str(tmp_path / "all" / "one"), "two", str(tmp_path / "one")]
    alone = predictor.video(tmp_path / "one")
    assert found[2].probabilities == alone.probabilities
    htnet.save_pretrained(model, tmp_path / "w")
    words = ["predict", "--videos", tmp_path / "all", "--weights", tmp_path / "w", "--landmarks", "template"]
    status, out, _ = run(*words, "--skip-errors", "--json")
    assert (status, [line.split('"')[3] for line in out.splitlines()]) == (
        0,
        ["htnet.prediction", "htnet.prediction", "htnet.prediction_error"],
    )
    status, _, err = run(*words, "--out", tmp_path / "p.csv")
    assert status == 2
    assert "bad.mp4" in err
    status, out, err = run(*words, "--skip-errors", "--out", tmp_path / "p.csv")
    assert (status, err) == (0, "")
    assert "2 predictions" in out
    for more, said in (
        (["--sample", "x"], "own names"),
        (["--from-frame", "1"], "a single video"),
        (["--manifest", "m.csv"], "either"),
    ):
        status, _, err = run(*words, "--out", tmp_path / "q.csv", *more)
        assert (status, said in err) == (2, True), err
