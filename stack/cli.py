"""The `parley` command. Each subcommand imports what it needs when it runs."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated

import typer

from protocol.errors import ParleyError

app = typer.Typer(
    name="parley",
    help="A real-time voice agent that you run yourself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _parley() -> None:
    """A real-time voice agent that you run yourself."""


@app.command()
def up(
    without: Annotated[
        list[str] | None,
        typer.Option(help="Leave a part out: livekit, llm, backend or worker. May be repeated."),
    ] = None,
) -> None:
    """Start the whole stack; Ctrl-C stops it."""
    from stack import up as command

    command.up(without or ())


def main() -> int:
    """Runs the command and turns its errors into one sentence and a status."""
    try:
        app()
    except ParleyError as error:
        sys.stderr.write(f"parley: {error.message}\n")
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = f" ({os.fsdecode(error.filename)})" if error.filename else ""
        sys.stderr.write(f"parley: the disk is full{place}. Free some space and try again.\n")
        return 1
    return 0
