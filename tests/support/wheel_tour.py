"""What users do with the installed wheel, one thing after the other; run by `python -c` in an empty folder.

Each command is one of `htnet`, in this process, so that PyTorch is imported once. It ends where one does not do what it
should, and prints one JSON document: for each thing what shows that it works, or why it is left out.
"""

import contextlib
import csv
import io
import json
import os
import signal
import threading
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

import htnet
from htnet.cli import main
from htnet.core.assets import ASSETS

SAMPLE = ASSETS / "sample"
found = {}


def run(*words):
    """Standard output of a command, which must succeed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(word) for word in words])
        except SystemExit as end:
            status = end.code or 0
    if status != 0:
        raise SystemExit(f"htnet {' '.join(map(str, words))}: {status}\n{err.getvalue()}")
    return out.getvalue()


def item(needs=()):
    """Try one thing, unless a package lacks; what it returns shows that it works."""

    def decorate(work):
        lacks = [name for name in needs if find_spec(name) is None]
        found[work.__name__] = f"left out: no {', '.join(lacks)}" if lacks else work()
        return work

    return decorate


def frames():
    """A set of three classes and three people: the bundled pair, moved by a few px, and with apices of three kinds."""
    onset, apex = (cv2.imread(str(SAMPLE / f"{name}.png")) for name in ("onset", "apex"))
    rows = []
    for k in range(9):
        back = np.flip(apex, axis=1) if k % 3 == 1 else apex
        for name, picture in (("onset", np.flip(onset, axis=1) if k % 3 == 1 else onset), ("apex", back)):
            cv2.imwrite(f"{k}_{name}.png", np.roll(picture, k, axis=0))
        label = ("negative", "positive", "surprise")[k % 3]
        rows.append([f"s{k}", "own", f"p{k // 3}", label, f"{k}_onset.png", f"{k}_apex.png", ("4", "12", "1+2")[k % 3]])
        rows[-1].append("test" if k > 5 else "train")
    with open("samples.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sample", "dataset", "subject", "label", "onset", "apex", "action_units", "split"])
        writer.writerows(rows)


frames()
PAIR = ("0_onset.png", "0_apex.png")


@item()
def predict():
    told = json.loads(run("predict", *PAIR, "--json"))
    run("predict", "--manifest", "samples.csv", "--out", "predictions.csv")
    with open("predictions.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {"label": told["prediction"], "terms": told["model"]["license"], "rows": len(rows), "columns": list(rows[0])}


@item()
def in_memory():
    predictor = htnet.Predictor("composite", device="auto")
    both = [(Path(name).read_bytes(), cv2.imread(name)[..., ::-1]) for name in PAIR]
    answers = predictor.pairs([(both[0][0], both[1][0]), (both[0][1], both[1][1])])
    five = htnet.load_pretrained("synthetic-mlp", num_classes=5)
    half = htnet.Predictor("synthetic-mlp", dtype="bfloat16").pair(*PAIR)
    return {"labels": [one.label for one in answers], "classes": len(five.labels), "bfloat16": half.label}


@item()
def listed():
    text = run("list")
    return {"terms": "research only" in text and "Apache-2.0" in text, "json": list(json.loads(run("list", "--json")))}


@item()
def push_plan():
    os.environ["HTNET_HUB_NAMESPACE"] = "lab"
    told = json.loads(run("push", "--all", "--dry-run", "--json"))
    return [(one["repository"], one["license"]) for one in told["values"]["uploads"]]


@item()
def prepare_and_train():
    run("prepare", "manifest", "--root", "samples.csv", "--out", "flow", "--workers", "1")
    run("train", "--data", "flow", "--model", "htnet_tiny", "--epochs", "2", "--out", "mine")
    return Path("mine/training.csv").read_text("utf-8").split()[0]


@item(["tensorboard"])
def tensorboard():
    run("train", "--data", "flow", "--model", "ststnet", "--epochs", "1", "--out", "board", "--tensorboard")
    return len(list(Path("board/tensorboard").glob("events.out.tfevents.*")))


@item()
def evaluations():
    for protocol in (("loso",), ("kfold", "--folds", "3"), ("holdout",)):
        run(*protocol, "--data", "flow", "--model", "ststnet", "--epochs", "1", "--out", protocol[0])
    run("evaluate", "--data", "flow", "--weights", "synthetic", "--against", "synthetic-mlp", "--out", "compared")
    summary = json.loads(Path("compared/summary.json").read_text("utf-8"))
    return {"schema": summary["schema"], "curves": Path("loso/training.csv").read_text("utf-8").split()[0]}


@item()
def report():
    run("report", "loso", "kfold", "--data", "flow", "--out", "report.html")
    page = Path("report.html").read_text("utf-8")
    return {"whole": page.rstrip().endswith("</html>"), "fetches": 'src="http' in page or "<link" in page}


@item()
def embed():
    run("embed", "--data", "flow", "--weights", "mine", "--out", "features.npz")
    run("embed", "--data", "flow", "--weights", "mine", "--out", "features.csv")
    with np.load("features.npz") as file:
        return {name: list(file[name].shape) for name in file.files}


@item(["matplotlib"])
def plots():
    from htnet import plots
    from htnet.models import attention_rollout, integrated_gradients, occlusion

    predictor = htnet.Predictor("synthetic")
    answer = predictor.pair(*PAIR)
    made = answer.input
    figures = [
        plots.plot_prediction(answer, *PAIR, "prediction.png"),
        plots.plot_flow(made.flow),
        plots.plot_flow_asymmetry(made.flow),
        plots.plot_regions(made, predictor.spec),
        plots.plot_saliency(occlusion(predictor.model, made.image), made.image),
        plots.plot_saliency(integrated_gradients(predictor.model, made.image, steps=4), made.image),
    ]
    try:
        attention_rollout(predictor.model, made.image)
        refused = ""
    except htnet.errors.ModelError as error:
        refused = str(error)
    run("predict", *PAIR, "--plot", "picture.png")
    return {
        "figures": len(figures),
        "kinds": sorted({type(one).__name__ for one in figures}),
        "attention": refused,
    }


def exported(form, needs):
    lacks = [name for name in needs if find_spec(name) is None]
    if lacks:
        return f"left out: no {', '.join(lacks)}"
    run("export", "synthetic-mlp", "--format", form, "--out", f"exported-{form}")
    return sorted(path.name for path in Path(f"exported-{form}").iterdir())


found["export onnx"] = exported("onnx", ["onnx", "onnxscript", "onnxruntime"])
found["export torch"] = exported("torch", [])
found["export openvino"] = exported("openvino", ["onnx", "onnxscript", "openvino"])


@item(["onnxruntime", "onnx", "onnxscript"])
def onnx_file():
    import onnxruntime

    session = onnxruntime.InferenceSession("exported-onnx/model.onnx", providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["htnet"])
    image = np.zeros((2, 3, 28, 28), np.float32)
    scores = session.run(["scores"], {"image": image})[0]
    return {"scores": list(scores.shape), "labels": about["labels"]}


@item(["sklearn"])
def sklearn():
    from htnet.sklearn import FlowImages, HTNetClassifier

    pairs = [(f"{k}_onset.png", f"{k}_apex.png") for k in range(6)]
    images = FlowImages().fit_transform(pairs)
    labels = ["a", "b", "c", "a", "b", "c"]
    classifier = HTNetClassifier("ststnet", epochs=1).fit(images, labels)
    return {"images": list(images.shape), "probabilities": list(classifier.predict_proba(images).shape)}


@item()
def doctor():
    told = json.loads(run("doctor", "--json"))
    return {"schema": told["schema"], "trouble": [one for one in told["findings"] if one["state"] == "error"]}


@item(["shtab"])
def completion():
    return [shell for shell in ("bash", "zsh") if "htnet" in run("completion", shell)]


@item(["fastapi", "uvicorn", "multipart"])
def serve():
    from htnet.web import ServeSettings
    from htnet.web.server import serve

    answers = []

    def ask(url):
        try:
            with urllib.request.urlopen(url, timeout=60) as page:
                answers.append("<title>htnet<" in page.read().decode("utf-8"))
            edge, parts = "edge", []
            for name, file in zip(("onset", "apex"), PAIR, strict=True):
                head = f'--{edge}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n\r\n'
                parts += [head.encode(), Path(file).read_bytes(), b"\r\n"]
            body = b"".join([*parts, f"--{edge}--\r\n".encode()])
            head = {"Content-Type": f"multipart/form-data; boundary={edge}"}
            request = urllib.request.Request(f"{url}/api/answers", body, head)
            with urllib.request.urlopen(request, timeout=120) as answer:
                answers.append(json.loads(answer.read())["prediction"])
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    settings = ServeSettings(port=0, weights=("synthetic-mlp",))
    serve(settings, on_start=lambda url: threading.Thread(target=ask, args=(url,), daemon=True).start())
    return answers


@item(["ray"])
def ray():
    import ray

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    address = ray.get_runtime_context().gcs_address
    try:
        words = ("--manifest", "samples.csv", "--out", "by-ray.csv", "--engine", "ray", "--address", address)
        run("predict", *words)
    finally:
        ray.shutdown()
    return Path("by-ray.csv").read_bytes() == Path("predictions.csv").read_bytes()


found["file"] = htnet.__file__
print(json.dumps(found))
