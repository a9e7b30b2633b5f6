"""`python -m stack` is `parley`."""

from protocol import leaving
from stack.cli import main


def run() -> None:
    """What the `parley` script calls."""
    leaving.run(main)


if __name__ == "__main__":
    run()
