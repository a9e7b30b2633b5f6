"""A ticket to a room that LiveKit refuses: people are told why, and the ticket stays unseen."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from livekit import api, rtc

from protocol.errors import AccessError, StreamError
from stack.caller import LOST, WHY_GONE, Caller, Invitation
from stack.ports import free_port
from tests.sip_stack import KEY, SECRET, livekit


def ticket(secret: str = SECRET, ttl_s: float = 600) -> str:
    token = api.AccessToken(KEY, secret).with_identity("caller").with_ttl(timedelta(seconds=ttl_s))
    return token.with_grants(api.VideoGrants(room_join=True, room="kitchen")).to_jwt()


@pytest.mark.parametrize(
    ("token", "words"),
    [(ticket(ttl_s=-300), "clocks"), (ticket("another secret of 32 characters!"), "API_SECRET")],
    ids=["expired", "of another server"],
)
async def test_a_ticket_that_is_refused(tmp_path: Path, token: str, words: str) -> None:
    with livekit(tmp_path, None) as url, pytest.raises(AccessError) as caught:
        async with Caller(Invitation(url, token)):
            pass
    assert caught.value.code == "unauthorized"
    assert words in caught.value.message
    assert token not in caught.value.message


REFUSED = """
import asyncio, logging, sys
from livekit import rtc
from protocol import leaving, logs

class Refusal(logging.Handler):
    def __init__(self):
        super().__init__()
        self.told, self.loop = asyncio.Event(), asyncio.get_running_loop()

    def emit(self, record):
        if "invalid token" in record.getMessage():
            self.loop.call_soon_threadsafe(self.told.set)

async def join():
    refusal = Refusal()
    logging.getLogger().addHandler(refusal)
    try:
        await rtc.Room().connect(*sys.argv[2:])
    except rtc.ConnectError:
        # The native library may tell its log later than the caller.
        await refusal.told.wait()
        return 0
    return 1

logs.set_up("DEBUG", sys.argv[1])
leaving.run(lambda: asyncio.run(join()))
"""


@pytest.mark.parametrize("form", ["text", "json"])
async def test_the_log_says_that_it_is_refused_without_the_ticket(
    tmp_path: Path, form: str
) -> None:
    token = ticket("another secret of 32 characters!")
    with livekit(tmp_path, None) as url:
        joining = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", REFUSED, form, url, token),
            cwd=Path(__file__).parents[2],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await joining.communicate())[0].decode()
    assert joining.returncode == 0, said
    assert "401" in said
    assert "invalid token: <token>" in said
    for part in token.split("."):
        assert part not in said


async def test_a_server_that_is_not_there() -> None:
    url = f"ws://127.0.0.1:{free_port()}"
    with pytest.raises(StreamError) as caught:
        async with Caller(Invitation(url, ticket())):
            pass
    assert caught.value.code == "backend_unavailable"


def test_a_connection_that_is_lost_is_not_called_a_room_that_was_closed() -> None:
    for reason in (
        rtc.DisconnectReason.JOIN_FAILURE,
        rtc.DisconnectReason.SIGNAL_CLOSE,
        rtc.DisconnectReason.CONNECTION_TIMEOUT,
    ):
        assert WHY_GONE.get(reason, LOST) == LOST
