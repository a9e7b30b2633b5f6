"""`parley sip`: telephone numbers for the agent, by LiveKit's SIP service."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
from google.protobuf.json_format import MessageToDict
from livekit import api
from livekit.protocol.room import RoomConfiguration
from rich.console import Console
from rich.table import Table

from protocol.errors import ConfigError, ParleyError
from protocol.settings import load_settings
from stack.settings import StackSettings

app = typer.Typer(
    name="sip",
    help="Telephone numbers for the agent, by LiveKit's SIP service (docs/telephony.md).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

PASSWORD_VARIABLE = "SIP_AUTH_PASSWORD"
_NUMBER = re.compile(r"^\+?[0-9]{3,15}$")

_Name = Annotated[str, typer.Option(help="Name; made again, it replaces the one before.")]
_Flow = Annotated[str | None, typer.Option(help="Flow that answers; else the worker's default.")]
_Agent = Annotated[str, typer.Option(help="AGENT_NAME of the worker, if it has one.")]
_User = Annotated[str | None, typer.Option(help=f"User; the password is in {PASSWORD_VARIABLE}.")]


@app.command()
def inbound(
    numbers: Annotated[list[str], typer.Argument(help="The numbers that are yours: +49301234567.")],
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Address or network of the provider; others are refused."),
    ] = None,
    username: _User = None,
    flow: _Flow = None,
    agent: _Agent = "",
    name: _Name = "parley",
) -> None:
    """Let calls to your numbers in: a trunk, and a rule that gives each call a room of its own."""
    for number in numbers:
        _check_number(number)
    password = _password(username)
    if not allow and not username:
        raise ConfigError(
            "setting_invalid",
            "Anybody could call in. Name the provider's addresses with --allow, or a --username.",
        )

    async def work(livekit: api.LiveKitAPI) -> str:
        await _remove_named(livekit, name, outbound=False)
        trunk = await livekit.sip.create_inbound_trunk(
            api.CreateSIPInboundTrunkRequest(
                trunk=api.SIPInboundTrunkInfo(
                    name=name,
                    numbers=numbers,
                    allowed_addresses=allow or [],
                    auth_username=username or "",
                    auth_password=password,
                )
            )
        )
        rule = await livekit.sip.create_dispatch_rule(
            api.CreateSIPDispatchRuleRequest(
                dispatch_rule=api.SIPDispatchRuleInfo(
                    name=name,
                    trunk_ids=[trunk.sip_trunk_id],
                    rule=api.SIPDispatchRule(
                        dispatch_rule_individual=api.SIPDispatchRuleIndividual(room_prefix="phone-")
                    ),
                    room_config=_room(flow, agent),
                )
            )
        )
        return (
            f"Calls to {', '.join(numbers)} get a room of their own: trunk {trunk.sip_trunk_id}, "
            f"rule {rule.sip_dispatch_rule_id}."
        )

    _run(work)


@app.command()
def outbound(
    address: Annotated[str, typer.Argument(help="The provider's SIP server: sip.example.org.")],
    numbers: Annotated[list[str], typer.Argument(help="Numbers that calls may come from.")],
    username: _User = None,
    name: _Name = "parley",
) -> None:
    """Let the agent call and transfer calls: a trunk to your provider."""
    for number in numbers:
        _check_number(number)
    password = _password(username)

    async def work(livekit: api.LiveKitAPI) -> str:
        await _remove_named(livekit, name, outbound=True)
        trunk = await livekit.sip.create_outbound_trunk(
            api.CreateSIPOutboundTrunkRequest(
                trunk=api.SIPOutboundTrunkInfo(
                    name=name,
                    address=address,
                    numbers=numbers,
                    auth_username=username or "",
                    auth_password=password,
                )
            )
        )
        return f"Calls go out through {address}: trunk {trunk.sip_trunk_id}."

    _run(work)


@app.command()
def call(
    number: Annotated[str, typer.Argument(help="Whom to call.")],
    trunk: Annotated[str, typer.Option(help="Id of an outbound trunk.")],
    flow: _Flow = None,
    agent: _Agent = "",
    ring_s: Annotated[int, typer.Option(min=1, max=80, help="How long it may ring.")] = 30,
) -> None:
    """Call somebody: the agent waits in the room, and speaks once they answer."""
    _check_number(number)
    room = f"phone-{uuid.uuid4().hex[:10]}"

    async def work(livekit: api.LiveKitAPI) -> str:
        wanted = _room(flow, agent)
        await livekit.room.create_room(
            api.CreateRoomRequest(name=room, metadata=wanted.metadata, agents=wanted.agents)
        )
        try:
            await livekit.sip.create_sip_participant(
                api.CreateSIPParticipantRequest(
                    sip_trunk_id=trunk,
                    sip_call_to=number,
                    room_name=room,
                    participant_identity=f"phone-{number.lstrip('+')}",
                    wait_until_answered=True,
                    ringing_timeout={"seconds": ring_s},
                ),
                timeout=ring_s + 10,
            )
        except BaseException:
            await livekit.room.delete_room(api.DeleteRoomRequest(room=room))
            raise
        return f"{number} has answered; the room is {room}."

    _run(work)


@app.command("list")
def show(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show trunks and rules; passwords are never shown."""

    async def work(livekit: api.LiveKitAPI) -> str:
        kinds = await _all(livekit)
        if as_json:
            rows = {
                kind: [_without_secrets(MessageToDict(item)) for item in items]
                for kind, items in kinds.items()
            }
            return json.dumps(rows, indent=2)
        table = Table("kind", "id", "name", "numbers", "allowed")
        for kind, items in kinds.items():
            for item in items:
                table.add_row(
                    kind,
                    _id(item),
                    item.name,
                    ", ".join(getattr(item, "numbers", ())),
                    ", ".join(getattr(item, "allowed_addresses", ())),
                )
        Console(highlight=False).print(table)
        return ""

    _run(work)


@app.command()
def remove(ids: Annotated[list[str], typer.Argument(help="Ids that `list` shows.")]) -> None:
    """Remove trunks and rules."""

    async def work(livekit: api.LiveKitAPI) -> str:
        there = {_id(item) for items in (await _all(livekit)).values() for item in items}
        if missing := [wanted for wanted in ids if wanted not in there]:
            raise ConfigError(
                "setting_invalid", f"There is no trunk or rule {', '.join(missing)}: see `list`."
            )
        for wanted in ids:
            await _remove(livekit, wanted)
        return f"Removed {', '.join(ids)}."

    _run(work)


def _room(flow: str | None, agent: str) -> RoomConfiguration:
    """How the room of a call is made: which flow answers, and which workers come."""
    metadata = json.dumps({"flow_id": flow}) if flow else ""
    agents = [api.RoomAgentDispatch(agent_name=agent, metadata=metadata)] if agent else []
    return RoomConfiguration(metadata=metadata, agents=agents)


async def _all(livekit: api.LiveKitAPI) -> dict[str, list[Any]]:
    inbound, outbound, rules = await asyncio.gather(
        livekit.sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest()),
        livekit.sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest()),
        livekit.sip.list_dispatch_rule(api.ListSIPDispatchRuleRequest()),
    )
    return {
        "inbound": list(inbound.items),
        "outbound": list(outbound.items),
        "rule": list(rules.items),
    }


async def _remove_named(livekit: api.LiveKitAPI, name: str, *, outbound: bool) -> None:
    for kind, items in (await _all(livekit)).items():
        if (kind == "outbound") is outbound:
            for item in items:
                if item.name == name:
                    await _remove(livekit, _id(item))


async def _remove(livekit: api.LiveKitAPI, wanted: str) -> None:
    if wanted.startswith("SDR_"):
        request = api.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=wanted)
        await livekit.sip.delete_dispatch_rule(request)
    else:
        await livekit.sip.delete_trunk(api.DeleteSIPTrunkRequest(sip_trunk_id=wanted))


def _id(item: Any) -> str:
    found: str = getattr(item, "sip_trunk_id", "") or item.sip_dispatch_rule_id
    return found


def _without_secrets(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != "authPassword"}


def _check_number(number: str) -> None:
    if not _NUMBER.match(number):
        raise ConfigError(
            "setting_invalid",
            f"{number!r} is not a telephone number: 3 to 15 digits, with + before a country code.",
        )


def _password(username: str | None) -> str:
    """The password that goes with a user: from the environment, never from the command line."""
    if username is None:
        return ""
    if path := os.environ.get(f"{PASSWORD_VARIABLE}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    if password := os.environ.get(PASSWORD_VARIABLE):
        return password
    raise ConfigError(
        "setting_invalid",
        f"--username needs a password: set {PASSWORD_VARIABLE} or {PASSWORD_VARIABLE}_FILE.",
    )


def _run(work: Callable[[api.LiveKitAPI], Awaitable[str]]) -> None:
    """Does the work with LiveKit and shows what it says.

    Raises:
        ConfigError: LiveKit is not configured, cannot be reached, or refuses.
    """

    async def run() -> str:
        async with _livekit() as livekit:
            return await work(livekit)

    if text := asyncio.run(run()):
        sys.stdout.write(f"{text}\n")


@asynccontextmanager
async def _livekit() -> AsyncIterator[api.LiveKitAPI]:
    settings = load_settings(StackSettings)
    key, secret = settings.livekit_api_key, settings.livekit_api_secret
    if not key or secret is None:
        raise ConfigError(
            "setting_invalid",
            "LIVEKIT_API_KEY and LIVEKIT_API_SECRET are not set. `parley up` makes a pair, or "
            "take those of your LiveKit server.",
        )
    url = settings.livekit_url or f"ws://127.0.0.1:{settings.livekit_port}"
    livekit = api.LiveKitAPI(url, key, secret.get_secret_value())
    try:
        yield livekit
    except api.TwirpError as error:
        raise ConfigError("start_failed", _refusal(url, error)) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise ConfigError(
            "start_failed",
            f"LiveKit at {url} cannot be reached ({type(error).__name__}). Is it running?",
        ) from error
    finally:
        await livekit.aclose()


def _refusal(url: str, error: api.TwirpError) -> str:
    if "sip not connected" in error.message:
        return (
            f"The LiveKit server at {url} has no SIP: it needs Redis, and the livekit-sip service "
            "beside it (docs/telephony.md)."
        )
    return f"LiveKit at {url} refused: {error.message} ({error.code})"


def main() -> int:
    """Entry of `python -m stack.sip`."""
    try:
        app()
    except ParleyError as error:
        sys.stderr.write(f"parley sip: {error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
