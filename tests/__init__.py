"""Tests. Imported before any of them, and before PyTorch."""

import os

# One thread a process, and so in the processes that tests start: workers of pytest-xdist would otherwise fight for
# the cores. A test of several threads sets their number itself.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
# Messages of argparse are English wherever tests run, and no catalog of another language is looked for.
os.environ["LANGUAGE"] = "C"
