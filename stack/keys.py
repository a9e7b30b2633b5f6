"""`parley keys`: makes, lists and revokes the API keys of the backend."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from flow_backend.access.keys import SCOPES, make_key
from flow_backend.api.rate_limit import parse_limits
from flow_backend.settings import BackendSettings
from flow_backend.store.database import open_database
from flow_backend.store.keys import ApiKey, KeyStore
from protocol.errors import ParleyError
from protocol.settings import load_settings
from stack.env_file import add_to_env_file

app = typer.Typer(
    name="keys",
    help="Make, list and revoke the API keys of the backend that DATABASE_URL names.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)

Result = TypeVar("Result")
DAY_S = 86_400.0


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who uses it, such as web-shop or worker.")],
    scopes: Annotated[
        list[str],
        typer.Option(
            "--scope",
            help="talk (doors, sessions of its own, rooms), edit (flows), monitor (metrics), "
            "admin (all, and everybody's sessions). May be repeated.",
        ),
    ] = ["talk"],  # noqa: B006 - typer copies it
    days: Annotated[
        float | None, typer.Option(min=0.001, help="Expires after so many days; else never.")
    ] = None,
    rate: Annotated[
        str | None, typer.Option(help="Its own rate limit, as 10/second;600/minute; '' for none.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=0, help="Its own limit of requests at once; 0 for none.")
    ] = None,
    save: Annotated[
        bool,
        typer.Option(
            "--save", help="Keep it as PARLEY_API_KEY in ./.env, where the worker finds it."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Make a key and show it, once: only its hash is kept."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise typer.BadParameter(
            f"there is no scope {unknown[0]!r}; there are {', '.join(SCOPES)}", param_hint="--scope"
        )
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise typer.BadParameter("1 to 100 printable characters", param_hint="NAME")
    try:
        parse_limits(rate or "")
    except ValueError:
        raise typer.BadParameter(
            "expected a rate, as in 10/second;600/minute", param_hint="--rate"
        ) from None
    key, text = make_key(
        name,
        scopes,
        rate_limit=rate,
        concurrency=concurrency,
        lifetime_s=None if days is None else days * DAY_S,
    )
    _with_store(lambda store: store.add(key))
    if save:
        file = Path(".env")
        add_to_env_file(file, {"PARLEY_API_KEY": text}, "The API key")
    if as_json:
        _write(json.dumps({**_plain(key), "key": text, "saved": save}))
    elif save:
        _write(f"Made key {key.id} for {name} ({_words(key)}); it is kept in .env.")
    else:
        _write(text)
        sys.stderr.write(
            f"Made key {key.id} for {name} ({_words(key)}). Keep it now: it is not shown again.\n"
        )


@app.command("list")
def list_command(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """List the keys that were made; none can be shown again."""
    keys = _with_store(lambda store: store.all())
    if as_json:
        _write(json.dumps([_plain(key) for key in keys]))
        return
    if not keys:
        _write("There are no keys. Make one with `parley keys create NAME`.")
        return
    table = Table("id", "name", "scopes", "made", "state", box=None)
    for key in keys:
        table.add_row(key.id, key.name, _words(key), _day(key.created_at), _state(key))
    Console(highlight=False).print(table)


@app.command()
def revoke(
    wanted: Annotated[str, typer.Argument(metavar="ID", help="A key's id, or a name: all of it.")],
) -> None:
    """Take a key back; requests with it are refused after five seconds at most."""
    revoked = _with_store(lambda store: store.revoke(wanted))
    for key in revoked:
        _write(f"Revoked key {key.id} of {key.name}.")
    if not revoked:
        _write(f"{wanted} was expired or revoked before.")


def _with_store(use: Callable[[KeyStore], Awaitable[Result]]) -> Result:
    async def used() -> Result:
        database = await open_database(load_settings(BackendSettings).database_url)
        try:
            return await use(KeyStore(database))
        finally:
            await database.dispose()

    return asyncio.run(used())


def _plain(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "rate_limit": key.rate_limit,
        "concurrency": key.concurrency,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "live": key.live,
    }


def _words(key: ApiKey) -> str:
    return ", ".join(scope for scope in SCOPES if scope in key.scopes)


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is None:
        return "live"
    return f"{'until' if key.live else 'expired'} {_day(key.expires_at)}"


def _day(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d")


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main() -> int:
    """Entry of `python -m stack.keys`."""
    try:
        app()
    except ParleyError as error:
        sys.stderr.write(f"parley keys: {error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
