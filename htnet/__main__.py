"""``python -m htnet``."""

import sys

from htnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
