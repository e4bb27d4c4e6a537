"""Tables of recordings, and predictions in all their forms."""

import json
from pathlib import Path

import pytest

from htnet.core.elan import write_elan
from htnet.core.facs import UnitPrediction
from htnet.core.recordings import Recording, recording_key, write_recordings
from htnet.data import read_events, read_recordings
from htnet.data.recording_tables import annotated_units
from htnet.errors import InputError, ManifestError, OverwriteError
from htnet.types import Event

TABLE = """recording,path,subject,fps,frames,kind,onset,apex,offset,emotion,action_units
anna_1,anna/1.mp4,anna,30,3600,micro,411,417,423,Surprise,1+2
anna_1,anna/1.mp4,anna,30,3600,blink,900,,906,,
ben_1,ben/1.mp4,ben,29.97,1800,macro,100,120,170,positive,L12
cleo_1,cleo/1.mp4,cleo,30,1800,,,,,,
"""


def written(folder, text, name="table.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_is_read(tmp_path):
    found = read_recordings(written(tmp_path, TABLE))
    anna, ben, cleo = found.recordings
    assert (anna.name, anna.path, anna.subject, anna.fps, anna.frames) == (
        "anna_1", tmp_path / "anna/1.mp4", "anna", 30.0, 3600
    )  # fmt: skip
    micro, blink = anna.events
    assert (micro.kind, micro.onset, micro.apex, micro.offset, micro.label) == ("micro", 411, 417, 423, "surprise")
    assert micro.action_units == (UnitPrediction(1, 1.0, 1.0), UnitPrediction(2, 1.0, 1.0))
    assert (blink.apex, blink.label, blink.action_units) == (None, None, ())
    assert ben.events[0].action_units == (UnitPrediction(12, 1.0, 0.0),)
    assert (cleo.events, cleo.minutes) == ((), 1.0)
    assert (found.notes, found.source) == ((), str(tmp_path / "table.csv"))


def test_what_is_written_is_read_again(tmp_path):
    units = (UnitPrediction(4, 1.0, 1.0), UnitPrediction(12, 0.0, 1.0))
    recordings = (
        Recording("two", (Event("micro", 3, 5, 9, 0.1, 0.2, 0.3, label="surprise", action_units=units, track=1),
                          Event("head", 3, None, 90, 0.1, None, 3.0, track=0)),
                  tmp_path / "videos" / "2.mp4", "own", "anna", 29.97, 1000),
        Recording("none", (), tmp_path / "videos" / "none", "own", "ben", 25.0, 250),
    )  # fmt: skip
    path = tmp_path / "tables" / "t.csv"
    write_recordings(path, recordings)
    found = read_recordings(path).recordings
    assert [(r.name, r.dataset, r.subject, r.fps, r.frames, r.path.resolve()) for r in found] == [
        (r.name, r.dataset, r.subject, r.fps, r.frames, r.path) for r in recordings
    ]
    assert {event.kind: event for event in found[0].events} == {event.kind: event for event in recordings[0].events}
    assert "../videos/2.mp4" in path.read_text()
    with pytest.raises(OverwriteError):
        write_recordings(path, recordings)
    least = tmp_path / "least.csv"
    write_recordings(least, [Recording("r", (Event("blink", 1, None, 2),))])
    assert least.read_text() == "recording,subject,fps,frames,kind,onset,apex,offset\nr,,,,blink,1,,2\n"


def test_what_cannot_be_written(tmp_path):
    path = tmp_path / "t.csv"
    with pytest.raises(InputError, match="'r' occurs twice"):
        write_recordings(path, [Recording("r"), Recording("r")])
    with pytest.raises(InputError, match="Count frames from 0"):
        write_recordings(path, [Recording("r", numbers=(1, 2, 3))])
    for wrong, message in (
        ({"name": " "}, "has no name"),
        ({"fps": 0.0}, "fps of the recording .* is 0.0; give"),
        ({"fps": float("nan")}, "is nan; give a number"),
        ({"frames": 0}, "frames of the recording 'r' is 0; give"),
    ):
        with pytest.raises(InputError, match=message):
            Recording(**{"name": "r", **wrong})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("anna_1,anna/1.mp4,anna,30,3600,micro,500,,490,,", "line 6: An event ends at frame 490, before its onset 500"),
        ("anna_1,anna/1.mp4,anna,30,3600,micro,500,600,510,,", "line 6: The apex 600 of an event lies outside 500"),
        ("anna_1,anna/1.mp4,anna,30,3600,micro,500,0,510,,", "line 6: The apex 0 of an event lies outside 500"),
        ("anna_1,anna/1.mp4,anna,30,3600,micro,5.5,,510,,", "line 6: onset is '5.5'; give a frame number"),
        ("anna_1,anna/1.mp4,anna,30,3600,micro,500,,,,", "line 6: offset is ''; give a frame number"),
        ("anna_1,anna/1.mp4,anna,30,3600,micro,-5,,510,,", "line 6: The onset of an event is -5; give a whole"),
        (
            "anna_1,anna/1.mp4,anna,30,3600,micro,3590,,3600,,",
            "line 6: an event lasts from frame 3590 to 3600, but the recording 'anna_1' has 3600 frames",
        ),
        ("anna_1,anna/1.mp4,anna,30,3600,mico,500,,510,,", "line 6: the kind is 'mico'. Did you mean"),
        ("anna_1,anna/1.mp4,anna,30,3600,,500,,510,,", "line 6: onset is '500', but there is no kind"),
        ("anna_1,anna/1.mp4,anna,25,3600,micro,500,,510,,", "line 6: fps of the recording 'anna_1' is 25.0, but 30.0"),
        ("anna_1,anna/2.mp4,anna,30,3600,micro,500,,510,,", "line 6: path of the recording 'anna_1' is"),
        (",anna/2.mp4,anna,30,3600,micro,500,,510,,", "line 6: the recording has no name"),
        ("dora_1,d.mp4,dora,x,3600,micro,500,,510,,", "line 6: fps is 'x'; give a number"),
        ("dora_1,d.mp4,dora,1.000,3600,micro,500,,510,,", "line 6: fps is '1.000', which may be 1 or 1000"),
        ("dora_1,d.mp4,dora,30,3.600,micro,500,,510,,", "line 6: frames is '3.600'; give a frame number"),
        (
            "anna_1,anna/1.mp4,anna,30,3600,micro,411,,423,,",
            "'anna_1' has the same event (micro, frames 411 to 423) on",
        ),
        (
            "dora_1,d.mp4,dora,30,3600,micro,500,,510,nan,",
            "line 6: the emotion 'nan' is what programs write for a miss",
        ),
        ("dora_1,d.mp4,dora,30,3600,micro,500,,510,#N/A,", "line 6: emotion is '#N/A', the error of a formula"),
        ("dora_1,d.mp4,dora,30,3600,micro,500,,510,,#N/A", "line 6: action_units is '#N/A', the error of a formula"),
        ("dora_1,d.mp4,Err:508,30,3600,micro,500,,510,,", "line 6: subject is 'Err:508', the error of a formula"),
        ("dora_1,d.mp4,#REF!,30,3600,micro,500,,510,,", "line 6: subject is '#REF!', the error of a formula"),
    ],
)
def test_impossible_rows_are_named(tmp_path, row, message):
    path = written(tmp_path, f"{TABLE}{row}\n")
    with pytest.raises(ManifestError, match=r"1 row is invalid") as error:
        read_recordings(path)
    assert message in str(error.value)
    twice = written(tmp_path, f"{TABLE}{row}\n{row}\n")
    with pytest.raises(ManifestError, match="2 rows are invalid"):
        read_recordings(twice)


TIMES = "recording;fps;frames;kind;onset;apex;offset;start;end\n"


def test_tables_of_a_spreadsheet_with_decimal_commas(tmp_path):
    text = TIMES + "anna;29,97;3600,0;micro;411,0;;423,00;13,71;14,11\n"
    (anna,) = read_recordings(written(tmp_path, text)).recordings
    assert (anna.fps, anna.frames, anna.events) == (29.97, 3600, (Event("micro", 411, None, 423, 13.71, None, 14.11),))
    with pytest.raises(
        ManifestError, match=r"decimal commas and decimal points: line 2 has '29,97', line 2 has '13.71'"
    ):
        read_recordings(written(tmp_path, text.replace("13,71", "13.71")))


def test_times_that_do_not_belong_to_the_frames(tmp_path):
    row = "anna;30;3600;micro;411;;423;{};{}\n"
    assert read_recordings(written(tmp_path, TIMES + row.format(13.7, 14.1))).notes == ()
    with pytest.raises(
        ManifestError, match=r"line 2: start is 13700 s, but frame 411 .* at 13\.7 s\. Give times in sec"
    ):
        read_recordings(written(tmp_path, TIMES + row.format(13700, 14100)))
    (note,) = read_recordings(written(tmp_path, TIMES + row.format(16.44, 16.92))).notes
    assert "line 2: end is 16.92 s, but frame 423 at 30 frames per second is at 14.1 s" in note
    slower = read_recordings(written(tmp_path, TIMES + row.format(40, 41)))  # as where the rate fell in the dark
    assert slower.recordings[0].events[0].start == 40


def test_times_in_another_unit_without_a_rate(tmp_path):
    text = "recording,kind,onset,offset,start,end\nanna,micro,411,423,{},{}\n"
    with pytest.raises(ManifestError, match=r"line 2: start is 13700 s, but frame 411 .* Give times in seconds"):
        read_recordings(written(tmp_path, text.format(13700, 14100)))
    (anna,) = read_recordings(written(tmp_path, text.format(13.7, 14.1))).recordings
    assert anna.events[0].end == 14.1


ONE_EVENT = "recording,kind,onset,apex,offset,emotion,action_units\n"


def test_rows_of_several_coders_are_one_event(tmp_path):
    """Each row has the units of a coder; cells of the event itself may be given once."""
    text = ONE_EVENT + "a,micro,10,15,20,,L12\nb,micro,10,,20,,4\na,micro,10,,20,happy,R12+6\na,micro,10,,20,,25\n"
    path = written(tmp_path, text)
    found = read_recordings(path)
    event = Event("micro", 10, 15, 20, label="happy", action_units=annotated_units("12+6+25"))
    assert [(one.name, one.events) for one in found.recordings] == [
        ("a", (event,)),
        ("b", (Event("micro", 10, None, 20, action_units=annotated_units("4")),)),
    ]
    assert found.notes == (
        f"{path}: rows for the same frames with other action units are read as one event with the units of all: 2 more "
        "lines (4, 5).",
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,micro,10,15,20,happy,12", r"\(micro, frames 10 to 20\) on line 2\. Delete one"),
        ("a,micro,10,15,20,happy,", r"on line 2\. Delete one"),
        ("a,micro,10,16,20,happy,6", r"on line 2, where apex is 15, not 16\. Use one value"),
        ("a,micro,10,15,20,sad,6", r"on line 2, where emotion is happy, not sad\. Use one value"),
    ],
)
def test_rows_that_repeat_or_contradict_an_event(tmp_path, row, message):
    text = f"{ONE_EVENT}a,micro,10,15,20,happy,12\na,micro,10,15,20,happy,4\n{row}\n"
    with pytest.raises(ManifestError, match=message):
        read_recordings(written(tmp_path, text))


def test_rows_that_repeat_in_tables_of_the_challenges_are_noted(tmp_path):
    """Their scores count each, and they have no column that could tell two apart."""
    path = written(tmp_path, "vid,onset,offset,type\na,10,20,me\na,10,20,me\na,10,20,mae\n")
    found = read_recordings(path)
    assert len(found.recordings[0].events) == 3
    assert found.notes == (f"{path}: 'a' has the same event (micro, frames 10 to 20) 2 times; each is counted.",)


@pytest.mark.parametrize(
    ("name", "known"), [("Emotions", "emotion"), ("action units", "action_units"), ("sbject", "sub")]
)
def test_columns_that_are_nearly_named(tmp_path, name, known):
    text = "recording,kind,onset,offset,coder,{}\nanna,micro,1,3,me,x\n"
    with pytest.raises(ManifestError, match=rf"line 1: there is a column '{name}', but no column '{known}"):
        read_recordings(written(tmp_path, text.format(name)))
    for other in ("comment", "motion"):  # the second is a column of manifests
        path = written(tmp_path, text.format(other))
        assert read_recordings(path).notes == (f"{path}: the columns 'coder', '{other}' are not read.",)


def test_names_that_no_file_can_have(tmp_path):
    """The system refuses to look for a file of such a name; so no file is there."""
    head = "recording,path,kind,onset,apex,offset\n"
    for row in (f"{'a' * 5000},,micro,1,2,3\n", f"x,{'a' * 5000},micro,1,2,3\n"):
        (recording,) = read_recordings(written(tmp_path, head + row)).recordings
        assert recording.path is None or len(recording.path.name) == 5000


def test_units_that_cannot_be_read_are_left_out_and_named(tmp_path):
    found = read_recordings(written(tmp_path, TABLE.replace("L12", "Chewing")))
    assert found.recordings[1].events[0].action_units == ()
    assert "line 4" in found.notes[0]


def test_tables_of_other_kinds_are_told(tmp_path):
    with pytest.raises(ManifestError, match=r"is not a table of recordings. .*vid,pred_onset,pred_offset,type"):
        read_recordings(written(tmp_path, "sample,label\na,b\n"))
    with pytest.raises(ManifestError, match="does not exist"):
        read_recordings(tmp_path / "nowhere.csv")


def test_truth_in_the_forms_of_the_challenges(tmp_path):
    """The first rows of the public example of the spot-then-recognize score."""
    text = "subject,video,onset,offset,emotion\n1,EP02_01f,45,85,happiness\n1,EP03_02,130,160,others\n"
    found = read_recordings(written(tmp_path, text)).recordings
    assert [(r.name, r.events[0].onset, r.events[0].offset, r.events[0].label) for r in found] == [
        ("1/EP02_01f", 44, 84, "happiness"), ("1/EP03_02", 129, 159, "others")
    ]  # fmt: skip
    text = "Vid,Onset,Offset,Type\n004_3,2086,2163,me\n004_3,2177.0,2331,MaE\n004_3,9,20,micro-expression\n"
    (found,) = read_recordings(written(tmp_path, text), first_frame=0).recordings
    assert [(e.kind, e.onset) for e in found.events] == [("micro", 2086), ("macro", 2177), ("micro", 9)]
    with pytest.raises(ManifestError, match="line 2: the kind is 'x'"):
        read_recordings(written(tmp_path, "vid,onset,offset,type\na,1,2,x\n"))
    early = written(tmp_path, "vid,onset,offset,type\na,0,2,me\n")
    with pytest.raises(ManifestError, match="line 2: onset is 0, but the first frame has the number 1.*first_frame"):
        read_recordings(early)
    assert read_recordings(early, first_frame=0).recordings[0].events[0].onset == 0


def test_names_of_one_recording():
    same = ["s15/0401", "S15_0401", "s15_0401.mp4", "./s15/0401", "s15\\0401", " s15 0401.MOV "]
    assert {recording_key(name) for name in same} == {"s15_0401"}
    assert recording_key("spNO.1/a") == "spno.1_a"
    assert recording_key("006_1") != recording_key("006_11")


TRUTH = (
    Recording("anna_1", path=Path("anna/1.mp4"), fps=30),
    Recording("s15/0401", numbers=(1, 2, 3, 5, 6, 7)),
)


def document(name, *spans, video=None):
    events = [Event("micro", a, None, b).to_dict() for a, b in spans]
    return {"schema": "htnet.analysis", "sample": name, "files": {"video": video}, "events": events}


def test_predictions_are_brought_to_the_frames_of_the_truth(tmp_path):
    table = written(tmp_path, "vid,pred_onset,pred_offset,type\nAnna_1.mp4,10,19,me\ns15_0401,3,6,mae\n")
    found = read_events(table).of(TRUTH)
    assert [(e.onset, e.offset) for e in found["anna_1"]] == [(9, 18)], "counted from 1 there, from 0 in the truth"
    assert [(e.onset, e.offset) for e in found["s15/0401"]] == [(3, 6)], "both as the files are numbered"
    assert read_events(table).of(TRUTH, first_frame=0)["anna_1"][0].onset == 10
    file = written(tmp_path, json.dumps(document("s15_0401", (2, 4))), "a.json")
    assert [(e.onset, e.offset) for e in read_events(file).of(TRUTH)["s15/0401"]] == [(3, 6)], "files 3 to 6"
    far = written(tmp_path, json.dumps(document("s15_0401", (2, 6))), "b.json")
    with pytest.raises(InputError, match="lasts from frame 2 to 6, counted from 0, but the recording has 6 frames"):
        read_events(far).of(TRUTH)
    known = (Recording("s15/0401", frames=6),)
    with pytest.raises(InputError, match="lasts from frame 2 to 6, counted from 0, but the recording has 6 frames"):
        read_events(far).of(known)
    early = written(tmp_path, "vid,pred_onset,pred_offset,type\ns15_0401,0,6,mae\n")
    with pytest.raises(InputError, match="begins at frame 0, but the first frame has the number 1.*first_frame"):
        read_events(early).of(known)
    assert read_events(early).of((Recording("s15/0401", frames=7),), first_frame=0)["s15/0401"][0].offset == 6


def test_a_recording_is_found_by_its_video(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, json.dumps(document("1", (2, 4), video="anna/1.mp4")), "a.json")
    assert list(read_events("a.json").of(TRUTH)) == ["anna_1"]
    written(tmp_path, json.dumps(document("1", (2, 4), video="ben/1.mp4")), "a.json")
    with pytest.raises(InputError, match="events of '1', which is not one of the annotated recordings"):
        read_events("a.json").of(TRUTH)


def test_two_recordings_of_one_file_are_not_told_apart_by_it(tmp_path):
    """The events of the file counted for the last of them, in silence."""
    video = tmp_path / "x.mp4"
    video.touch()
    text = "recording,path,kind,onset,offset\na,x.mp4,micro,1,5\nb,./x.mp4,micro,7,9\n"
    truth = read_recordings(written(tmp_path, text)).recordings
    found = read_events(written(tmp_path, json.dumps({**document("x"), "files": {"video": str(video)}}), "x.json"))
    with pytest.raises(InputError, match="'x' occurs twice, or matches several annotated ones"):
        found.of(truth)


@pytest.mark.parametrize(("text", "kind"), [("ME", "micro"), ("me", "micro"), ("MaE", "macro")])
def test_kinds_have_the_names_of_the_challenges_too(tmp_path, text, kind):
    """The message proposed "me", which was refused as well."""
    (found,) = read_recordings(written(tmp_path, f"recording,kind,onset,offset\na,{text},1,5\n")).recordings
    assert found.events[0].kind == kind


def test_folders_and_lines(tmp_path):
    inside = tmp_path / "out" / "one"
    inside.mkdir(parents=True)
    written(inside, json.dumps(document("anna_1", (2, 4))), "events.json")
    written(inside, json.dumps({"curves": []}), "curves.json")
    broken = written(inside, json.dumps(document("s15_0401"))[:-9], "broken.json")
    with pytest.raises(ManifestError, match=r"broken\.json cannot be read: invalid JSON .*remove it from the folder"):
        read_events(tmp_path / "out")
    broken.unlink()
    written(inside, json.dumps({"seed": 1, "events": [{"kind": "micro", "onset": 3}]}), "truth.json")
    written(inside, "vid,onset,offset,type\nanna_1,1,2,me\n", "events.csv")
    found = read_events(tmp_path / "out")
    assert [(entry.name, len(entry.events)) for entry in found.found] == [("anna_1", 1)]
    lines = "\n".join(json.dumps(document(name)) for name in ("anna_1", "s15_0401"))
    file = written(tmp_path, lines, "all.jsonl")
    assert read_events(file).of(TRUTH) == {"anna_1": (), "s15/0401": ()}
    written(inside, json.dumps(document("Anna_1.mp4")), "more.json")
    with pytest.raises(InputError, match="occurs twice"):
        read_events(tmp_path / "out").of(TRUTH)
    for file in inside.glob("*.json"):
        file.unlink()
    assert read_events(tmp_path / "out").of(TRUTH)["anna_1"][0].onset == 0
    (inside / "events.csv").unlink()
    with pytest.raises(ManifestError, match="contains no JSON document of htnet with events"):
        read_events(tmp_path / "out")


def test_a_header_alone_says_that_nothing_was_found(tmp_path):
    assert read_events(written(tmp_path, "vid,onset,offset,type\n")).found == ()
    own = written(tmp_path, TABLE, "own.csv")
    first = read_events(own).found[0]
    assert (first.name, first.from_zero) == ("anna_1", True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "JSON at line 1"),
        ("[]", "contains no events"),
        ('{"events": 3}', "contains no events"),
        ('{"events": [{"kind": "micro"}]}', "event 1 of 'p' lacks onset_frame, offset_frame"),
    ],
)
def test_files_that_are_no_predictions(tmp_path, text, message):
    with pytest.raises((InputError, ManifestError), match=message):
        read_events(written(tmp_path, text, "p.json"))
    with pytest.raises(ManifestError, match="does not exist"):
        read_events(tmp_path / "nowhere.json")


def test_rates(tmp_path):
    found = read_recordings(written(tmp_path, "recording,kind,onset,offset\na,micro,1,2\n"))
    assert found.recordings[0].fps is None
    assert found.with_rate(50).recordings[0].seconds(25) == 0.5
    assert found.with_rate(None) is found
    with pytest.raises(InputError, match=r"'anna_1' has 30 frames per second, not 25"):
        read_recordings(written(tmp_path, TABLE)).with_rate(25)


def test_files_of_elan_and_tables_of_times_are_told_what_to_do(tmp_path):
    elan, folder = tmp_path / "coder.eaf", tmp_path / "coders"
    write_elan(elan, [Event("micro", 10, 12, 20)], fps=30)
    copy = tmp_path / "coder.xml"
    copy.write_bytes(elan.read_bytes())
    write_elan(folder / "anna.eaf", [Event("micro", 10, 12, 20)], fps=30)
    for path in (elan, copy):
        for read in (read_recordings, read_events):
            with pytest.raises(ManifestError, match="is a file of ELAN, which htnet writes but does not read. Export"):
                read(path)
    with pytest.raises(ManifestError, match="anna.eaf is a file of ELAN"):
        read_events(folder)
    for header in ("Tier\tBegin Time - ss.msec\tEnd Time - ss.msec\tvalue", "recording\tkind\tstart\tend"):
        table = tmp_path / "times.txt"
        table.write_text(f"{header}\nanna\tmicro\t1.2\t1.5\n", encoding="utf-8")
        for read in (read_recordings, read_events):
            with pytest.raises(ManifestError, match="has times, but no frame numbers. Write a table with the columns"):
                read(table)
