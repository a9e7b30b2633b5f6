"""`parley privacy`: what is kept of a person, and its deletion."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from agent_worker.bucket import Bucket, BucketError
from agent_worker.flow_executor import key_header
from flow_backend.settings import BackendSettings
from flow_backend.store.database import open_database
from flow_backend.store.people import PeopleStore, Person
from protocol import recordings
from protocol.errors import ConfigError, ParleyError, error_for
from protocol.settings import load_settings
from stack.parts import backend_url
from stack.settings import StackSettings

app = typer.Typer(
    name="privacy",
    help="Find and delete what is kept of a person: sessions with their histories and journals, "
    "conversations with corrections and vocabulary, recordings.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Sessions = Annotated[
    list[str] | None,
    typer.Option("--session", help="Id of a session: a room, a telephone number. Repeatable."),
]
Metadata = Annotated[
    list[str] | None,
    typer.Option(
        "--metadata", help="name=value in the metadata of sessions; of several, all. Repeatable."
    ),
]
Conversations = Annotated[
    list[str] | None,
    typer.Option("--conversation", help="Id of a conversation with the tutor. Repeatable."),
]
ApiKey = Annotated[
    str | None, typer.Option("--api-key", help="Id of an API key: all that was opened with it.")
]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]


@app.command()
def find(
    session: Sessions = None,
    metadata: Metadata = None,
    conversation: Conversations = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Show what is kept of a person."""
    person = _person(session, metadata, conversation, api_key)
    found = asyncio.run(_ask("find", person))
    found["recordings"] = asyncio.run(_recordings(person, found))
    _show(found, as_json=as_json)


@app.command()
def delete(
    session: Sessions = None,
    metadata: Metadata = None,
    conversation: Conversations = None,
    api_key: ApiKey = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """End a person's sessions and delete all that is kept of them."""
    person = _person(session, metadata, conversation, api_key)
    if not yes:
        found = asyncio.run(_ask("find", person))
        found["recordings"] = asyncio.run(_recordings(person, found))
        _show(found, as_json=False)
        if not any(found.values()):
            return
        typer.confirm("Delete all this for good?", abort=True)
    # The database goes last: by its sessions recordings are found again if this breaks off.
    names = asyncio.run(_recordings(person, asyncio.run(_ask("find", person)), delete=True))
    gone = {**asyncio.run(_ask("delete", person)), "recordings": names}
    _show(gone, as_json=as_json, deleted=True)


async def _recordings(person: Person, found: dict[str, Any], *, delete: bool = False) -> list[str]:
    """Accounts of the person's recordings, in the folder of this machine and in the bucket.

    The folder comes first: what is on its way to the bucket is found there, or deleted there.

    Raises:
        ConfigError: Not all were found, or deleted.
    """
    settings = load_settings(StackSettings)
    ids = {*person.sessions, *(session["session_id"] for session in found["sessions"])}
    names = []
    again = " The sessions are still in the database: run this command again." if delete else ""
    if settings.recordings_dir is not None:
        for account in recordings.of_sessions(settings.recordings_dir, ids):
            names.append(str(account))
            try:
                if delete:
                    recordings.delete(account)
            except OSError as error:
                raise ConfigError(
                    "start_failed",
                    f"{error.filename} was not deleted: {error.strerror}.{again}",
                ) from error
    if settings.recordings_bucket is not None:
        bucket = Bucket(settings)
        try:
            for name in await bucket.of_sessions(ids):
                names.append(f"{bucket.name}/{name}")
                if delete:
                    await bucket.delete(name)
        except BucketError as error:
            raise ConfigError(
                "start_failed",
                f"{bucket.name} was not looked through to its end, and may hold recordings: "
                f"{error}.{again}",
            ) from error
    return names


def _person(
    sessions: list[str] | None,
    metadata: list[str] | None,
    conversations: list[str] | None,
    api_key: str | None,
) -> Person:
    pairs = dict(entry.partition("=")[::2] for entry in metadata or ())
    if not all("=" in entry for entry in metadata or ()):
        raise typer.BadParameter("expected name=value", param_hint="--metadata")
    try:
        return Person(
            sessions=sessions or [],
            metadata=pairs,
            conversations=conversations or [],
            api_key=api_key,
        )
    except ValueError:
        raise typer.BadParameter(
            "name the person by --session, --metadata, --conversation or --api-key"
        ) from None


async def _ask(what: str, person: Person) -> dict[str, Any]:
    """Asks the backend, which has sessions in memory, or the database if it does not run."""
    settings = load_settings(StackSettings)
    async with httpx.AsyncClient(
        base_url=backend_url(settings), headers=key_header(settings.parley_api_key), trust_env=False
    ) as client:
        try:
            answer = await client.post(
                f"/api/privacy/{what}", json=person.model_dump(), timeout=120
            )
        except httpx.ConnectError:
            return await _ask_database(what, person)
        except httpx.HTTPError as error:
            raise ConfigError(
                "start_failed", f"The backend does not answer ({type(error).__name__})."
            ) from error
    told: dict[str, Any] = answer.json()
    if answer.is_error:
        raise error_for(told["code"], told["message"])
    return told


async def _ask_database(what: str, person: Person) -> dict[str, Any]:
    database = await open_database(load_settings(BackendSettings).database_url)
    try:
        people = PeopleStore(database)
        sessions = await people.sessions(person)
        conversations = await people.conversations(person)
        if what == "delete":
            await people.delete_sessions({found.uid for found in sessions})
            await people.delete_conversations(conversations)
    finally:
        await database.dispose()
    return {
        "sessions": [
            {
                "flow_id": found.flow_id,
                "session_id": found.session_id,
                "last_used_at": found.last_used_at,
            }
            for found in sessions
        ],
        "conversations": conversations,
    }


def _show(found: dict[str, Any], *, as_json: bool, deleted: bool = False) -> None:
    if as_json:
        sys.stdout.write(f"{json.dumps(found)}\n")
        return
    sessions, conversations = found["sessions"], found["conversations"]
    if not any(found.values()):
        sys.stdout.write("Nothing is kept of this person.\n")
        return
    table = Table("kind", "of", "id", "last used", box=None)
    for session in sessions:
        day = datetime.fromtimestamp(session["last_used_at"], UTC).strftime("%Y-%m-%d")
        table.add_row("session", session["flow_id"], session["session_id"], day)
    for conversation in conversations:
        table.add_row("conversation", "tutor", conversation, "")
    for name in found["recordings"]:
        table.add_row("recording", "", name, "")
    Console(highlight=False).print(table)
    if deleted:
        sys.stdout.write(
            f"Deleted {len(sessions)} sessions, {len(conversations)} conversations and "
            f"{len(found['recordings'])} recordings.\n"
        )


def main() -> int:
    """Entry of `python -m stack.privacy`."""
    try:
        app()
    except ParleyError as error:
        sys.stderr.write(f"parley privacy: {error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
