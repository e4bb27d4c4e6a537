"""Commands of the wing: their names, wrong uses with what must be said, and their recipes."""

COMMANDS = ("palsy",)
#: The least that a command is called with.
NEEDED = {"palsy": ["asymmetry", "f"]}
#: (command, what its answer must hold); see tests/core/test_doors.py.
WRONG = [
    ("train --data grades.csv --out o", "htnet palsy prepare grades.csv"),
    ("palsy train --data own --out o", "htnet prepare manifest --root own"),
    ("palsy train --data nowhere --out o", "nowhere does not exist"),
    ("palsy prepare SAMM --out o", "htnet prepare samm"),
    ("palsy prepare own/manifest.csv --out o", "htnet prepare manifest"),
    ("palsy asymmetry video.avi", "is a video"),
    ("palsy predict video.avi", "is a video"),
    ("palsy predict video.avi --weights fnp", "is a video"),
    ("palsy visualize video.avi --weights nowhere --out p.png", "is a video"),
    ("palsy predict image.png", "--weights FOLDER"),
    ("palsy evaluate --data own --out o", "--weights FOLDER"),
    ("spot fnp", "htnet palsy predict FACE --weights fnp"),
    ("palsy asymmetry htnet_palsy", "htnet palsy train --data DATA --model htnet_palsy"),
    ("palsy asymmetry flow.png", "flow.png is a flow image"),
]
#: Recipes that the help of a command must name.
RECIPES = {"htnet palsy train": ("palsy", "reference")}
#: Takes one image.
OF_ONE_IMAGE = ("palsy", "asymmetry")
