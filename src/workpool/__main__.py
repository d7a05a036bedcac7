"""``python -m workpool``: the command line."""

import sys

from workpool.cli import main

if __name__ == "__main__":
    sys.exit(main())
