from __future__ import annotations

import contextlib
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flow_backend.doors.room_settings import RoomSettings
from flow_backend.doors.token import TokenRequest, issue_token
from protocol.errors import ConfigError, FlowError

SECRET = "s" * 32


def settings(**values: Any) -> RoomSettings:
    defaults = {
        "livekit_url": "ws://127.0.0.1:7880",
        "livekit_api_key": "key",
        "livekit_api_secret": SECRET,
        "livekit_public_url": None,
        "agent_name": "",
        "_env_file": None,
    }
    return RoomSettings(**{**defaults, **values})


def claims(token: str) -> dict[str, Any]:
    decoded: dict[str, Any] = jwt.decode(token, SECRET, algorithms=["HS256"], issuer="key")
    return decoded


def test_an_empty_request_gets_a_room_of_its_own_and_the_least_grants() -> None:
    one, two = (issue_token(settings(token_ttl_s=60), TokenRequest()) for _ in "12")
    assert one.server_url == "ws://127.0.0.1:7880"
    first, second = claims(one.participant_token), claims(two.participant_token)
    assert first["video"].pop("room") != second["video"]["room"]
    assert first["sub"] != second["sub"]
    assert first["video"] == {
        "roomJoin": True,
        "canPublish": True,
        "canPublishSources": ["microphone"],
        "canPublishData": True,
        "canSubscribe": True,
    }
    assert first["exp"] - first["nbf"] == 60
    assert "roomConfig" not in first


def test_what_is_asked_for_is_in_the_token() -> None:
    request = TokenRequest(
        room_name="kitchen",
        participant_identity="ann",
        participant_name="Ann",
        participant_metadata='{"flow_id": "front-desk"}',
        participant_attributes={"language": "en"},
        room_config={"agents": [{"agentName": "parley", "metadata": "m"}], "empty_timeout": 5},
    )
    found = claims(issue_token(settings(), request).participant_token)
    assert (found["sub"], found["name"], found["video"]["room"]) == ("ann", "Ann", "kitchen")
    assert found["metadata"] == '{"flow_id": "front-desk"}'
    assert found["attributes"] == {"language": "en"}
    assert found["roomConfig"] == {
        "agents": [{"agentName": "parley", "metadata": "m"}],
        "emptyTimeout": 5,
    }


def test_a_named_agent_is_asked_for_unless_the_caller_names_one() -> None:
    named = settings(agent_name="parley")
    found = claims(issue_token(named, TokenRequest()).participant_token)
    assert found["roomConfig"] == {"agents": [{"agentName": "parley"}]}
    other = TokenRequest(room_config={"agents": [{"agent_name": "other"}]})
    found = claims(issue_token(named, other).participant_token)
    assert found["roomConfig"] == {"agents": [{"agentName": "other"}]}


@pytest.mark.parametrize(
    ("configuration", "path"),
    [
        ({"egress": {"room": {"room_name": "x"}}}, "room_config.egress"),
        ({"agents": [{"agent_name": str(n)} for n in range(5)]}, "room_config.agents"),
        ({"colour": "red"}, "room_config"),
        ({"agents": "all"}, "room_config"),
        ({"empty_timeout": -1}, "room_config"),
        ({"agents": [None]}, "room_config"),
    ],
)
def test_room_configurations_that_go_too_far_are_refused(
    configuration: dict[str, Any], path: str
) -> None:
    with pytest.raises(FlowError) as caught:
        issue_token(settings(), TokenRequest(room_config=configuration))
    assert (caught.value.code, caught.value.path) == ("request_invalid", path)


@pytest.mark.parametrize(
    "body",
    [
        {"room_name": ""},
        {"room_name": "a\nb"},
        {"room_name": "r" * 257},
        {"participant_identity": ""},
        {"participant_metadata": "m" * 20_000},
        {"participant_attributes": {"a": 1}},
        {"participant_attributes": {str(n): "" for n in range(65)}},
        {"room": "x"},
    ],
)
def test_bad_bodies_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TokenRequest.model_validate(body)


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
NESTED = VALUES | st.lists(VALUES, max_size=3) | st.dictionaries(st.text(max_size=8), VALUES)
FIELDS = [
    "name",
    "emptyTimeout",
    "departure_timeout",
    "max_participants",
    "metadata",
    "agents",
    "egress",
    "tags",
]


@given(
    st.dictionaries(
        st.sampled_from(FIELDS) | st.text(max_size=8),
        NESTED | st.lists(NESTED, max_size=2),
        max_size=3,
    )
)
def test_any_room_config_gives_a_token_or_a_named_refusal(document: dict[str, Any]) -> None:
    with contextlib.suppress(FlowError):
        assert issue_token(settings(), TokenRequest(room_config=document)).participant_token


def test_without_a_livekit_server_the_missing_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="LIVEKIT_URL, LIVEKIT_API_KEY not set"):
        issue_token(settings(livekit_url=None, livekit_api_key=None), TokenRequest())


def test_callers_are_sent_to_the_public_address() -> None:
    public = settings(livekit_public_url="https://rooms.example.org")
    assert issue_token(public, TokenRequest()).server_url == "wss://rooms.example.org"
