"""A ticket to a room that LiveKit refuses: people are told why, and the ticket stays unseen."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from livekit import api, rtc

from protocol.errors import AccessError, StreamError
from stack.caller import LOST, WHY_GONE, Caller, Invitation
from stack.ports import free_port
from tests.integration.test_sip import KEY, SECRET, livekit


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
