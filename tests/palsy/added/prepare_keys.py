"""The command that prepares faces, for tests/data/test_prepare_keys.py."""

from htnet import cli
from htnet.data.prepare import read_report
from htnet.palsy import prepare
from tests.palsy.faces import save_face


def palsy(tmp_path, flow):
    for i, grade in enumerate((1, 1, 4)):
        save_face(tmp_path / "faces" / f"grade_{grade}" / f"P{i}_0.png", i, grade, side=60)

    def run():
        words = ["palsy", "prepare", tmp_path / "faces", "--landmarks", "template", "--out", tmp_path / "out"]
        assert cli.main([str(word) for word in words]) == 0
        return read_report(tmp_path / "out").made_again

    return run


PREPARED = {"palsy prepare": (palsy, "", ("htnet", "opencv"))}
#: Modules that ask for the versions of libraries.
MODULES = (prepare,)
