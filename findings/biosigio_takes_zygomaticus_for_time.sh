#!/usr/bin/env bash
# Facial EMG is kept as CSV, one column a muscle. biosigio 1.2.13 and emgio 0.6.0 (its old name) look for a column of time in a file
# with a header, and take the first column whose name contains an "s" for it. Of "corrugator, zygomaticus" the zygomaticus is
# gone: it is neither among the channels nor in what is exported, although sample_frequency was given, and no word is said. Of the
# eleven muscles below the corrugator is the only one without an "s" in its name; of any two others the first is lost. Without
# sample_frequency, which is an error for a file that has no time, the mean step of the zygomaticus is taken for the time between
# samples: 64.7 Hz in place of 2000. Expected were two channels. With columns named CORR and ZYG there are two, and the error comes.
# Exits 0 if it is so, 1 if it has changed. Without its readers of other formats (WFDB, XDF).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps \
  biosigio==1.2.13 emgio==0.6.0 numpy==2.3.5 pandas==2.3.3 scipy==1.16.3 pyedflib==0.1.42 matplotlib==3.10.7 \
  python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0 packaging==25.0 pillow==12.0.0 cycler==0.12.1 \
  kiwisolver==1.4.9 pyparsing==3.2.5 contourpy==1.3.3 fonttools==4.60.1
cat > "$work/muscles.py" <<'PYTHON'
import contextlib
import io
import sys
import warnings
from importlib.metadata import version

import biosigio
import emgio
import numpy as np

warnings.simplefilter("error")
MUSCLES = (
    "frontalis, corrugator, depressor supercilii, procerus, orbicularis oculi, levator labii superioris, zygomaticus, "
    "masseter, orbicularis oris, depressor anguli oris, mentalis"
).split(", ")
rng = np.random.default_rng(0)
smile = 80 * np.abs(np.sin(np.arange(2000) / 300)) + rng.normal(0, 5, 2000)
signals = np.stack([rng.normal(0, 5, 2000), smile], 1)


def read(package, names, **options):
    path = f"{sys.argv[1]}/emg.csv"
    np.savetxt(path, signals, "%.4f", ",", header=",".join(names), comments="")
    with contextlib.redirect_stdout(io.StringIO()):  # a reminder to fill in subject and device
        return package.Recording.from_file(path, **options)


same = True
for package in (biosigio, emgio):
    print(package.__name__, version(package.__name__))
    given = read(package, ("corrugator", "zygomaticus"), sample_frequency=2000)
    guessed = read(package, ("corrugator", "zygomaticus"))
    short = read(package, ("CORR", "ZYG"), sample_frequency=2000)
    rate = guessed.channels["corrugator"]["sample_frequency"]
    lost = [name for name in MUSCLES if name not in read(package, (name, "CORR"), sample_frequency=2000).channels]
    print("corrugator, zygomaticus at 2000 Hz: expected both, seen", *given.channels)
    print(f"without the rate: expected an error, seen {rate:.1f} Hz")
    print("CORR, ZYG:", *short.channels)
    print("muscles that are taken for time:", ", ".join(lost))
    try:
        read(package, ("CORR", "ZYG"))
        same = False
    except ValueError as error:
        print("CORR, ZYG without the rate:", str(error).split(".")[0])
    same = same and list(given.channels) == list(given.signals.columns) == ["corrugator"] and 64 < rate < 66
    same = same and list(short.channels) == ["CORR", "ZYG"] and lost == [name for name in MUSCLES if name != "corrugator"]
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/muscles.py" "$work"
