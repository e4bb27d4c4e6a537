"""Errors that are raised again about a sample or a frame are still the same errors."""

import pickle

import pytest

from htnet.core import errors
from htnet.core.errors import HtnetError, LandmarkError, VideoError, about_sample, did_you_mean
from htnet.core.official import OFFICIAL, did_you_mean_set
from htnet.preprocess.landmarks.base import about_frame

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HtnetError)]


@pytest.mark.parametrize("kind", KINDS)
def test_about_a_sample_it_keeps_all_that_it_carries(kind):
    error = kind("it is cut off.")
    error.more = {"anything": 1}
    if kind is VideoError:
        error.frame = 7
    named = about_sample("a01", error)
    assert type(named) is kind
    assert str(named) == "Sample 'a01': it is cut off."
    assert vars(named) == vars(error)
    assert str(error) == "it is cut off."
    assert str(pickle.loads(pickle.dumps(named))) == str(named), "it comes back from a worker"
    assert vars(pickle.loads(pickle.dumps(named))) == vars(named)


def test_the_number_of_a_damaged_frame_is_kept():
    assert about_sample("a01", VideoError("cut off.", 12)).frame == 12
    assert about_sample("a01", VideoError("empty.")).frame is None


def test_about_a_frame():
    error = about_frame(3, LandmarkError("no face."))
    assert (type(error), str(error)) == (LandmarkError, "Frame 3 (counted from 0): no face.")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CASME2", "Did you mean 'casme2'?"),
        ("Casme-2", "Did you mean 'casme2'?"),
        ("CASME SQ", "Did you mean 'casme_sq'?"),
        ("SMICC", "Did you mean 'smic'"),
        ("zzz", "Known: casme, casme2, casme_sq, smic."),
        ("...", "Known: casme, casme2, casme_sq, smic."),
    ],
)
def test_case_and_separators_make_no_difference_to_what_is_suggested(name, meant):
    assert did_you_mean(name, ["smic", "casme2", "casme", "casme_sq"]).startswith(meant)


def test_capitals_of_known_names_are_kept():
    assert did_you_mean("onsetframe", ["OnsetFrame", "ApexFrame"]).startswith("Did you mean 'OnsetFrame'")
    assert did_you_mean("subject", ["Subject", "SUBJECT"]) == "Did you mean 'SUBJECT' or 'Subject'?"


@pytest.mark.parametrize(
    ("name", "meant"),
    [("CAS(ME)\u00b3", "casme3"), ("CAS(ME)\u00b2", "casme_sq"), ("CASME \u2161", "casme2"), ("CAS(ME)^3", "casme3")],
)
def test_names_of_sets_with_raised_and_roman_digits(name, meant):
    known = [one.name for one in OFFICIAL]
    assert meant in known
    assert f"Did you mean {meant!r}" in did_you_mean_set(name, known)
