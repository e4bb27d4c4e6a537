"""Commands and functions that write, for tests/core/test_overwrite.py."""

from htnet.data import Manifest
from htnet.palsy import evaluate_palsy, plots, prepare_faces, read_palsy, train_palsy
from tests.palsy.faces import save_face

COMMANDS = {
    "palsy train": ("palsy train --data d --out OUT", "model.safetensors"),
    "palsy evaluate": ("palsy evaluate --data d --model w --out OUT", "summary.json"),
    "palsy evaluate, picture": ("palsy evaluate --data d --model w --out OUT", "confusion.png"),
    "palsy predict --plot": ("palsy predict a.png --model w --plot OUT/p.png", "p.png"),
    "palsy predict folder": ("palsy predict IN --model w --out OUT", "predictions.csv"),
    "palsy visualize": ("palsy visualize a.png --model w --out OUT/v.png", "v.png"),
    "palsy asymmetry": ("palsy asymmetry a.png --plot OUT/a.png", "a.png"),
    "palsy prepare": ("palsy prepare FACES --landmarks template --out OUT", "manifest.csv"),
}
INTO_INPUT = (
    "palsy prepare IN --out IN",
    "palsy train --data IN --out IN",
    "palsy evaluate --data IN --model w --out IN",
    "palsy evaluate --data d --model IN --out IN",
    "palsy predict IN --model w --out IN",
    "palsy predict IN --model w --out IN/below",
    "palsy predict a.png --model w --plot a.png",
    "palsy visualize a.png --model w --out a.png",
    "palsy asymmetry a.png --plot a.png",
)
PLOTS = (plots,)


def write_inputs(root):
    """FACES in a command line."""
    for i, grade in enumerate((1, 1, 4, 4)):
        save_face(root / "faces" / f"grade_{grade}" / f"P{i}_0.png", i, grade, side=60)


def function_calls(model, inputs, out):
    """Every public function of the wing that writes, with the file that is there when it is called."""
    return [
        ("model.safetensors", lambda **k: train_palsy(Manifest(()), [], out, **k)),
        ("predictions.csv", lambda **k: evaluate_palsy(model, Manifest(()), [], out, **k)),
        ("p.png", lambda **k: plots.plot_grade(None, None, out / "p.png", **k)),
        ("p.png", lambda **k: plots.plot_confusion([[1, 0], [0, 1]], ("a", "b"), out / "p.png", **k)),
        ("p.png", lambda **k: plots.plot_maps(None, out / "p.png", **k)),
        ("p.png", lambda **k: plots.plot_asymmetry(None, out / "p.png", **k)),
        ("manifest.csv", lambda **k: prepare_faces(read_palsy(inputs / "faces"), out, "template", **k)),
    ]
