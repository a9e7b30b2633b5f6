"""The `parley` command. Each subcommand imports what it needs when it runs."""

from __future__ import annotations

import errno
import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from protocol.errors import ParleyError

MAX_NAME_CHARACTERS = 200


def _text(value: str | None) -> str | None:
    """Refuses bytes of the command line that are not text."""
    try:
        (value or "").encode()
    except UnicodeEncodeError as error:
        raise typer.BadParameter("this is not UTF-8 text") from error
    return value


def _name(value: str | None) -> str | None:
    """Refuses what is no name of a room or flow."""
    if value is not None and not (0 < len(value) <= MAX_NAME_CHARACTERS and value.isprintable()):
        raise typer.BadParameter(
            f"expected 1 to {MAX_NAME_CHARACTERS} characters, and no control characters"
        )
    return value


app = typer.Typer(
    name="parley",
    help="A real-time voice agent that you run yourself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing it takes longer than all the rest of `parley --help`
)


@app.callback()
def _parley() -> None:
    """A real-time voice agent that you run yourself."""


@app.command()
def up(
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART",
            help="Leave a part out: livekit, llm, backend or worker. May be repeated.",
        ),
    ] = None,
) -> None:
    """Start the whole stack; Ctrl-C stops it."""
    from stack import up as command

    command.up(without or ())


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Check each part, and say what is missing and how to get it."""
    from stack import doctor as command

    raise typer.Exit(command.doctor(as_json=as_json))


@app.command()
def call(
    wav: Annotated[Path | None, typer.Option(help="Speak this recording.")] = None,
    text: Annotated[bool, typer.Option("--text", help="Type instead of speaking.")] = False,
    record: Annotated[Path | None, typer.Option(help="Keep the agent's audio as WAV.")] = None,
    room: Annotated[
        str | None, typer.Option(help="Name of the room; a new one by default.", callback=_name)
    ] = None,
    flow: Annotated[str | None, typer.Option(help="Flow that answers.", callback=_name)] = None,
    backend: Annotated[str | None, typer.Option(help="Root of another backend.")] = None,
    wait_s: Annotated[
        float, typer.Option(min=1, max=3600, help="Seconds that an answer may take.")
    ] = 60.0,
) -> None:
    """Talk with the agent: by microphone, with --text, or with a recording."""
    if wav is not None and text:
        raise typer.BadParameter("--wav and --text exclude each other.")
    from stack import call as command

    command.call(command.CallOptions(wav, text, record, room, flow, backend, wait_s))


@app.command()
def chat(
    message: Annotated[
        str | None, typer.Argument(help="One message; else a conversation.", callback=_text)
    ] = None,
    flow: Annotated[str, typer.Option(help="Flow that answers.", callback=_name)] = "default",
    backend: Annotated[str | None, typer.Option(help="Root of another backend.")] = None,
) -> None:
    """Write with a flow."""
    from stack import chat as command

    command.chat(flow, message, backend)


@app.command()
def replay(
    session: Annotated[str, typer.Argument(help="Id of the recorded session.")],
    flow: Annotated[str, typer.Option(help="Its flow.", callback=_name)] = "default",
    version: Annotated[int | None, typer.Option(help="Version of it; else the newest.")] = None,
    file: Annotated[Path | None, typer.Option(help="A flow in a file, instead.")] = None,
    llm: Annotated[str, typer.Option(help="Model for a flow in a file.")] = "auto",
    var: Annotated[list[str] | None, typer.Option(help="A first variable: name=value.")] = None,
    effects: Annotated[bool, typer.Option(help="Let nodes with side effects run.")] = False,
    backend: Annotated[str | None, typer.Option(help="Root of another backend.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Say a recorded conversation's words to another version of its flow, and compare."""
    if version is not None and file is not None:
        raise typer.BadParameter("--version and --file exclude each other.")
    from stack import replay as command
    from stack.flow import given_variables

    options = command.ReplayOptions(
        session, flow, version, file, llm, given_variables(var), effects, backend, as_json
    )
    raise typer.Exit(command.replay(options))


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write, such as parley.backup.gz.")],
) -> None:
    """Write the whole database into a file; the backend may run."""
    from stack import backup as command

    command.backup(file)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What `parley backup` wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete what the database has now.")
    ] = False,
) -> None:
    """Fill the database from a backup; stop the backend before."""
    from stack import backup as command

    command.restore(file, replace=replace)


@app.command()
def migrate(
    revision: Annotated[
        str, typer.Argument(help="Such as 0003; head for this version's.")
    ] = "head",
) -> None:
    """Take the database's tables to a revision, up or down; stop the backend before."""
    from stack import backup as command

    command.migrate(revision)


@app.command()
def say(
    text: Annotated[str, typer.Argument(help="What to say.", callback=_text)],
    output: Annotated[Path, typer.Option("--output", "-o", help="A wav, flac, ogg or mp3 file.")],
    voice: Annotated[str | None, typer.Option(help="Name of a voice, or its .onnx file.")] = None,
    speed: Annotated[float, typer.Option(help="0.25 to 4; 2 is twice as fast.")] = 1.0,
) -> None:
    """Speak a text into a file."""
    from stack import say as command

    command.say(text, output, voice=voice, speed=speed)


@app.command()
def listen(
    file: Annotated[Path, typer.Argument(help="A sound file: wav, flac, ogg, mp3…")],
    as_json: Annotated[bool, typer.Option("--json", help="With length and confidence.")] = False,
) -> None:
    """Write down what a recording says."""
    from stack import listen as command

    command.listen(file, as_json=as_json)


_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""The rest of the line belongs to a program of its own, `--help` included."""


@app.command(context_settings=_PASS_ON)
def bench(context: typer.Context) -> None:
    """Time a part beside a baseline: `parley bench` lists what there is."""
    from stack import mounted

    mounted.bench(context.args)


def _mount(name: str, about: str) -> None:
    """Adds the program `stack.NAME`, where this installation has it."""
    if find_spec(f"stack.{name}") is None:
        return

    @app.command(name, help=about, context_settings=_PASS_ON)
    def _mounted(context: typer.Context) -> None:
        from stack import mounted

        mounted.run(f"stack.{name}", f"parley {name}", context.args)


_mount("flow", "Work with flows.")
_mount("keys", "Make, list and revoke API keys.")
_mount("models", "Work with models for the embedded server.")
_mount("privacy", "Find and delete what is kept of a person.")
_mount("sip", "Telephone numbers for the agent.")
_mount("voices", "Work with voices.")


def main() -> int:
    """Runs the command and turns its errors into one sentence and a status."""
    # The native library tells its own troubles here; ours are raised as errors.
    logging.getLogger("livekit").addHandler(logging.NullHandler())
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
