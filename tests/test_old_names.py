"""No old name of `htnet.core.deprecated` is used anywhere, and spelling is American."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

from htnet.core import deprecated

ROOT = Path(__file__).parent.parent
#: Files that know the old names: the table, its tests, what tells users of them, and this file.
KNOWING = {
    "htnet/core/deprecated.py": "the table",
    "tests/core/test_deprecated.py": "tests the table",
    "tests/test_old_names.py": "this test",
    "tests/palsy/test_flow.py": "tests old arguments of the wing",
    "CHANGELOG.md": "says what was renamed",
}
#: Old names that are not looked for, and why.
ORDINARY = {
    "As": "an ordinary word",
    "Through": "an ordinary word",
    "--model": "an option of train and loso today",
    "average": "an ordinary word and an argument of scikit-learn",
    "flow": "an ordinary word and an attribute of Prediction",
    "left": "an ordinary word",
    "message": "an ordinary word and an argument of errors",
    "model": "an ordinary word and an argument of train and loso",
    "right": "an ordinary word",
    "source": "an ordinary word and an argument of readers",
    "stop": "an ordinary word and the second argument of ranges",
}
#: Old names that are ordinary words, but not as arguments: these alone are looked for.
ARGUMENTS_ALONE = {"begun", "leave", "stack"}
#: A file whose name begins as an old module's.
LONGER = ("htnet.schema.json",)
#: Old names in what was written before and is still read, and in formats of others.
STORED = {
    "jobs": (".github/workflows/ci.yml", ".github/workflows/release.yml", "tests/test_release.py"),  # GitHub's word
    "licence": ("htnet/core/provenance.py", "tests/hub/test_provenance.py"),
    "start_share": ("tests/evaluation/test_loso.py",),
    "regions_cut_at": ("tests/evaluation/test_loso.py",),
}
BRITISH = re.compile(
    r"colour|grey|neighbour|behaviour|favour|licence|(?<!4dme_)labell(?:ed|ing)|modell(?:ed|ing)|centre|metres?\b|learnt\b|"
    r"(?:standard|normal|optim|initial|recogn|summar|linear|serial|regular|minim|maxim|visual|organ|general)is"
    r"(?:e|ed|es|ing|ation)\b"
)
#: Places where a British word is not ours.
BRITISH_ELSEWHERE = {
    "htnet/palsy/patients.py": "words in the file names of hospitals",
    "htnet/core/provenance.py": "cards from before",
    "tests/hub/test_provenance.py": "cards from before",
}


def old_names():
    for old, new in deprecated.NAMES.items():
        name = old.rpartition(".")[2]
        yield old if name == new.removesuffix("()").rpartition(".")[2] else name
    yield from deprecated.MODULES
    for table in (deprecated.OPTIONS, deprecated.ATTRIBUTES, deprecated.ARGUMENTS, deprecated.WORDS):
        for names in table.values():
            yield from names
    yield from (*deprecated.TRAINING_KEYS, *deprecated.RUN_KEYS, *deprecated.RECIPE_FIELDS)
    yield from (option for _, option, _ in deprecated.COMMANDS)
    yield from (argument for argument, _ in deprecated.CALLS.values())


OLD = set(old_names()) - ORDINARY.keys() - ARGUMENTS_ALONE


def uses(text):
    """Place and name of the old names in a text: alone, as a part of a dotted name, or as an option."""
    for match in re.finditer(r"--[\w-]+|\w+(?:\.\w+)*", text):
        parts = match[0].split(".")
        if match[0] not in LONGER:
            dotted = {".".join(parts[:n]) for n in range(2, len(parts) + 1)}
            yield from ((match.start(), name) for name in dotted.union(parts) & OLD)
    for match in re.finditer(rf"(?<=[(\s])({'|'.join(sorted(ARGUMENTS_ALONE))})=(?!=)", text):
        yield match.start(), match[1]


def texts():
    """Path and text of every file written by hand."""
    folders = ("htnet", "tests", "benchmarks", "examples", "docs", ".ci", ".github")
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*"))]
    for path in (*found, *sorted(ROOT.glob("*"))):
        # Folders with a dot within them are made by tools: benchmarks keep an environment with other libraries in one.
        if any(part.startswith(".") for part in path.relative_to(ROOT).parts[1:-1]):
            continue
        if (path.is_file() and path.suffix in {".py", ".md", ".toml", ".yml", ".txt"}) or path.name in {
            "Makefile",
            "run",
        }:
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


def line(text, start):
    return text.count("\n", 0, start) + 1


@pytest.fixture(scope="module")
def written():
    return [(path, text) for path, text in texts() if path not in KNOWING]


def test_old_names_are_used_nowhere(written):
    used = defaultdict(list)
    for path, text in written:
        for start, name in uses(text):
            if path not in STORED.get(name, ()):
                used[name].append(f"{path}:{line(text, start)}")
    assert used == {}


def test_lists_of_exceptions_are_needed():
    assert ORDINARY.keys() | ARGUMENTS_ALONE | STORED.keys() <= set(old_names())
    for path in (*KNOWING, *BRITISH_ELSEWHERE, *(path for paths in STORED.values() for path in paths)):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("htnet.jobs.cores", "htnet.jobs"),
        ("loso(data, stack=2)", "stack"),
        ("htnet loso --jobs 2", "--jobs"),
        ("see `train_together`.", "train_together"),
        ("PretrainedSpec(licence=1)", "licence"),
    ],
)
def test_a_use_is_seen(text, name):
    assert name in {used for _, used in uses(text)}


@pytest.mark.parametrize("text", ["np.stack(x)", "htnet.core.schema", "htnet.schema.json", "leave(1)", "to_licence"])
def test_other_words_are_left_alone(text):
    assert not list(uses(text))


def test_spelling_is_american(written):
    british = [
        f"{path}:{line(text, match.start())}: {match[0]}"
        for path, text in written
        if path not in BRITISH_ELSEWHERE
        for match in BRITISH.finditer(text.lower())
    ]
    assert british == []
