"""`parley voices`: the voices that Piper has, and fetching them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from speech.piper.voices import (
    VOICES_URL,
    download_voice,
    installed_voices,
    list_voices,
)
from stack.fetched import shown

app = typer.Typer(
    help="The voices that Piper has, and fetching them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_Url = Annotated[str, typer.Option("--url", help="Folder of a copy of Piper's voices.")]
_Folder = Annotated[Path | None, typer.Option(help="Where voices are kept on this machine.")]


@app.command("list")
def show(
    language: Annotated[str, typer.Argument(help="Only these: en, en_US, German…")] = "",
    installed: Annotated[bool, typer.Option(help="Only what is on this machine.")] = False,
    url: _Url = VOICES_URL,
    folder: _Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the voices."""
    here = installed_voices(folder)
    if installed:
        sys.stdout.write((json.dumps(here) if as_json else "\n".join(here)) + "\n")
        return
    wanted = language.lower()
    voices = [
        voice
        for voice in list_voices(url)
        if voice.language.lower().startswith(wanted) or voice.language_name.lower() == wanted
    ]
    if as_json:
        rows = [asdict(voice) | {"installed": voice.name in here} for voice in voices]
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return
    table = Table()
    for heading in ("voice", "language", "quality", "speakers", "MB", "here"):
        table.add_column(heading, justify="right" if heading in ("speakers", "MB") else "left")
    for voice in voices:
        table.add_row(
            voice.name,
            voice.language_name,
            voice.quality,
            str(voice.speakers),
            f"{voice.size_bytes / 1e6:.0f}",
            "yes" if voice.name in here else "",
        )
    Console().print(table)


@app.command()
def download(
    names: Annotated[list[str], typer.Argument(help="Names as `parley voices list` shows them.")],
    url: _Url = VOICES_URL,
    folder: _Folder = None,
) -> None:
    """Fetch voices and check them."""
    for name in names:
        with shown(name) as moved:
            path = download_voice(name, folder=folder, base_url=url.rstrip("/"), progress=moved)
        sys.stdout.write(f"{path}\n")
    Console(stderr=True).print(f"Set PIPER_VOICE={names[0]} to speak with it.")
