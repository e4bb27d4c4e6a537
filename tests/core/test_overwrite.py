"""Nothing that exists is overwritten unless asked: every command and every function that writes."""

import argparse
import ast
import errno
import inspect
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from htnet import cli
from htnet.cli import build_parser
from htnet.core.elan import write_elan
from htnet.core.errors import HtnetError, InputError, OverwriteError
from htnet.core.files import check_folder, check_outputs, remove_partial, whole_file, write_text
from htnet.core.megc import write_megc
from htnet.core.parallel import LOCK_FILE
from htnet.core.recordings import write_recordings
from htnet.data import Manifest, Sample
from htnet.data.prepare import prepare
from htnet.evaluation import loso
from htnet.evaluation.calibration import reliability
from htnet.hub import load_pretrained, save_pretrained
from htnet.hub.folder import FILES
from htnet.pipeline import plots
from htnet.pipeline.export import write_curve, write_predictions
from htnet.preprocess import write_flow_image
from htnet.preprocess.__main__ import main as preprocess_main
from htnet.training import train_on_generated, train_weights
from tests.support.flows import write_flow_set
from tests.support.pairs import face_pair, pair_manifest, tiny_model
from tests.support.paths import ROOT
from tests.support.slow import slow_if
from tests.support.wings import of_wings, with_wings

MINE = b"what a user keeps"
#: Command lines with OUT for the place of the output, and the file there that must not be lost. The inputs need not
#: exist: what would be lost is looked at before anything is read.
COMMANDS = {
    "predict --plot": ("predict a.png b.png --plot OUT/p.png", "p.png"),
    "predict --report": ("predict a.png b.png --report OUT/r.html", "r.html"),
    "predict video --plot": ("predict a.mp4 --plot OUT/p.png", "p.png"),
    "predict --manifest": ("predict --manifest m.csv --out OUT/p.csv", "p.csv"),
    "demo, its picture": ("demo --out OUT", "prediction.png"),
    "demo, its result": ("demo --out OUT", "prediction.json"),
    "spot --csv": ("spot a.mp4 --csv OUT/c.csv", "c.csv"),
    "spot --plot": ("spot a.mp4 --plot OUT/c.png", "c.png"),
    "convert": ("convert a.pth OUT", "model.safetensors"),
    "convert, a README": ("convert a.pth OUT", "README.md"),
    "export": ("export composite --out OUT", "model.onnx"),
    "export, what it says": ("export composite --format torch --out OUT", "htnet.json"),
    "train": ("train --data d --out OUT", "model.safetensors"),
    "train, a config": ("train --data d --out OUT", "config.json"),
    "pretrain": ("pretrain --model htnet_tiny --count 8 --epochs 1 --out OUT", "model.safetensors"),
    "loso --plot": ("loso --data d --out OUT/run --plot OUT/r.png", "r.png"),
    "prepare manifest": ("prepare manifest --root PAIRS --landmarks template --out OUT", "manifest.csv"),
    "loso, results": ("loso --data FLOW --model htnet_tiny --epochs 1 --out OUT", "summary.json"),
    "report": ("report r --out OUT/r.html", "r.html"),
    "preprocess --out": ("python a.png b.png --out OUT/f.png", "f.png"),
    "preprocess --uv": ("python a.png b.png --out OUT/f.png --uv OUT/f.npy", "f.npy"),
    "preprocess --color": ("python a.png b.png --out OUT/f.png --color OUT/c.png", "c.png"),
}
COMMANDS = with_wings("overwrite", "COMMANDS", COMMANDS)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    (root / "in").mkdir()
    write_flow_set(root / "flow", subjects=2, per_subject=2)
    pair_manifest(root / "pairs", 2)
    for write in of_wings("overwrite", "write_inputs"):
        write(root)
    return root


def words_of(line, inputs, out):
    places = {word: word.lower() for word in ("IN", "PAIRS", "FLOW", "FACES") if (inputs / word.lower()).exists()}
    return [str(inputs / places[word]) if word in places else word.replace("OUT", str(out)) for word in line.split()]


def call(words):
    return preprocess_main(words[1:]) if words[0] == "python" else cli.main(words)


@pytest.mark.parametrize("case", slow_if(lambda case: case.startswith("demo"), COMMANDS))
def test_no_command_overwrites(case, inputs, tmp_path, monkeypatch, capsys):
    line, name = COMMANDS[case]
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_bytes(MINE)
    words = words_of(line, inputs, out)
    assert call(words) == 2
    err = capsys.readouterr().err
    assert str(out / name) in err
    assert "exists" in err
    assert "--overwrite" in err
    assert {p.name: p.read_bytes() for p in out.iterdir() if p.name != ".lock"} == {name: MINE}
    if name != "summary.json" or not line.startswith("loso"):  # results of something else are no run to go on with
        call([*words, "--overwrite"])
        assert "exists" not in capsys.readouterr().err.replace("no longer exists", "")


#: Pictures that commands write under a name of the user's.
PICTURES = [case for case, (line, name) in COMMANDS.items() if name.endswith(".png") and name in line]


@pytest.mark.parametrize("name", ["p.txt", "p", "p.png.bak"])
@pytest.mark.parametrize("case", PICTURES)
def test_a_picture_of_no_format_is_refused_before_anything_is_read(case, name, inputs, tmp_path, capsys):
    line, picture = COMMANDS[case]
    words = words_of(line.replace(f"OUT/{picture}", f"OUT/{name}"), inputs, tmp_path / "out")
    assert call(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(rf"{name}('|\b).* ends in \.png", err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("case", PICTURES)
def test_a_picture_is_refused_first_without_matplotlib(case, inputs, tmp_path, monkeypatch, capsys):
    line, _ = COMMANDS[case]
    if line.startswith("python"):
        pytest.skip("OpenCV writes these")
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert call(words_of(line, inputs, tmp_path / "out")) == 2
    assert "needs matplotlib, which is not installed. Install it with: pip install" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("analyze a.mp4 --out EMPTY", "--out is empty"),
        ("demo --out EMPTY", "--out is empty"),
        ("predict EMPTY", "path is empty"),
        ("palsy predict EMPTY --weights w --out o", "path is empty"),
        ("analyze a.mp4 --out o --no-emotions --weights w", "--weights w recognizes emotions, --no-emotions none"),
        ("train --data FLOW --out o --landmarks x.csv --landmarks-size 0", "--landmarks-size is 0.0; give a number"),
        ("loso --data FLOW --landmarks x.csv --landmarks-size -28", "--landmarks-size is -28.0; give a number"),
        ("loso --data FLOW --model htnet_tiny --epochs 1 --start-is-disjoint", "there is no start (--start)"),
    ],
)
def test_words_that_cannot_be_obeyed_are_refused_and_nothing_is_written(
    line, said, inputs, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert call(["" if word == "EMPTY" else word for word in words_of(line, inputs, tmp_path)]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


#: Command lines that would write among what they read, with IN for that; the answer is a refusal, asked for or not.
INTO_INPUT = (
    "predict IN --plot IN/p.png",
    "predict a.png b.png --plot a.png",
    "predict --manifest IN/m.csv --out IN/m.csv",
    "spot IN --plot IN/p.png",
    "spot IN --plot IN/below/p.jpg",
    "spot LINK --plot IN/p.png",
    "prepare samm --root IN --out IN",
    "prepare samm --root IN --out LINK",
    "prepare composite --casme2 a --samm IN --smic c --out IN",
    "prepare manifest --root IN --out IN",
    "train --data IN --out IN",
    "loso --data IN --out IN",
    "convert IN/model.safetensors IN",
)
INTO_INPUT = with_wings("overwrite", "INTO_INPUT", INTO_INPUT)


@pytest.mark.parametrize("line", INTO_INPUT)
def test_no_command_writes_into_what_it_reads(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")
    for name in ("a.png", "in/m.csv", "in/model.safetensors", "in/0.png"):
        (tmp_path / name).write_bytes(MINE)
    assert cli.main([*line.replace("LINK", "link").replace("IN", "in").split(), "--overwrite"]) == 2
    assert re.search("is read|are read", capsys.readouterr().err)
    assert sorted(p.name for p in (tmp_path / "in").iterdir()) == ["0.png", "m.csv", "model.safetensors"]
    assert all(p.read_bytes() == MINE for p in tmp_path.rglob("*") if p.is_file())


@pytest.mark.slow
def test_a_manifest_that_fails_midway_leaves_no_file(inputs, tmp_path, capsys):
    pair_manifest(tmp_path / "m", 3)
    bad = sorted((tmp_path / "m").rglob("*apex*.png"))[-1]
    bad.write_bytes(b"")
    for name in ("p.csv", "p.jsonl"):
        words = ["predict", "--manifest", str(tmp_path / "m" / "manifest.csv"), "--landmarks", "template"]
        assert cli.main([*words, "--out", str(tmp_path / "out" / name)]) == 2
        assert list((tmp_path / "out").iterdir()) == []
        (tmp_path / "out" / name).write_bytes(MINE)
        assert cli.main([*words, "--out", str(tmp_path / "out" / name), "--overwrite"]) == 2
        assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == {name: MINE}
        (tmp_path / "out" / name).unlink()


def test_a_file_is_whole_or_not_there(tmp_path):
    file, link = tmp_path / "f.txt", tmp_path / "link.txt"

    def fail():
        with whole_file(file) as place:
            place.write_bytes(b"part")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []
    file.write_bytes(MINE)
    file.chmod(0o640)
    link.symlink_to(file)
    write_text(link, "new\n")  # a link is followed, and stays
    assert link.is_symlink()
    assert file.read_bytes() == b"new\n"
    assert file.stat().st_mode & 0o777 == 0o640
    with pytest.raises(InputError, match="cannot be written .*another place"):
        write_text(file / "below", "x")
    write_text("/dev/null", "x")


@pytest.mark.skipif(sys.platform == "win32", reason="has no such locks")
def test_only_what_nobody_writes_any_more_is_removed(tmp_path):
    dead = tmp_path / ".0123456789ab.tmp"
    dead.write_bytes(b"half")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / dead.name).write_bytes(b"half")
    with whole_file(tmp_path / "f.txt") as place:
        place.write_bytes(b"new")
        remove_partial(tmp_path, below=False)
        assert set(tmp_path.iterdir()) == {place, tmp_path / "below"}
        remove_partial(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["f.txt"]
    assert (tmp_path / "f.txt").read_bytes() == b"new"
    remove_partial(tmp_path / "nowhere")


@pytest.mark.parametrize(("number", "cure"), [(errno.ENOSPC, "Free some space there"), (errno.EMFILE, "ulimit -n")])
def test_the_cure_is_that_of_the_error(tmp_path, number, cure):
    with pytest.raises(InputError, match=f"f.txt cannot be written .*{cure}"), whole_file(tmp_path / "f.txt"):
        raise OSError(number, "told by the system")


def test_links_in_folders_of_strangers_lead_nowhere(tmp_path):
    """A folder for output may come from somebody else, with links among its files."""
    mine = tmp_path / "mine"
    mine.write_bytes(MINE)
    weights = save_pretrained(tiny_model(), tmp_path / "weights")
    for name in FILES:
        (weights / name).unlink()
        (weights / name).symlink_to(mine)
    save_pretrained(tiny_model(), weights, overwrite=True)
    load_pretrained(weights)
    manifest = pair_manifest(tmp_path / "in", 2)
    out = tmp_path / "out"
    prepare(manifest, out, landmarker="template")
    read = (LOCK_FILE, "preprocess.json")  # by which the folder is known
    whole = [path for path in out.rglob("*") if path.is_file() and path.name not in read]
    for path in whole:
        path.unlink()
        path.symlink_to(mine if path.name != "manifest.csv" else tmp_path / "new")
    prepare(manifest, out, landmarker="template", overwrite=True)
    assert mine.read_bytes() == MINE
    assert not (tmp_path / "new").exists()
    assert not [path for path in whole if path.is_symlink()]
    shutil.rmtree(out / "flow")
    (out / "flow").symlink_to(tmp_path)
    with pytest.raises(InputError, match=f"flow is a link to {tmp_path}, outside the output folder"):
        prepare(manifest, out, landmarker="template", overwrite=True)
    flows = write_flow_set(tmp_path / "set", 2, 3)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "folds").symlink_to(tmp_path)
    with pytest.raises(InputError, match="folds is a link to"):
        loso(flows, "htnet_tiny", out=tmp_path / "run", workers=1)


def test_weights_never_stand_beside_the_config_of_others(tmp_path, monkeypatch):
    save_pretrained(tiny_model(), tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="no space left on device"):
        save_pretrained(tiny_model(), tmp_path, overwrite=True)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["flow", "landmarks", "keys"])
def test_prepare_writes_over_no_files_of_something_else(name, tmp_path):
    manifest = pair_manifest(tmp_path / "in", 2)
    mine = tmp_path / "out" / name / "s0.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(MINE)
    with pytest.raises(OverwriteError, match=name):
        prepare(manifest, tmp_path / "out", landmarker="template")
    assert mine.read_bytes() == MINE


def test_no_ending_is_added_to_a_name_that_was_looked_at(tmp_path):
    (tmp_path / "p.png").write_bytes(MINE)
    figure = pytest.importorskip("matplotlib.figure").Figure()
    with pytest.raises(InputError, match=r"ends in \.png"):
        plots.save_figure(figure, tmp_path / "p")
    assert (tmp_path / "p.png").read_bytes() == MINE


#: How the names of functions end that may write a file.
WRITERS = (
    *("open", ".write_text", ".write_bytes", "savefig", "imwrite", "save_file", "np.save", "torch.save", "os.replace"),
    *("os.rename", "shutil.move", "shutil.copy", "shutil.copyfile"),
)


def bare_writes(path):
    """Calls in a source file that write a file elsewhere than in a block of `whole_file`."""

    def visit(node, inside):
        if isinstance(node, ast.With):
            inside = inside or any("whole_file(" in ast.unparse(item.context_expr) for item in node.items)
        name = ast.unparse(node.func) if isinstance(node, ast.Call) and not inside else "whole_file("
        if "whole_file(" not in name and name.endswith(WRITERS):
            text = ast.unparse(node)
            if not name.endswith("open") or re.search(r"""\(.*["'][wax]b?\+?["']""", text):
                yield text
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    return list(visit(ast.parse(path.read_text("utf-8")), False))


def test_all_files_are_written_by_the_one_writer():
    """A new writer is met here: it writes in a block of `whole_file`, or through `write_text` or `write_bytes`."""
    package = ROOT / "htnet"
    found = {str(p.relative_to(package)): bare_writes(p) for p in sorted(package.rglob("*.py"))}
    found.pop("core/files.py")
    assert {name: calls for name, calls in found.items() if calls} == {}


def leaves(parser, name=""):
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups:
        yield name, parser
    for group in groups:
        for child, below in group.choices.items():
            yield from leaves(below, f"{name} {child}".strip())


def test_every_command_that_writes_takes_overwrite():
    """A new command is met here: it takes --overwrite, or writes nothing."""
    without = {name for name, parser in leaves(build_parser()) if "--overwrite" not in parser.format_help()}
    nothing = ("push", "list", "evaluate-spotting", "doctor", "completion")
    assert without == set(with_wings("commands", "WRITES_NOTHING", nothing))


def function_calls(inputs, out):
    """Every public function that writes, with the file that is there when it is called."""
    model = tiny_model()
    bins = {"a": reliability(np.array([0, 1]), np.eye(2))}
    pairs = Manifest((Sample("x", "", "s", "negative", out / "o.png", out / "a.png"),))
    return [
        ("model.safetensors", lambda **k: save_pretrained(model, out, **k)),
        ("model.safetensors", lambda **k: train_weights(Manifest(()), [], out, **k)),
        ("model.safetensors", lambda **k: train_on_generated(out, **k)),
        ("README.md", lambda **k: save_pretrained(model, out, **k)),
        ("p.csv", lambda **k: write_predictions(out / "p.csv", [], ["a"], **k)),
        ("p.csv", lambda **k: write_curve(out / "p.csv", None, **k)),
        ("p.csv", lambda **k: pairs.write(out / "p.csv", **k)),
        ("p.csv", lambda **k: write_recordings(out / "p.csv", [], **k)),
        ("p.csv", lambda **k: write_megc(out / "p.csv", {}, **k)),
        ("p.eaf", lambda **k: write_elan(out / "p.eaf", [], **k)),
        ("p.png", lambda **k: write_flow_image(out / "p.png", np.zeros((28, 28, 3), np.uint8), **k)),
        ("p.png", lambda **k: plots.save_figure(None, out / "p.png", **k)),
        ("p.png", lambda **k: plots.plot_prediction(None, None, None, out / "p.png", **k)),
        ("p.png", lambda **k: plots.plot_spotting(None, out / "p.png", **k)),
        ("p.png", lambda **k: plots.plot_reliability(bins, out / "p.png", **k)),
        ("manifest.csv", lambda **k: prepare(pairs, out, landmarker="template", **k)),
        ("summary.json", lambda **k: loso(inputs / "flow", "htnet_tiny", out=out, progress=False, **k)),
    ]


def test_no_function_overwrites(inputs, tmp_path):
    calls = function_calls(inputs, tmp_path)
    assert len(calls) == 17
    for of_wing in of_wings("overwrite", "function_calls"):
        calls += of_wing(tiny_model(), inputs, tmp_path)
    for name, function in calls:
        (tmp_path / name).write_bytes(MINE)
        with pytest.raises(OverwriteError, match="overwrite=True|of something else"):
            function()
        assert (tmp_path / name).read_bytes() == MINE
        (tmp_path / name).unlink()
    assert issubclass(OverwriteError, FileExistsError)
    assert issubclass(OverwriteError, HtnetError)


def test_every_function_that_writes_takes_overwrite():
    modules = with_wings("overwrite", "PLOTS", (plots,))
    writers = [f for module in modules for n, f in vars(module).items() if n.startswith(("plot_", "save_"))]
    for function in writers:
        assert inspect.signature(function).parameters["overwrite"].default is False, function


def test_what_is_asked_for_is_done(inputs, tmp_path, capsys):
    path = tmp_path / "p.csv"
    path.write_bytes(MINE)
    assert write_predictions(path, [], ["a"], overwrite=True) == 0
    assert path.read_text().startswith("sample,")
    first = save_pretrained(tiny_model(), tmp_path / "w") / "model.safetensors"
    before = first.read_bytes()
    save_pretrained(tiny_model(), tmp_path / "w", overwrite=True)
    assert first.read_bytes() != before
    # A pair manifest again: nothing is lost, so nothing has to be asked for.
    words = words_of("prepare manifest --root PAIRS --landmarks template --flow dis --out OUT", inputs, tmp_path / "d")
    assert cli.main(words) == 0
    assert cli.main(words) == 0


@pytest.mark.slow
def test_the_demo_replaces_its_own_result_only(tmp_path, capsys):
    assert cli.main(["demo", "--out", str(tmp_path)]) == 0
    assert cli.main(["demo", "--out", str(tmp_path)]) == 0
    (tmp_path / "prediction.json").write_text(json.dumps({"sample": "my own"}))
    assert cli.main(["demo", "--out", str(tmp_path)]) == 2
    assert cli.main(["demo", "--out", str(tmp_path), "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: {"label": "surprise" if s.label != "surprise" else "negative"}, "the label"),
        (lambda s: {"subject": "somebody else"}, "the subject"),
        (lambda s: {"dataset": "other"}, "the dataset"),
        (lambda s: {"sample": f"new-{s.sample}"}, "contains the sample"),
    ],
)
def test_a_prepared_folder_keeps_its_samples_and_labels(change, said, tmp_path):
    import dataclasses

    from htnet.core.types import PreprocessSpec

    manifest, spec = pair_manifest(tmp_path / "in", 2), PreprocessSpec(flow="dis")
    out = tmp_path / "out"
    prepare(manifest, out, spec, "template")
    before = (out / "manifest.csv").read_bytes()
    first = manifest.samples[0]
    other = dataclasses.replace(
        manifest, samples=(dataclasses.replace(first, **change(first)), *manifest.samples[1:]), source="other"
    )
    with pytest.raises(OverwriteError, match=said):
        prepare(other, out, spec, "template")
    assert (out / "manifest.csv").read_bytes() == before
    prepare(other, out, spec, "template", overwrite=True)
    assert (out / "manifest.csv").read_bytes() != before


def test_a_manifest_is_never_prepared_onto_itself(inputs, tmp_path, capsys):
    pair_manifest(tmp_path, 2)
    before = (tmp_path / "manifest.csv").read_bytes()
    words = ["prepare", "manifest", "--root", str(tmp_path), "--out", str(tmp_path), "--overwrite"]
    assert cli.main([*words, "--landmarks", "template"]) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert (tmp_path / "manifest.csv").read_bytes() == before


def test_loso_keeps_the_results_of_more_seeds(inputs, tmp_path):
    def run(**options):
        return loso(inputs / "flow", "htnet_tiny", out=tmp_path / "run", progress=False, **options)

    import dataclasses

    from htnet.training import get_recipe

    recipe = dataclasses.replace(get_recipe("default"), epochs=1)
    run(recipe=recipe, seeds=1)
    run(recipe=recipe, seeds=2)  # more loses nothing
    with pytest.raises(OverwriteError, match="also contains results of the seeds 1"):
        run(recipe=recipe, seeds=1)
    run(recipe=recipe, seeds=1, overwrite=True)


def test_inputs_folders_and_twice_named_outputs_are_refused_even_if_asked(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(MINE)
    with pytest.raises(InputError, match="is read by the same call"):
        check_outputs(tmp_path / "." / "a.png", overwrite=True, inputs=[file])
    with pytest.raises(InputError, match="given for two outputs"):
        check_outputs(file, tmp_path / "." / "a.png", overwrite=True)
    with pytest.raises(InputError, match="is a folder"):
        check_outputs(tmp_path, overwrite=True)
    with pytest.raises(InputError, match="is a file"):
        check_folder(file, ["x"], overwrite=True)
    check_outputs(None, "/dev/stdout", tmp_path / "new.png")


def test_a_pair_of_frames_is_made_anew_when_asked(tmp_path):
    import cv2

    onset, apex = face_pair()
    for name, image in (("o.png", onset), ("a.png", apex)):
        cv2.imwrite(str(tmp_path / name), image[..., ::-1])
    words = [str(tmp_path / n) for n in ("o.png", "a.png")]
    words += ["--landmarks", "none", "--flow", "dis", "--out", str(tmp_path / "f.png")]
    assert preprocess_main(words) == 0
    assert preprocess_main(words) == 2
    assert preprocess_main([*words, "--overwrite"]) == 0
