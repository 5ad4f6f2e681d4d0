"""`python -m csp` is the command `csp`."""

import sys

from csp.cli import main

if __name__ == "__main__":
    sys.exit(main())
