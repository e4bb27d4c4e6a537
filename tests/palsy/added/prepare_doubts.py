"""The command that prepares faces, for tests/data/test_prepare_doubts.py."""


def faces(folder):
    (folder / "m.csv").write_text("image_path,grade,patient\nonset.png,1,a\napex.png,2,b\nonset_two.png,3,c\n")
    return ["palsy", "prepare", str(folder / "m.csv")], {"several_faces": "onset_two"}


MADE = {"palsy prepare": faces}
