"""The composite put together from the three official trees."""

import csv
import dataclasses
import random
from collections import defaultdict

import pytest

from htnet.core.errors import ManifestError
from htnet.data import merge_composite, read_composite, read_dataset
from tests.data import official
from tests.support.paths import COMPOSITE, needs_shared

PARTS = ("casme2", "samm", "smic")
#: Labels that the rule of MEGC 2019 makes one class of.
CASME2 = {"0": ("disgust", "repression"), "1": ("happiness",), "2": ("surprise",)}
SAMM = {"0": ("Anger", "Contempt", "Disgust", "Fear", "Sadness"), "1": ("Happiness",), "2": ("Surprise",)}
LIST = [("casme2", "sub04", "EP12_02f", "0"), ("casme2", "sub05", "EP12_03f", "2"),
        ("casme2", "sub19", "EP01_01f", "1"),
        ("smic", "s01", "s01_ne_01", "0"), ("smic", "s11", "s11_po_03", "1"), ("smic", "s11", "s11_sur_01", "2"),
        ("samm", "006", "006_1_2", "0"), ("samm", "028", "028_4_1", "0"), ("samm", "032", "032_3_1", "1"),
        ("samm", "033", "033_1_3", "2")]  # fmt: skip


def span():
    """Onset, apex and offset of a clip."""
    onset = random.randrange(1, 6000)
    apex = onset + random.randrange(1, 40)
    return onset, apex, apex + random.randrange(1, 40)


def build(root, wanted):
    """The three trees with the samples of a list, and with those that the list leaves out."""
    rows = defaultdict(list)
    for dataset, subject, name, label in wanted:
        if dataset == "smic":
            _, code, number = name.split("_")
            rows[dataset].append(f"s{int(subject[1:])}_{code}_{number}")
        elif dataset == "casme2":
            rows[dataset].append((int(subject[3:]), name, *span(), random.choice(CASME2[label])))
        else:
            rows[dataset].append((int(subject), name, *span(), random.choice(SAMM[label])))
    rows["casme2"] += [(s, f"EP88_{i:02d}", *span(), label) for i, (s, label) in enumerate(
        [(1, "others"), (10, "others"), (18, "others"), (3, "sadness"), (20, "fear")])]  # fmt: skip
    rows["casme2"] += [(4, "EP12_01f", 261, "/", 321, "disgust"), (5, "EP09_05f", 69, 69, 123, "disgust")]
    rows["casme2"] += [row for row in rows["casme2"] if row[:2] == (5, "EP12_03f")]
    rows["samm"] += [(s, f"{s:03d}_9_{i}", *span(), "Other") for i, s in enumerate((6, 8, 25, 37))]
    rows["samm"] = [(*row[:2], row[2], row[2] - 1, *row[4:]) if row[1] in ("028_4_1", "032_3_1") else row
                    for row in rows["samm"]]  # fmt: skip
    for name in PARTS:
        random.shuffle(rows[name])
        getattr(official, name)(root / name, rows[name])
    return {name: read_dataset(name, root / name) for name in PARTS}


def identity(manifest):
    return sorted((s.dataset, s.subject, s.sample, s.label) for s in manifest)


@pytest.mark.slow
@needs_shared
def test_the_published_list_comes_out_exactly(tmp_path):
    with (COMPOSITE / "combined_3_class2_for_optical_flow.csv").open(newline="") as file:
        wanted = [(row["dataset"], row["sub"], row["filename_o"], row["label"]) for row in csv.DictReader(file)]
    parts = build(tmp_path, wanted)
    found = merge_composite(**parts)
    published = read_composite(COMPOSITE)
    assert (len(found), len(found.subjects)) == (442, 68)
    assert identity(found) == identity(published)
    assert found.subjects == published.subjects
    assert found.classes == published.classes
    assert len(found.excluded) == 5 + 4 + 2 + 1, "others, the two omitted, and the repeated row"
    assert found.skipped == ()
    keep = COMPOSITE / "combined_3_class2_for_optical_flow.csv"
    assert identity(merge_composite(**parts, keep=keep)) == identity(published)


def test_members_and_what_is_left_out(tmp_path):
    parts = build(tmp_path, LIST)
    found = merge_composite(**parts)
    classes = {"0": "negative", "1": "positive", "2": "surprise"}
    assert identity(found) == sorted((d, s, f"{s}_{n}", classes[label]) for d, s, n, label in LIST)
    assert [s.dataset for s in found] == ["casme2"] * 3 + ["smic"] * 3 + ["samm"] * 4
    left_out = dict(found.excluded)
    assert left_out["sub04_EP12_01f"] == left_out["sub05_EP09_05f"] == "negative (not in the composite)"
    assert left_out["sub05_EP12_03f"] == "surprise (repeated row)"
    assert sorted(set(left_out.values())) == [
        "Other", "fear", "negative (not in the composite)", "others", "sadness", "surprise (repeated row)",
    ]  # fmt: skip
    assert set(found.middle_apex) == {"028_028_4_1", "032_032_3_1", *(s.sample for s in parts["smic"])}
    strict = {n: read_dataset(n, tmp_path / n, no_apex="exclude" if n == "casme2" else "middle") for n in PARTS}
    assert identity(merge_composite(**strict)) == identity(found)


def test_missing_files_are_passed_on(tmp_path):
    parts = build(tmp_path, LIST)
    lost = random.choice(parts["samm"].samples)
    lost.apex.unlink()
    found = merge_composite(**{n: read_dataset(n, tmp_path / n, missing="skip") for n in PARTS})
    if lost.sample in parts["samm"].middle_apex:  # then the next frame stands in the middle
        assert lost.sample in [s.sample for s in found]
    else:
        assert (found.skipped, found.missing_files) == ((lost.sample,), (str(lost.apex),))
        assert len(found) == len(LIST) - 1


def test_keep(tmp_path):
    parts = build(tmp_path, LIST)
    names = ["sub05_EP09_05f", "006_006_1_2", "s11_s11_sur_01"]
    found = merge_composite(**parts, keep=iter(names))
    assert [s.sample for s in found] == ["sub05_EP09_05f", "s11_s11_sur_01", "006_006_1_2"]
    assert ("sub19_EP01_01f", "positive (not in the list to keep)") in found.excluded
    (tmp_path / "names.csv").write_text("sample\n" + "\n".join(names) + "\n")
    assert merge_composite(**parts, keep=tmp_path / "names.csv") == found
    with pytest.raises(ManifestError, match=r"1 sample \('sub01_EP99'\) in keep are in none"):
        merge_composite(**parts, keep=[*names, "sub01_EP99"])
    skipped = dataclasses.replace(parts["casme2"], skipped=("sub01_EP99",))
    assert len(merge_composite(skipped, parts["samm"], parts["smic"], keep=[*names, "sub01_EP99"])) == 3
    (tmp_path / "bad.csv").write_text("name\na\n")
    with pytest.raises(ManifestError, match=r"bad.csv names no samples: it needs the column 'sample'"):
        merge_composite(**parts, keep=str(tmp_path / "bad.csv"))


def test_parts_must_be_what_they_are_given_as(tmp_path):
    parts = build(tmp_path, LIST)
    with pytest.raises(ManifestError, match=r"is given as casme2, but contains samples of 'samm'. Give read_dataset"):
        merge_composite(parts["samm"], parts["casme2"], parts["smic"])
    own = read_dataset("samm", tmp_path / "samm", classes="own")
    with pytest.raises(ManifestError, match=r"given as samm, but has the classes happiness, .*classes='3'"):
        merge_composite(parts["casme2"], own, parts["smic"])
