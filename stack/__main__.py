"""`python -m stack` is `parley`."""

import sys

from stack.cli import main

sys.exit(main())
