"""The way of weights from a data set through the Hub to a user, with the real client and commands."""

import csv
import json
import os
import shlex
import shutil
from pathlib import Path

import pytest
import torch

import htnet
from htnet.cli import build_parser, main
from htnet.data.prepare import prepared_spec
from htnet.hub import find_pretrained
from htnet.models import get_entry
from htnet.preprocess import read_motion
from tests.support.hub_server import HubServer
from tests.support.pairs import invented_casme3, write_casme3
from tests.support.paths import SHARED, needs_shared

REPO = "tester/casme3"
ANNOTATION = SHARED / "data" / "casme3" / "cas(me)3_part_A_edited.csv"
INPUT = torch.linspace(0, 255, 2 * 3 * 28 * 28).view(2, 3, 28, 28)

#: Loads what each line of standard input says and answers with a line.
LOADER = """
import json, sys, torch, htnet
for line in sys.stdin:
    image = torch.linspace(0, 255, 2 * 3 * 28 * 28).view(2, 3, 28, 28)
    try:
        model = htnet.load_pretrained(**json.loads(line))
        with torch.no_grad():
            logits = model(image).tolist()
        answer = {"logits": logits, "labels": model.labels, "spec": model.preprocess_spec.to_dict(),
                  "training": model.training}
    except htnet.core.errors.HtnetError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(answer), flush=True)
"""


#: The commands that are given, in one process for all: each would spend more time on its imports than on its work.
COMMANDS = """
import json, sys
from htnet.cli import main
for command in json.loads(sys.argv[1]):
    assert main(command) == 0, command
"""


def environment(server, home, **more):
    own = {"HF_ENDPOINT": server.url, "HF_TOKEN": server.token, "HF_HOME": str(home), "HTNET_HUB_NAMESPACE": "tester"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HTNET_"))}
    return {**kept, **own, "HF_XET_CACHE": str(home / "xet"), "HF_HUB_DISABLE_TELEMETRY": "1",
            "OMP_NUM_THREADS": "1", **more}  # fmt: skip


class Loader:
    """A Python process of its own that loads weights on demand."""

    def __init__(self, python, env):
        self.process = python.start(LOADER, env=env)

    def __call__(self, name="casme3", **options):
        self.process.stdin.write(json.dumps({"name": name, **options}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.end()


def printed_commands(message):
    """The command lines in an error message."""
    return [line.strip() for line in message.splitlines() if line.startswith("  htnet ")]


def for_a_test(command, root):
    """A printed command, for the data in ``root`` and at a size that a test can afford."""
    words = shlex.split(command.replace("CASME3_DIR", shlex.quote(str(root))).replace("htnet_small", "htnet_tiny"))
    more = {"prepare": ["--landmarks", "template", "--workers", "1"], "train": ["--epochs", "2"]}
    return words + more.get(words[1], [])


class Proof:
    """A Hub on which ``casme3`` has just been published by the commands that the error printed."""

    def __init__(self, tmp, python):
        self.tmp = tmp
        self.server = HubServer(tmp / "hub")
        self.server.__enter__()
        self.env = environment(self.server, tmp / "home")
        self.load = Loader(python, self.env)
        try:
            self.before = self.load()
            root = write_casme3(tmp / "casme3", invented_casme3())
            commands = [for_a_test(command, root)[1:] for command in printed_commands(self.before["message"])]
            done = python.run(COMMANDS, json.dumps(commands), env=self.env, cwd=tmp)
            assert done.returncode == 0, done.stderr
            self.saved = htnet.load_pretrained(tmp / "weights" / "casme3")
        except BaseException:
            self.close()
            raise

    def close(self):
        self.load.close()
        self.server.stop()

    def check(self, answer):
        """The answer is the model that was trained here."""
        with torch.no_grad():
            expected = self.saved(INPUT)
        assert "error" not in answer, answer
        assert torch.allclose(torch.tensor(answer["logits"]), expected, rtol=1e-5, atol=1e-6)
        assert tuple(answer["labels"]) == self.saved.labels == ("negative", "positive", "surprise")
        assert answer["spec"] == self.saved.preprocess_spec.to_dict()
        assert not answer["training"]


@pytest.fixture(scope="module")
def proof(tmp_path_factory, warm_python):
    """Shared by the tests below, in any order: each leaves the Hub as it was."""
    made = Proof(tmp_path_factory.mktemp("proof"), warm_python)
    yield made
    made.close()


@pytest.mark.slow
def test_before_the_push_the_error_says_what_to_do(proof):
    assert proof.before["error"] == "WeightsNotPublishedError"
    message = proof.before["message"]
    assert "'casme3'" in message
    assert "not published yet" in message
    assert "that can be loaded: 'composite'" in message
    assert REPO in message
    commands = printed_commands(message)
    assert [shlex.split(c)[1] for c in commands] == ["prepare", "train", "push"]
    assert commands == list(htnet.hub.find_pretrained("casme3").commands)


def test_every_printed_command_is_one_that_the_parser_takes():
    for spec in htnet.list_pretrained():
        assert spec.commands or spec.published
        for command in spec.commands:
            program, *arguments = shlex.split(command)
            assert program == "htnet"
            assert build_parser().parse_args(arguments).command == arguments[0]


UNTRAINED = [spec for spec in htnet.list_pretrained() if spec.sha256 is None]


@pytest.mark.parametrize("spec", UNTRAINED, ids=lambda spec: spec.name)
def test_printed_commands_lead_from_the_data_to_the_name(spec):
    """Each reads what the one before wrote; the model is the entry's; the last publishes under its name."""
    parsed = [build_parser().parse_args(shlex.split(command)[1:]) for command in spec.commands]
    *prepare, train, push = parsed
    assert (train.model, train.recipe) == (spec.model, "palsy" if train.command == "palsy" else "default")
    assert (push.command, push.folder, push.repository) == ("push", train.out, spec.name)
    assert [p.out for p in prepare] == [train.data]
    reads_faces = get_entry(spec.model).model_class.input_kind == "face"
    assert (train.command == "palsy") == reads_faces


@pytest.mark.slow
def test_commands_of_another_model_with_clips_train_on_motion(tmp_path, monkeypatch):
    rows = invented_casme3(2, 3)
    root = write_casme3(tmp_path / "CASME3 color", rows)
    for row in rows:  # as in the official tree, frames lie between onset and offset
        shutil.copy(root / row["imagename_onset"], root / row["imagename_apex_offset"])
    monkeypatch.chdir(tmp_path)
    changes = (
        ("casme3-flow", "casme3-motion"),
        ("htnet_small", "htnet_dual_stream"),
        ("weights/casme3", "weights/dual"),
    )
    commands = find_pretrained("casme3").commands
    for old, new in changes:
        commands = [command.replace(old, new) for command in commands]
    prepare, train, _ = (for_a_test(command, root)[1:] for command in commands)
    prepare, train = ([*words, "--clip-frames", "16"] for words in (prepare, train))
    for words in ([*prepare, "--flow", "dis"], train):
        assert main(words) == 0
    motion = torch.stack([torch.from_numpy(read_motion(s.motion, prepared_spec("casme3-motion")))
                          for s in htnet.data.open_data("casme3-motion")])  # fmt: skip
    assert motion.shape == (6, 16, 64)
    model = htnet.load_pretrained("weights/dual")
    assert model.preprocess_spec.clip_frames == 16
    assert "motion of the clip at 16 moments" in Path("weights/dual/README.md").read_text("utf-8")


@pytest.mark.slow
def test_the_published_files_are_the_saved_ones(proof):
    from huggingface_hub import HfApi, hf_hub_download

    api = HfApi(endpoint=proof.server.url, token=proof.server.token)
    names = {f for f in api.list_repo_files(REPO) if not f.startswith(".")}
    assert names == {"model.safetensors", "config.json", "README.md"}
    for name in names:
        found = hf_hub_download(REPO, name, endpoint=proof.server.url, cache_dir=proof.tmp / "plain")
        # In the card the repository takes the place of its placeholder.
        own = (proof.tmp / "weights" / "casme3" / name).read_bytes()
        assert Path(found).read_bytes() == (own.replace(b"OWNER/REPOSITORY", REPO.encode()) if "md" in name else own)


@pytest.mark.slow
def test_load_by_name_from_an_empty_cache(proof):
    assert not (proof.tmp / "home" / "hub" / "models--tester--casme3").exists()
    proof.check(proof.load())
    proof.check(proof.load(REPO, cache_dir=str(proof.tmp / "other")))


@pytest.mark.slow
def test_load_by_revision(proof):
    from huggingface_hub import HfApi

    api = HfApi(endpoint=proof.server.url, token=proof.server.token)
    first = api.model_info(REPO).sha
    api.create_tag(REPO, tag="v1")
    other = htnet.create_model("htnet_tiny")
    other.preprocess_spec = proof.saved.preprocess_spec
    newer = htnet.hub.save_pretrained(other, proof.tmp / "newer")
    api.create_branch(REPO, branch="next")
    api.upload_folder(repo_id=REPO, folder_path=newer, revision="next")
    for revision in (first, "v1", "main"):
        proof.check(proof.load(revision=revision, cache_dir=str(proof.tmp / "revisions")))
    with torch.no_grad():
        expected = other.eval()(INPUT)
    found = proof.load(revision="next", cache_dir=str(proof.tmp / "revisions"))
    assert torch.allclose(torch.tensor(found["logits"]), expected, rtol=1e-5, atol=1e-6)
    refused = proof.load(revision="v2")
    assert refused["error"] == "WeightsError"
    assert "no revision 'v2'" in refused["message"]


@pytest.mark.slow
def test_the_warm_cache_asks_nobody(proof):
    proof.check(proof.load())
    before = list(proof.server.requests)
    proof.check(proof.load(local_files_only=True))
    assert proof.server.requests == before


@pytest.mark.slow
def test_damaged_weights_are_refused_and_the_cure_cures(proof):
    cache = proof.tmp / "damaged"
    proof.server.corrupt(REPO, "model.safetensors")
    try:
        refused = proof.load(cache_dir=str(cache))
    finally:
        proof.server.corrupt(REPO, "model.safetensors")  # the same bits once more
    assert refused["error"] == "CorruptWeightsError"
    assert "The Hub twice sent content for model.safetensors" in refused["message"]
    proof.check(proof.load(cache_dir=str(cache)))  # nothing of it lies in the cache


@pytest.mark.slow
def test_weights_that_were_damaged_in_the_cache_are_refused_and_the_cure_cures(proof):
    cache = proof.tmp / "rotten"
    proof.check(proof.load(cache_dir=str(cache)))
    (blob,) = (path for path in cache.rglob("blobs/*") if path.stat().st_size > 1 << 18)
    blob.write_bytes(b"rotten" + blob.read_bytes()[6:])
    refused = proof.load(cache_dir=str(cache))
    assert refused["error"] == "CorruptWeightsError"
    assert "model.safetensors is damaged" in refused["message"]
    named = refused["message"].split("Delete ")[1].split(" and load again")[0]
    Path(named).unlink()
    proof.check(proof.load(cache_dir=str(cache)))


@pytest.mark.slow
def test_damaged_config_is_refused(proof):
    proof.server.corrupt(REPO, "config.json")
    try:
        refused = proof.load(cache_dir=str(proof.tmp / "config"))
    finally:
        proof.server.corrupt(REPO, "config.json")
    assert refused["error"] == "CorruptWeightsError"
    assert "The Hub twice sent content for config.json" in refused["message"]


@pytest.mark.slow
def test_without_the_hub_the_warm_cache_serves(proof, tmp_path, warm_python):
    published = {path.name: path.read_bytes() for path in (proof.tmp / "weights" / "casme3").iterdir()}
    with HubServer(tmp_path / "hub") as server:  # another one of the same, because it goes off line
        server.add_repo(REPO, published)
        load = Loader(warm_python, environment(server, tmp_path / "home"))
        proof.check(load())
    proof.check(load())
    proof.check(load(revision="main"))
    refused = load(cache_dir=str(tmp_path / "empty"))
    assert refused["error"] == "WeightsNotPublishedError"
    assert "the Hub cannot be reached" in refused["message"]
    refused = load(REPO, cache_dir=str(tmp_path / "empty"))
    load.close()
    assert refused["error"] == "WeightsError"
    assert "not in the local cache" in refused["message"]


@pytest.mark.slow
@needs_shared
def test_the_real_annotation_goes_the_same_way(tmp_path, warm_python):
    with ANNOTATION.open(encoding="utf-8-sig", newline="") as file:
        # The others show no expression and are left out by name.
        table = [row for row in csv.DictReader(file) if int(row["Onset"]) < int(row["Apex"])]
    rows = [
        row
        for subject in ("spNO.1", "spNO.2", "spNO.3", "spNO.4", "spNO.5", "spNO.6")
        for row in table
        if row["Subject"] == subject
    ]
    rows = [row for label in "012" for row in [r for r in rows if r["label_for_3"] == label][-4:]]
    assert len(rows) == 12
    assert len({row["Subject"] for row in rows}) >= 3
    root = write_casme3(tmp_path / "CASME3 color", rows)
    commands = [for_a_test(c, root)[1:] for c in htnet.hub.find_pretrained("casme3").commands]
    code = f"""{COMMANDS}
import htnet
model = htnet.load_pretrained("casme3")
assert model.labels == ("negative", "positive", "surprise")
saved = htnet.load_pretrained("weights/casme3")
assert model.preprocess_spec == saved.preprocess_spec
assert all((a == b).all() for a, b in zip(model.state_dict().values(), saved.state_dict().values(), strict=True))
"""
    with HubServer(tmp_path / "hub") as server:
        env = environment(server, tmp_path / "home")
        done = warm_python.run(code, json.dumps(commands), env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "12 samples prepared" in done.stdout
    prepared = htnet.data.open_data(tmp_path / "casme3-flow")
    assert {s.sample: s.label for s in prepared} == {
        f"{r['Subject']}_{r['Filename']}_{r['Apex']}": prepared.classes[int(r["label_for_3"])] for r in rows
    }
    config = htnet.hub.read_config(tmp_path / "weights" / "casme3" / "config.json")
    assert config["training"]["samples"] == 12
    assert config["provenance"]["datasets"] == ["casme3"]
    assert config["training"]["subjects"] == len({row["Subject"] for row in rows})
