"""Numbers and names in messages."""

import pytest

from htnet.core.words import LISTED, abridged, in_bytes


def note(names):
    return f"Published list of SAMM (133 samples), here 3: {len(names)} missing here: {', '.join(names)}."


def test_a_long_list_of_names_is_cut_to_the_first_and_their_number():
    names = [f"s{i:03}_a" for i in range(330)]
    short = abridged(note(names))
    assert short == note(names).split("s000_a")[0] + "s000_a, s001_a, s002_a, s003_a, s004_a, ... (330 in all)."


@pytest.mark.parametrize(
    "text",
    [
        note([f"s{i}" for i in range(LISTED)]),
        # a comma in the reason is not another name
        note([f"s{i} (surprise there, sadness here)" for i in range(LISTED)]),
        "The label 'x' occurs once: see a, b, c, d, e, f. Correct the sheet.",
        "no list, but some, commas, in, one, sentence",
    ],
)
def test_other_notes_are_shown_whole(text):
    assert abridged(text) == text


@pytest.mark.parametrize(
    ("size", "text"), [(8_524, "9 kB"), (99_400, "99 kB"), (371_308, "0.4 MB"), (10_980_816, "11.0 MB")]
)
def test_sizes(size, text):
    assert in_bytes(size) == text
