import pytest

from htnet.core.megc import write_megc
from htnet.data import read_events
from htnet.errors import InputError, OverwriteError
from htnet.types import Event

EVENTS = {
    "s15/0401": [Event("macro", 99, 120, 189), Event("micro", 9, 12, 18, label="surprise"), Event("blink", 3, None, 6)],
    "s16/0502": [],
}


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("megc2022", "vid,pred_onset,pred_offset,type\ns15/0401,10,19,me\ns15/0401,100,190,mae\n"),
        ("megc2023", "vid,onset,offset,type\ns15/0401,10,19,me\ns15/0401,100,190,mae\n"),
        ("str", "subject,video,onset,offset,emotion\ns15,0401,10,19,surprise\n"),
    ],
)
def test_forms_of_the_challenges(tmp_path, form, text):
    path = tmp_path / "pred.csv"
    assert write_megc(path, EVENTS, form=form) == text.count("\n") - 1
    assert path.read_text() == text
    (found,) = read_events(path).found
    assert (found.name, found.from_zero) == ("s15/0401", False)
    assert [(e.kind, e.onset, e.offset) for e in found.events] == (
        [("micro", 10, 19)] + [("macro", 100, 190)] * (form != "str")
    )
    with pytest.raises(OverwriteError):
        write_megc(path, EVENTS, form=form)


def test_numbers_of_the_first_frame(tmp_path):
    write_megc(tmp_path / "pred.csv", EVENTS, first_frame=0)
    assert "s15/0401,9,18,me" in (tmp_path / "pred.csv").read_text()


def test_what_a_form_cannot_hold(tmp_path):
    path = tmp_path / "pred.csv"
    with pytest.raises(InputError, match=r"form is 'megc2025'. Did you mean"):
        write_megc(path, EVENTS, form="megc2025")
    with pytest.raises(InputError, match="'006_1' names no subject"):
        write_megc(path, {"006_1": EVENTS["s15/0401"]}, form="str")
    with pytest.raises(InputError, match=r"at frame 9 of 's15/1' has no emotion"):
        write_megc(path, {"s15/1": [Event("micro", 9, None, 18)]}, form="str")
    assert not path.exists()
