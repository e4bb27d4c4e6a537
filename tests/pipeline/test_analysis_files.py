"""What an analysis is written as, and recordings that are analyzed into a folder."""

import base64
import csv
import json
import os
import re
import shutil
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from htnet.cli.analyze import show
from htnet.core.errors import InputError, OverwriteError
from htnet.core.parallel import LOCK_FILE, locked
from htnet.core.schema import to_json
from htnet.data import read_events, read_recordings
from htnet.export import write_analysis, write_report
from htnet.hub import load_pretrained, save_pretrained
from htnet.hub.weights import WeightsFiles
from htnet.pipeline import Analysis, Analyzer, analysis_files, read_analysis
from htnet.pipeline.analysis_files import ENDINGS, output_files
from htnet.pipeline.report import report_text
from htnet.preprocess.video.readers import PlayerClock
from htnet.types import Event, QualityWarning
from tests.support.pairs import QUICK, tiny_model
from tests.support.recordings import TrueEvents

#: Attributes that load something.
LOADING = {"src", "href", "srcset", "data", "poster", "action"}


class Page(HTMLParser):
    """What a report holds."""

    def __init__(self, text):
        super().__init__()
        self.sources, self.tags, self.cards, self.data, self._in_data = [], [], [], "", False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        given = dict(attributes)
        self.sources += [value for name, value in given.items() if name in LOADING]
        self._in_data = given.get("id") == "data"
        if given.get("class") == "card":
            self.cards.append(given["id"])

    def handle_endtag(self, tag):
        self._in_data = False

    def handle_data(self, text):
        if self._in_data:
            self.data += text


@pytest.fixture(scope="module")
def files(analyzed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    assert write_analysis(analyzed[0], folder) == list(output_files(folder, "two"))
    return folder


def test_the_files_say_the_same(analyzed, files):
    found, _ = analyzed
    assert read_analysis(files / "two.json").events == found.events
    (again,) = read_recordings(files / "two.csv").recordings
    assert (again.frames, len(again.events)) == (found.frames, len(found.events))
    first, other = found.expressions[0], next(event for event in again.events if event.kind in ("micro", "macro"))
    assert (other.kind, other.onset, other.apex, other.offset) == (first.kind, first.onset, first.apex, first.offset)
    assert other.confidence == pytest.approx(first.confidence)
    assert other.expression == pytest.approx(first.expression)
    with (files / "two.megc.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["pred_onset"]) - 1, row["type"]) for row in rows] == [
        (event.onset, {"micro": "me", "macro": "mae"}[event.kind]) for event in found.expressions
    ]
    with (files / "two.frames.csv").open(newline="") as file:
        assert sum(1 for _ in csv.DictReader(file)) == sum(map(len, found.curves.tracks))
    assert (files / "two.eaf").read_text("utf-8").count("<ALIGNABLE_ANNOTATION") >= len(found.events)


def test_the_table_has_the_length_of_a_recording_of_variable_rate(analyzed, tmp_path):
    found = analyzed[0]
    for name, fps in (("stated", found.fps), ("twice", 2 * found.fps), ("none", None)):
        write_analysis(replace(found, fps=fps), tmp_path, name=name)
        (again,) = read_recordings(tmp_path / f"{name}.csv").recordings
        assert again.fps == pytest.approx(found.fps, rel=0.01)
        assert 60 * again.minutes == pytest.approx(found.duration + 1 / found.fps, rel=0.01)


def test_elan_gets_the_clock_of_a_player(analyzed, tmp_path, monkeypatch):
    """A recording of 200 frames a second that is played at 25, and whose sound begins 0.8 s before its picture."""
    found = analyzed[0]
    events = tuple(replace(event, start=event.onset / 200, peak=None, end=event.offset / 200) for event in found.events)
    assert events
    found = replace(
        found, fps=200.0, events=events, duration=found.duration * found.fps / 200, video=str(tmp_path / "slow.mp4")
    )
    (tmp_path / "slow.mp4").write_bytes(b"")
    monkeypatch.setattr(analysis_files, "player_clock", lambda path: PlayerClock(0.8, 25.0))
    write_analysis(found, tmp_path)
    root = ElementTree.parse(tmp_path / "slow.eaf").getroot()
    assert root.find("HEADER/MEDIA_DESCRIPTOR").get("TIME_ORIGIN") == "800"
    times = {int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")}
    assert times == {40 * frame for event in found.events for frame in (event.onset, event.offset)}
    assert read_recordings(tmp_path / "slow.csv").recordings[0].fps == 200
    # The file's own time stamps, of a variable rate: the stated rates of two readers may differ.
    own = tuple(replace(event, start=event.start + 0.5, end=event.end + 0.5) for event in events)
    write_analysis(replace(found, events=own), tmp_path, name="own")
    slots = ElementTree.parse(tmp_path / "own.eaf").getroot().iter("TIME_SLOT")
    assert {int(slot.get("TIME_VALUE")) for slot in slots} == {
        500 + 5 * frame for event in events for frame in (event.onset, event.offset)
    }


def test_predictions_of_a_folder_are_read_once(analyzed, files):
    found = read_events(files).found
    assert [entry.name for entry in found] == ["two"]
    assert found[0].events == analyzed[0].events


def test_a_report_needs_nothing_else(analyzed, files):
    text = (files / "two.html").read_text("utf-8")
    page = Page(text)
    assert page.sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert not {"link", "iframe", "object", "embed"} & set(page.tags)
    assert not re.search(r"@import|url\((?!#)|https?://(?!www\.w3\.org/2000/svg)", text)
    found, _ = analyzed
    assert len(page.cards) == len(found.expressions) == len(page.sources) / 3
    data = json.loads(page.data)
    assert len(data["events"]) == len(found.events)
    assert [face["track"] for face in data["faces"]] == [0, 1]
    for face in data["faces"]:
        assert {len(line["values"]) for curve in face["curves"] for line in curve["lines"]} == {len(face["times"])}


def test_without_faces_the_flow_alone_is_shown(analyzed, tmp_path):
    found, _ = analyzed
    text = write_report(found, tmp_path / "a.html", faces=False).read_text("utf-8")
    page = Page(text)
    assert len(page.sources) == len(found.expressions)
    assert "Pictures of faces were left out" in text
    assert page.sources == [analysis_source(pictures.flow) for _, pictures in sorted(found.pictures.items())]


def analysis_source(content):
    return "data:image/jpeg;base64," + base64.b64encode(content).decode()


def test_texts_of_a_report_are_escaped(analyzed):
    evil = "</script><img src=x onerror=alert(1)>&"
    found = analyzed[0]
    events = (replace(found.events[0], label=evil), *found.events[1:])
    changed = replace(
        found,
        source=evil,
        video=f"/tmp/{evil}.mp4",
        events=events,
        warnings=(QualityWarning("a", evil),),
        model={**found.model, "weights": evil},
    )
    text = report_text(changed)
    assert evil not in text
    assert "<img src=x" not in text
    assert json.loads(Page(text).data)["events"][0]["text"].startswith(found.events[0].kind)


def test_curves_of_a_long_recording_are_thinned_and_gaps_stay(analyzed, monkeypatch):
    monkeypatch.setattr("htnet.pipeline.report._MOST_ROWS", 50)
    found = analyzed[0]
    curves = found.curves
    track = curves.tracks[0]
    features = track.features.copy()
    features[40:60] = float("nan")
    gone = replace(found, curves=replace(curves, tracks=(replace(track, features=features), *curves.tracks[1:])))
    face = json.loads(Page(report_text(gone)).data)["faces"][0]
    assert len(face["times"]) <= 50
    assert face["times"] == sorted(face["times"])
    for curve in face["curves"]:
        for line in curve["lines"]:
            inside = [v for t, v in zip(face["times"], line["values"], strict=True) if 1.7 < t < 2.3]
            assert inside
            assert set(inside) == {None}


def test_a_report_without_curves_or_a_face(analyzed, tmp_path):
    again = read_analysis(write_document(analyzed[0], tmp_path))
    assert json.loads(Page(report_text(again)).data)["faces"][0]["curves"] == []
    assert "There are no curves" in (tmp_path / "two.html").read_text("utf-8")
    assert "There are no curves" not in report_text(analyzed[0])
    empty = replace(again, events=(), faces=(), warnings=(), model=None)
    assert "no model used" in report_text(empty)
    with pytest.raises(InputError, match=r"ends in \.html"):
        write_report(again, tmp_path / "a.txt")
    write_report(again, tmp_path / "a.html")
    with pytest.raises(OverwriteError):
        write_report(again, tmp_path / "a.html")


def write_document(found, folder):
    with pytest.warns(UserWarning, match=r"has no curves.*two\.frames\.csv was left out"):
        write_analysis(replace(found, curves=None), folder)
    assert not (folder / f"two{ENDINGS[4]}").exists(), "without curves there is no table of frames"
    return folder / "two.json"


@pytest.fixture
def folder(two, analyzed, tmp_path, monkeypatch):
    """Two recordings, whose analysis takes no time; ``made`` counts how many were analyzed."""
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(two[0] / "two.mp4", tmp_path / name)
    made = []

    def recording_curves(stream, *given, **options):
        made.append(stream.source)
        return replace(analyzed[0].curves, source=stream.source)

    analysis_files._analyzer.cache_clear()
    monkeypatch.setattr("htnet.pipeline.analyzing.recording_curves", recording_curves)
    for module in ("analyzing", "analysis_files"):
        detector = TrueEvents(two[1], ("micro",))
        monkeypatch.setattr(f"htnet.pipeline.{module}.load_detector", lambda path=None, found=detector: found)
    yield tmp_path, made, save_pretrained(tiny_model(QUICK), tmp_path / "weights")
    analysis_files._analyzer.cache_clear()


def test_recordings_are_analyzed_into_a_folder_and_kept(folder, succeed, fail):
    place, made, weights = folder
    plain = ("analyze", place / "a.mp4", place / "b.mp4", "--out", place / "out")
    words = (*plain, "--weights", weights)
    out = succeed(*words)
    assert made == [str(place / "a.mp4"), str(place / "b.mp4")]
    assert "a.mp4: 6.4 s, 2 faces; 2 micro" in out
    assert re.search(r"micro frames \d+ to \d+, apex \d+ \(.* s\), confidence 0\.90, .*face [01]", out)
    files = sorted(path.name for path in (place / "out").iterdir() if path.name != LOCK_FILE)
    assert files == sorted(f"{name}{ending}" for name in "ab" for ending in ENDINGS)
    out = succeed(*words)
    assert len(made) == 2, "nothing is done twice"
    assert out.count("(finished before)") == 2
    (place / "out" / "b.html").unlink()
    succeed(*words)
    assert made[2:] == [str(place / "b.mp4")], "what an interruption left is finished"
    assert (place / "out" / "b.html").is_file()
    err = fail(*plain, "--no-emotions")
    assert "an option (emotions was True, is False) differs" in err
    assert "--overwrite" in err
    out = succeed(*plain, "--no-emotions", "--overwrite")
    assert len(made) == 5
    assert read_analysis(place / "out" / "a.json").model is None
    out = succeed(*plain, "--no-emotions", "--overwrite")
    assert len(made) == 7, "--overwrite analyzes anew what is unchanged, too"
    assert "(finished before)" not in out


def undated(file):
    """The content of a file, without the date of writing that a file of ELAN bears."""
    return re.sub(rb' DATE="[^"]*"', b"", file.read_bytes())


@pytest.mark.parametrize(("lost", "times"), [((1, 3), 1), ((2, 4, 5), 2)])
def test_of_the_files_only_those_that_are_missing_are_written(folder, succeed, lost, times):
    place, made, weights = folder
    words = ("analyze", place / "a.mp4", "--out", place / "out", "--weights", weights)
    succeed(*words)
    files = output_files(place / "out", "a")
    before = [undated(file) for file in files]
    for number, file in enumerate(files):
        if number in lost:
            file.unlink()
        elif number:
            file.write_text("edited by hand")
    succeed(*words)
    assert len(made) == times
    for number, file in enumerate(files):
        assert undated(file) == (before[number] if number in lost or not number else b"edited by hand")


def test_a_lost_document_does_not_cost_the_other_files(folder, fail, succeed):
    place, made, weights = folder
    words = ("analyze", place / "a.mp4", "--out", place / "out", "--weights", weights)
    succeed(*words)
    (place / "out" / "a.json").unlink()
    assert "a.csv already exists" in fail(*words)
    assert len(made) == 1


def test_two_processes_do_not_analyze_into_one_folder(folder, fail, succeed):
    place, _, weights = folder
    words = ("analyze", place / "a.mp4", "--out", place / "out", "--weights", weights)
    with locked(place / "out"):
        assert f"Another process is running in {place / 'out'}" in fail(*words)
    below = place / "out" / "mine" / ".0123456789ab.tmp"
    below.parent.mkdir()
    for half in (below, place / "out" / below.name):
        half.write_bytes(b"half")
    succeed(*words)
    assert list((place / "out").rglob("*.tmp")) == [below], "of a killed process; the folders below are not this one's"


def test_changed_weights_and_detectors_are_named(folder, fail, succeed):
    place, made, weights = folder
    detector = place / "a.detector"
    detector.write_bytes(b"1")
    words = ("analyze", place / "a.mp4", "--out", place / "out", "--weights", weights, "--detector", detector)
    succeed(*words)
    assert "(finished before)" in succeed(*words)
    # By content: not by name, place or time.
    shutil.copytree(weights, place / "again")
    (place / "again" / "note").write_text("new")
    shutil.copy(detector, place / "b.detector")
    same = (*words[:4], "--weights", place / "again", "--detector", place / "b.detector")
    assert "(finished before)" in succeed(*same)
    before = detector.stat()
    detector.write_bytes(b"2")
    os.utime(detector, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "a.json is finished, but the detector differs" in fail(*words)
    save_pretrained(tiny_model(QUICK), weights, overwrite=True)
    assert "the weights and the detector differ" in fail(*words)
    (place / "out" / "a.json").write_text(
        (place / "out" / "a.json").read_text("utf-8").replace('"htnet_version": "', '"htnet_version": "9.'), "utf-8"
    )
    assert "the version of htnet (was 9." in fail(*words)
    assert len(made) == 1
    succeed(*words, "--overwrite")
    assert "(finished before)" in succeed(*words)
    detector.unlink()
    assert "a.detector does not exist" in fail(*words)


def test_another_shipped_detector_is_another_one(folder, fail, succeed, monkeypatch):
    place, _, weights = folder
    words = ("analyze", place / "a.mp4", "--out", place / "out", "--weights", weights)
    succeed(*words)
    (place / "new.safetensors").write_bytes(b"trained again")
    monkeypatch.setattr(analysis_files, "_SHIPPED", place / "new.safetensors")
    assert "a.json is finished, but the detector differs" in fail(*words)


def test_weights_of_the_hub_are_known_by_their_content(folder, fail, succeed, monkeypatch):
    place, made, weights = folder
    asked = []

    def find(name, revision=None):
        asked.append(name)
        return WeightsFiles(weights / "config.json", weights / "model.safetensors", None, commit)

    def load(name, revision=None, dtype=None):
        assert (name, revision) == ("someone/weights", commit), "the very commit that is told"
        return load_pretrained(weights)

    monkeypatch.setattr(analysis_files, "find_files", find)
    monkeypatch.setattr("htnet.hub.given.load_pretrained", load)
    commit = "1" * 40
    words = ("analyze", place / "a.mp4", place / "b.mp4", "--out", place / "out", "--weights", "someone/weights")
    succeed(*words)
    assert asked == ["someone/weights"], "once for all recordings"
    document = read_analysis(place / "out" / "a.json")
    assert document.model["weights"] == "someone/weights"
    files = WeightsFiles(weights / "config.json", weights / "model.safetensors").digests()
    assert document.made_from["weights"] == {"sha256": files[0], "config_sha256": files[1], "revision": commit}
    commit = "2" * 40
    assert succeed(*words).count("(finished before)") == 2, "another commit of the same files"
    save_pretrained(tiny_model(QUICK), weights, overwrite=True)
    err = fail(*words)
    assert "a.json is finished, but the weights differ." in err
    assert "b.json is finished, but the weights differ." in err
    assert len(made) == 2


def test_a_changed_detector_is_loaded_anew(folder):
    place, _, _ = folder
    (place / "a.detector").write_bytes(b"1")
    job = analysis_files.AnalysisJob(place, emotions=False, detector=str(place / "a.detector"))
    first = job.analyzer()
    assert job.analyzer() is first
    (place / "a.detector").write_bytes(b"12")
    assert job.analyzer() is not first


def test_what_could_not_be_written_is_finished_by_the_same_command(folder, run, monkeypatch):
    place, made, weights = folder

    def full(*given, **options):
        raise InputError("the disk is full")

    words = ("analyze", place / "a.mp4", "--out", place / "out", "--weights", weights)
    with monkeypatch.context() as patch:
        patch.setattr("htnet.pipeline.analysis_files.write_elan", full)
        status, out, err = run(*words)
    assert (status, "not analyzed" in out) == (2, False)
    assert "a.mp4: not analyzed: the disk is full" in err
    assert "a.mp4 could not be analyzed. For " in err
    assert "run the same command again when the folder can be written." in err
    assert "others" not in err
    status, _, _ = run(*words)
    assert (status, len(made)) == (0, 2)


def test_a_recording_that_has_changed_is_not_taken_for_the_finished_one(folder, succeed, fail):
    place, made, weights = folder
    words = ("analyze", place / "a.mp4", "--out", place / "out", "--weights", weights)
    succeed(*words)
    content = (place / "a.mp4").read_bytes()
    (place / "a.mp4").write_bytes(content + b"\0\0\0\x08free")
    assert "a.json is finished, but the recording differs" in fail(*words)
    succeed(*words, "--overwrite")
    assert len(made) == 2


def test_files_of_others_are_not_overwritten(folder, fail):
    place, made, weights = folder
    (place / "out").mkdir()
    (place / "out" / "a.csv").write_text("mine")
    assert "a.csv already exists" in fail("analyze", place / "a.mp4", "--out", place / "out", "--weights", weights)
    (place / "out" / "a.csv").unlink()
    (place / "out" / "a.json").write_text('{"mine": 1}')
    assert "a.json already exists" in fail("analyze", place / "a.mp4", "--out", place / "out", "--weights", weights)
    assert made == []


def test_a_broken_recording_does_not_stop_the_others(folder, run):
    place, made, weights = folder
    (place / "broken.mp4").write_bytes(b"no video")
    words = ("analyze", place / "broken.mp4", place / "none.mp4", place / "a.mp4", "--out", place / "out")
    status, out, err = run(*words, "--weights", weights, "--no-faces")
    assert status == 2
    assert made == [str(place / "a.mp4")]
    assert "not analyzed" not in out
    assert "1 of 3 recordings done: a.mp4" in err
    assert "done: none.mp4" not in err
    assert "broken.mp4: not analyzed: " in err
    assert "none.mp4 does not exist" in err
    assert "2 of 3 recordings failed" in err
    assert "The others are finished." in err
    assert "run the same command again" not in err
    _, _, err = run("analyze", place / "none.mp4", "--out", place / "out")
    assert "none.mp4 could not be analyzed." in err
    assert "others" not in err
    assert "Pictures of faces were left out" in (place / "out" / "a.html").read_text("utf-8")


def test_stale_and_edited_files_do_not_stop_the_others(folder, run):
    place, made, _ = folder
    out, options = place / "out", ("--out", place / "out", "--no-emotions")
    (place / "broken.mp4").write_bytes(b"no video")
    assert run("analyze", place / "a.mp4", *options)[0] == 0
    recordings = [place / f"{name}.mp4" for name in "abcd"]
    for name in "bcd":  # finished, too
        shutil.copy2(place / "a.mp4", place / f"{name}.mp4")
        for ending in ENDINGS:
            shutil.copy(out / f"a{ending}", out / f"{name}{ending}")
    document = json.loads((out / "a.json").read_text("utf-8"))
    document["made_from"]["options"]["faces"] = False
    (out / "a.json").write_text(json.dumps(document), "utf-8")
    document = json.loads((out / "b.json").read_text("utf-8"))
    document["events"][0]["kind"] = "wink"
    (out / "b.json").write_text(json.dumps(document), "utf-8")
    (out / "c.json").write_text("{", "utf-8")
    (out / "d.html").unlink()
    kept = {path: path.read_bytes() for path in out.iterdir()}
    status, said, err = run("analyze", place / "broken.mp4", *recordings, *options)
    assert status == 2
    assert made[1:] == [str(place / "d.mp4")]
    assert "d.mp4: 6.4 s" in said
    assert (out / "d.html").is_file()
    assert {path: path.read_bytes() for path in kept} == kept
    assert "a.mp4: not analyzed: " in err
    assert "a.json is finished, but an option (faces was False, is True) differs" in err
    assert "b.json, event 1: " in err
    assert "c.json already exists" in err
    broken, *stale = (str(place / f"{name}.mp4") for name in ("broken", "a", "b", "c"))
    closing = err.splitlines()[-1]
    assert f"4 of 5 recordings failed: {', '.join([broken, *stale])}. The others are finished." in closing
    assert f"Check {broken} (the reason is above), or leave it out." in closing
    assert f"For {', '.join(stale)}, choose another --out, or give them alone with --overwrite." in closing


def test_a_document_edited_anyhow_is_refused_by_name_alone(analyzed, tmp_path):
    document = json.loads(to_json(analyzed[0].to_dict()))
    places = [(key,) for key in document] + [
        (part, 0, key) for part in ("events", "faces") for key in document[part][0]
    ]
    places += [("files", "video"), ("made_from",), ("warnings", 0), ("faces", 0, "gaps", 0)]
    for *above, key in places:
        for value in (None, 3, -1, "x", [], [3], {}, {"a": 1}):
            edited = json.loads(json.dumps(document))
            part = edited
            for step in above:
                part = part[step]
            if isinstance(part, list):
                part.append(value)
            else:
                part[key] = value
            with suppress(InputError):
                again = Analysis.from_dict(edited, str(tmp_path / "two.json"))
                # What is accepted can be shown and written.
                show("two.mp4", again, kept=True)
                output = output_files(tmp_path, "two")
                analysis_files._write(again, output, faces=True, only=output[:4])


@pytest.fixture
def bars(monkeypatch):
    """The bars that are drawn: total, and how much was done."""
    drawn = []

    @contextmanager
    def ticker(total, text, unit):
        told = []
        drawn.append((total, unit, told))
        yield lambda now, beside=None: told.append((now, beside))

    monkeypatch.setattr("htnet.cli.analyze.ticker", ticker)
    return drawn


def test_on_a_terminal_a_bar_counts_both_passes(folder, run, bars, monkeypatch):
    place, _, weights = folder
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    words = ("analyze", place / "a.mp4", place / "b.mp4", "--out", place / "out", "--weights", weights)
    status, _, err = run(*words)
    assert (status, err) == (0, "")
    ((total, unit, told),) = bars
    assert (total, unit) == (round(4 * 6.4), "s")
    counts = [now for now, _ in told]
    assert counts == sorted(counts)
    assert counts[-1] == total
    read = [now for now, beside in told if beside == "a.mp4, recognizing"]
    assert read[0] == round(6.4)
    assert read[-1] > read[0], "the second pass counts"
    assert run(*words, "--detector", place / "none")[0] == 2
    assert len(bars) == 1, "no bar is drawn before a refusal"


def test_elsewhere_each_recording_is_a_line(folder, run, bars):
    place, _, weights = folder
    words = ("analyze", place / "a.mp4", place / "b.mp4", "--out", place / "out", "--weights", weights)
    status, _, err = run(*words)
    assert (status, bars) == (0, [])
    assert err == "1 of 2 recordings done: a.mp4\n2 of 2 recordings done: b.mp4\n"


def test_what_cannot_be_is_refused_before_any_work(folder, fail):
    place, made, _ = folder
    (place / "other").mkdir()
    shutil.copy(place / "a.mp4", place / "other" / "A.mp4")
    err = fail("analyze", place / "a.mp4", place / "other" / "A.mp4", "--out", place / "out")
    assert "would both be written as A.json" in err
    shutil.copy(place / "a.mp4", place / "a.megc.mp4")
    err = fail("analyze", place / "a.mp4", place / "a.megc.mp4", "--out", place / "out")
    assert "would both be written as a.megc.csv" in err
    err = fail("analyze", place / "a.mp4", place / "other" / ".." / "a.mp4", "--out", place / "out")
    assert "are the same recording. Give it once." in err
    assert "a.mp4 is given twice" in fail("analyze", place / "a.mp4", place / "a.mp4", "--out", place / "out")
    (place / "afile").write_text("")
    err = fail("analyze", place / "none.mp4", "--out", place / "afile" / "sub")
    assert "because " in err
    assert "afile is a file. Give a folder" in err
    assert "Give only one of them" in fail("analyze", "a.mp4", "--out", "out", "--no-emotions", "--always")
    assert made == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weights": "composite"}, "so weights would have no effect. Leave it out"),
        ({"always": True}, "so always would have no effect"),
        ({"always": "yes"}, "always is 'yes'; give True or False"),
        ({"faces": 1}, "faces is 1; give True or False"),
        ({"fps": "25"}, "fps is '25'; give a number"),
        ({"out": None}, "out is None, not a path"),
    ],
)
def test_settings_of_a_job_that_have_no_effect_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        analysis_files.AnalysisJob(**{"out": "out", "emotions": False, **given})


def test_the_folder_of_a_job_may_be_a_text(folder):
    place, _, _ = folder
    job = analysis_files.AnalysisJob(str(place / "text"), emotions=False)
    (done,) = analysis_files.analyze_files([str(place / "a.mp4")], job)
    assert (done.fault, (place / "text" / "a.json").is_file()) == ("", True)


@pytest.mark.parametrize("value", [None, 3])
def test_what_is_no_analysis_is_refused(value, analyzed, tmp_path):
    with pytest.raises(InputError, match="give what htnet.analyze"):
        write_analysis(value, tmp_path)
    with pytest.raises(InputError, match="give the path of a folder"):
        write_analysis(analyzed[0], value)
    with pytest.raises(InputError, match="give the path of a JSON file"):
        read_analysis(value)


def test_an_event_without_times_is_reported_by_frames(analyzed):
    found = replace(analyzed[0], events=(Event("micro", 3, 5, 9, track=0),), pictures={})
    assert "frame 5" in report_text(found)


def test_the_analyzer_takes_the_shipped_detector_unless_given_one(folder):
    analyzer = Analyzer(emotions=False)
    assert isinstance(analyzer.detector, TrueEvents)


def test_a_table_is_read_again_after_damaged_frames(analyzed, tmp_path):
    # Numbers count damaged frames, which are not among those that were read.
    later = replace(analyzed[0], frames=5, events=(Event("blink", 12, 13, 14, track=0),))
    write_analysis(later, tmp_path)
    (recording,) = read_recordings(tmp_path / "two.csv").recordings
    assert recording.events[0].offset == 14
