"""`htnet prepare` as a user types it: every kind of data set, what it refuses, and kills at random moments."""

import csv
import json
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from htnet import cli
from htnet.cli.prepare import TITLES
from htnet.core.types import PreprocessSpec
from htnet.data import DATASETS, open_data, read_composite
from htnet.preprocess import TemplateLandmarks, motion_features, read_motion
from tests.data import official
from tests.data.test_composite import build
from tests.support.pairs import face_pair, pair_manifest, save
from tests.support.paths import COMPOSITE, needs_shared
from tests.support.warm import COMMAND

QUICKLY = ("--landmarks", "template", "--flow", "dis", "--workers", "1")
_CLASS = {"negative": 0, "positive": 1, "surprise": 2}


@pytest.fixture
def run(capsys):
    def run(*words):
        status = cli.main(["prepare", *map(str, words)])
        return (status, *capsys.readouterr())

    return run


def write_clip(folder, names, label=1):
    """Three frames: onset, apex and the onset once more."""
    onset, apex = face_pair(label)
    for name, pixels in zip(names, (onset, apex, onset), strict=True):
        save(folder / name, pixels)


def write_sheet(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Estimated Emotion"])
        writer.writerows(rows)


def write_casme2(root, rows=(("01", "EP02_01f", "happiness"), ("02", "EP01_11f", "disgust"), ("02", "EP9", "others"))):
    write_sheet(
        root / "CASME2-coding-20140508.csv", [(subject, name, 46, 51, 60, label) for subject, name, label in rows]
    )
    for subject, name, _ in rows:
        write_clip(root / f"sub{subject}" / name, ("reg_img46.jpg", "reg_img51.jpg", "reg_img60.jpg"))
    return root


def write_samm(root, rows=(("006", "006_1_2", "Anger"), ("007", "007_3_1", "Surprise"), ("007", "007_3_2", "Other"))):
    write_sheet(
        root / "SAMM_Micro_FACS_Codes_v2.csv", [(subject, name, 100, 105, 109, label) for subject, name, label in rows]
    )
    for subject, name, _ in rows:
        write_clip(root / subject / name, [f"{subject}_{n:05d}.jpg" for n in (100, 105, 109)])
    return root


def write_smic(root):
    for subject, clip, label in (("s1", "s1_ne_01", "negative"), ("s3", "s3_sur_01", "surprise")):
        names = [f"reg_image{n:06d}.bmp" for n in (11, 12, 13)]
        write_clip(root / "HS" / subject / "micro" / label / clip, names, _CLASS[label])
    return root


def labels(folder):
    return {s.sample: s.label for s in open_data(folder)}


def test_composite(run, tmp_path):
    casme2 = write_casme2(tmp_path / "c2")
    (casme2 / "sub02" / "EP01_11f" / "reg_img51.jpg").unlink()
    samm, smic = write_samm(tmp_path / "samm"), write_smic(tmp_path / "smic")
    (samm / "SAMM_Micro_FACS_Codes_v2.csv").rename(tmp_path / "codes.csv")
    (samm / "006" / "006_1_2" / "006_00105.jpg").write_bytes(b"no image")
    out = tmp_path / "out"
    words = ("composite", "--casme2", casme2, "--samm", samm, "--smic", smic, "--out", out, *QUICKLY)
    status, _, err = run(*words)
    assert status == 2
    assert "annotation" in err
    status, text, _ = run(*words, "--samm-annotation", tmp_path / "codes.csv")
    assert status == 0
    lines = text.splitlines()
    assert lines[0] == f"4 samples prepared in {out}, 4 left out"
    assert lines[1] == "  negative 1, positive 1, surprise 2; 4 subjects"
    assert "  label in no class: Other 1, others 1" in lines
    missing = lines.index("  files missing: 1 sample")
    assert lines[missing + 1].strip() == "sub02_EP01_11f"
    assert lines[missing + 2].endswith("reg_img51.jpg")
    assert lines[lines.index("  failed: 1 sample") + 1].startswith("    Sample '006_006_1_2': Frame ")
    assert "  apex not annotated or impossible, middle frame used: 2 samples" in lines
    assert lines[-1] == f"  report: {out / 'report.json'}"
    assert labels(out) == {
        "sub01_EP02_01f": "positive",
        "s01_s01_ne_01": "negative",
        "s03_s03_sur_01": "surprise",
        "007_007_3_1": "surprise",
    }
    report = json.loads((out / "report.json").read_text())
    assert report["missing"]["samples"] == ["sub02_EP01_11f"]
    assert set(report["failed"]["samples"]) == {"006_006_1_2"}
    assert report["excluded"]["labels"]["others"]["samples"] == ["sub02_EP9"]

    # What was missing or bad is made good: the same command adds it; leaving out others has to be asked for.
    write_clip(casme2 / "sub02" / "EP01_11f", ("reg_img46.jpg", "reg_img51.jpg", "reg_img60.jpg"))
    write_clip(samm / "006" / "006_1_2", [f"006_{n:05d}.jpg" for n in (100, 105, 109)])
    status, text, _ = run(*words, "--samm-annotation", tmp_path / "codes.csv", "--no-apex", "exclude", "--overwrite")
    assert status == 0
    assert "4 samples prepared" in text
    assert set(labels(out)) == {"sub01_EP02_01f", "sub02_EP01_11f", "006_006_1_2", "007_007_3_1"}

    (tmp_path / "keep.csv").write_text("sub,filename_o\nsub02,EP01_11f\ns01,s01_ne_01\n")
    more = ("--samm-annotation", tmp_path / "codes.csv", "--keep", tmp_path / "keep.csv")
    assert run(*words, *more, "--overwrite")[0] == 0
    assert labels(out) == {"sub02_EP01_11f": "negative", "s01_s01_ne_01": "negative"}


@pytest.mark.slow
@needs_shared
def test_the_published_composite_comes_out_exactly(run, tmp_path):
    published = read_composite(COMPOSITE)
    index = {name: str(i) for i, name in enumerate(published.classes)}
    build(tmp_path, [(s.dataset, s.subject, s.sample.removeprefix(f"{s.subject}_"), index[s.label]) for s in published])
    parts = [word for name in ("casme2", "samm", "smic") for word in (f"--{name}", tmp_path / name)]
    status, text, _ = run("composite", *parts, "--out", tmp_path / "out", *QUICKLY)
    assert status == 0
    assert text.startswith("442 samples prepared")
    assert "; 68 subjects" in text
    found = open_data(tmp_path / "out")
    assert {(s.dataset, s.subject, s.sample, s.label) for s in found} == {
        (s.dataset, s.subject, s.sample, s.label) for s in published
    }
    assert found.classes == published.classes


def test_data_set_with_its_own_classes(run, tmp_path):
    root = write_casme2(tmp_path / "c2")
    status, text, _ = run("casme2", "--root", root, "--out", tmp_path / "three", *QUICKLY)
    assert status == 0
    assert "2 samples prepared" in text
    status, text, _ = run("casme2", "--root", root, "--out", tmp_path / "own", "--classes", "own", *QUICKLY)
    assert status == 0
    assert "happiness 1, disgust 1, repression 0, surprise 0, others 1; 2 subjects" in text
    assert labels(tmp_path / "own") == {
        "sub01_EP02_01f": "happiness",
        "sub02_EP01_11f": "disgust",
        "sub02_EP9": "others",
    }


@pytest.mark.parametrize(
    ("name", "write", "sample"),
    [
        ("casme2", lambda root: official.casme2(root, [(1, "EP02_01f", 46, 59, 86, "happiness")]), "sub01_EP02_01f"),
        ("samm", lambda root: official.samm(root, [(6, "006_1_2", 5562, 5588, 5632, "Anger")]), "006_006_1_2"),
        ("smic", lambda root: official.smic(root, ["s1_ne_01"]), "s01_s01_ne_01"),
        ("casme3", lambda root: official.casme3(root, [("spNO.1", "a", 160, 166, 180, "disgust")]), "spNO.1_a_166"),
        ("mmew", lambda root: official.mmew(root, [(1, "S01-07-001", 1, 4, 9, "surprise")]), "S01_S01-07-001"),
        ("4dme", lambda root: official.fourdme(root, [("DMI_01", "EP01", 3, 9, 15, "Positive")]), None),
    ],
    ids=lambda value: value if isinstance(value, str) and value in DATASETS else "",
)
def test_every_official_tree(run, tmp_path, name, write, sample):
    write(tmp_path / "root")
    status, text, err = run(name, "--root", tmp_path / "root", "--out", tmp_path / "out", *QUICKLY)
    assert status == 0, err
    assert text.startswith("1 sample prepared")
    found = list(open_data(tmp_path / "out"))
    assert [s.dataset for s in found] == [name]
    assert sample in (None, found[0].sample)


def test_official_clips_give_motion(run, tmp_path):
    root, out = write_casme2(tmp_path / "c2"), tmp_path / "out"
    assert run("casme2", "--root", root, "--out", out, *QUICKLY, "--clip-frames", 3)[0] == 0
    spec = PreprocessSpec(flow="dis", clip_frames=3)
    for sample in open_data(out):
        folder = root / sample.subject / sample.sample.removeprefix(f"{sample.subject}_")
        frames = [folder / f"reg_img{n}.jpg" for n in (46, 51, 60)]
        np.testing.assert_array_equal(
            read_motion(sample.motion, spec), motion_features(frames, TemplateLandmarks(), spec)
        )


def test_head_motion_is_kept_with_the_images(run, tmp_path):
    root = write_smic(tmp_path / "smic")
    for name in ("none", "eyes", "register"):
        assert run("smic", "--root", root, "--out", tmp_path / name, "--head-motion", name, *QUICKLY)[0] == 0
        assert json.loads((tmp_path / name / "preprocess.json").read_text())["head_motion"] == name
    status, _, err = run("smic", "--root", root, "--out", tmp_path / "eyes", *QUICKLY)
    assert status == 2
    assert "another spec" in err


def test_nothing_prepared_has_an_exit_status_of_its_own(run, tmp_path):
    root = write_samm(tmp_path / "samm")
    for frame in root.glob("*/*/*.jpg"):
        frame.write_bytes(b"no image")
    status, text, err = run("samm", "--root", root, "--out", tmp_path / "out", *QUICKLY)
    assert (status, text) == (2, "")
    assert "no sample could be prepared, 3 left out" in err
    assert "Sample '006_006_1_2': Frame " in err
    assert "label in no class: Other 1" in err
    assert not (tmp_path / "out" / "manifest.csv").exists()
    assert json.loads((tmp_path / "out" / "report.json").read_text())["failed"]["count"] == 2


def test_titles_are_those_of_the_readers():
    assert sorted(TITLES) == sorted(DATASETS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("samm --root r --out o --label label_for_3", "--label does not apply here: it is for casme3"),
        ("composite --root r --out o", "--root does not apply here: give --casme2, --samm and --smic"),
        ("composite --casme2 a --samm b --smic c --out o --classes 3", "the composite has three classes"),
        ("composite --casme2 a --samm b --out o", "required: --smic"),
        ("manifest --root r --out o --annotation a.csv", "--annotation does not apply here"),
        ("manifest --root r --out o --no-apex middle", "a manifest states its apex frames"),
        ("mmew --root r --out o --casme2 a", "--casme2 does not apply here: it is for composite; give --root"),
        ("mmew --root r --out o --smic-annotation a", "data sets take --annotation"),
        ("casme3 --root r --out o --label label_for_3 --classes 3", "not allowed with argument"),
        ("casme2 --root r --out o --classes 5", "invalid choice: '5'"),
        ("casme2 --root r --out o --flow tvl2", "invalid choice: 'tvl2'"),
        ("casme2 --root r", "required: --out"),
        ("CASME2 --root r --out o", "there is no set 'CASME2'. Did you mean 'casme2'?"),
        ("samm_lv --root r --out o", "htnet evaluate-spotting --truth FOLDER --dataset samm_lv"),
        ("casme9 --root r --out o", "there is no set 'casme9'. Did you mean 'casme'"),
        ("", "SET"),
    ],
)
def test_options_that_do_not_fit(capsys, words, message):
    with pytest.raises(SystemExit) as caught:
        cli.main(["prepare", *words.split()])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_impossible_workers(run, tmp_path):
    pair_manifest(tmp_path / "frames", 1)
    status, _, err = run("manifest", "--root", tmp_path / "frames", "--out", tmp_path / "out", *QUICKLY[:-1], "-2")
    assert status == 2
    assert "workers is -2" in err


#: Samples are so small that on a busy machine the command would be done before the test looks: each takes 20 ms more.
SLOWLY = f"""
import time
from htnet.data.prepare.store import PreparedFolder
write = PreparedFolder.write
PreparedFolder.write = lambda *given: (time.sleep(0.02), write(*given))[1]
{COMMAND}
"""
#: The command where no worker can be forked.
ANEW = f"from htnet.core import parallel; parallel._can_fork = lambda: False\n{SLOWLY}"


class Command:
    """The command in a process of its own; it can be stopped once it has written a sample."""

    def __init__(self, python, root, out, workers, code):
        words = (
            "manifest",
            "--root",
            root,
            "--out",
            out,
            "--landmarks",
            "template",
            "--workers",
            workers,
            "--skip-errors",
        )
        self.keys = out / "keys"
        self.process = python.start(code, "prepare", *words, env={**os.environ, "OMP_NUM_THREADS": "1"})

    def stop(self, number):
        """Send a signal shortly after its first new sample, or let it end before: whether it was stopped, its end."""
        before = len(list(self.keys.glob("*.json")))
        while not self.process.has_ended() and len(list(self.keys.glob("*.json"))) == before:
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.1))
        stopped = not self.process.has_ended()
        if stopped and number == signal.SIGINT:
            os.killpg(self.process.pid, number)  # as the terminal does
        elif stopped:
            self.process.kill()
        done = self.process.end()
        # The signal may come when all is done and the process about to end.
        return stopped and done.returncode != 0, done


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def times(folder):
    return {p: p.stat().st_mtime_ns for p in folder.glob("keys/*.json")}


@pytest.mark.slow
def test_killed_at_random_moments(run, tmp_path, warm_python):
    pair_manifest(tmp_path / "frames", 28).samples[16].apex.write_bytes(b"no image")
    calm, out = tmp_path / "calm", tmp_path / "killed"
    here = ("--landmarks", "template", "--workers", 1, "--skip-errors")
    status, _, err = run("manifest", "--root", tmp_path / "frames", "--out", calm, *here)
    assert (status, "Traceback" in err) == (0, False)
    kept, stopped = {}, []
    kinds = ((1, signal.SIGKILL, SLOWLY), (2, signal.SIGKILL, SLOWLY), (2, signal.SIGINT, SLOWLY))
    for workers, number, code in (*kinds, (2, signal.SIGKILL, ANEW)):
        was_stopped, done = Command(warm_python, tmp_path / "frames", out, workers, code).stop(number)
        stopped.append(was_stopped)
        if was_stopped and number == signal.SIGINT:
            assert done.returncode == 130
            assert "interrupted; run the same command again to resume" in done.stderr
        now = times(out)
        assert kept.items() <= now.items(), "nothing lost, nothing made twice"
        kept = now
    assert sum(stopped) >= 2
    assert run("manifest", "--root", tmp_path / "frames", "--out", out, *here)[0] == 0
    assert kept.items() <= times(out).items()
    found, expected = files(out), files(calm)
    for content in (found, expected):
        assert json.loads(content[Path("report.json")])["prepared"] == 27
    assert found == expected
