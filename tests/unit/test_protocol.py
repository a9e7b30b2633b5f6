from __future__ import annotations

import pytest

from protocol.errors import FAMILIES, FlowError, wire_for
from protocol.events import Done, Token, event_id, parse_event, parse_event_id

FROZEN_CODES = """
access: forbidden overloaded rate_limited unauthorized
config: disk_full port_in_use setting_invalid setting_missing start_failed tool_missing
flow: expression_failed extract_failed flow_conflict flow_exists flow_in_use flow_invalid
flow: flow_loop flow_not_found http_failed http_refused internal node_failed
flow: precondition_required request_invalid session_ended session_not_found template_failed
flow: turn_conflict turn_not_found variable_too_large
provider: provider_bad_response provider_not_configured provider_rate_limited
provider: provider_refused provider_timeout provider_unauthorized provider_unavailable
provider: provider_unknown
speech: audio_invalid audio_too_long model_invalid model_missing synthesis_failed text_too_long
speech: transcription_failed voice_invalid voice_list_unavailable voice_not_found
stream: backend_unavailable client_too_slow database_unavailable message_too_large
stream: stream_interrupted stream_malformed stream_stalled
"""


def test_error_codes_are_frozen() -> None:
    expected: dict[str, set[str]] = {}
    for line in FROZEN_CODES.strip().splitlines():
        family, _, codes = line.partition(": ")
        expected.setdefault(family, set()).update(codes.split())
    found = {cls.__name__.removesuffix("Error").lower(): set(cls.codes) for cls in FAMILIES}
    assert found == expected


def test_a_code_belongs_to_one_family() -> None:
    codes = [code for family in FAMILIES for code in family.codes]
    assert len(codes) == len(set(codes))
    assert wire_for("turn_conflict").http_status == 409
    assert wire_for("no such code").http_status == 500


def test_a_foreign_code_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="no code"):
        FlowError("rate_limited", "x")


def test_events_round_trip_and_unknown_types_are_ignored() -> None:
    token = Token(content="a\u2028b", node_id="n", seq=3, turn_id="t", session_id="s")
    assert parse_event(token.model_dump_json()) == token
    assert parse_event('{"type": "sparkle", "seq": 1}') is None
    assert parse_event(Done(content="x").model_dump_json()) == Done(content="x")
    with pytest.raises(ValueError, match="validation"):
        parse_event('{"type": "token"}')
    with pytest.raises(ValueError, match="validation"):
        parse_event("[]")


def test_event_ids_split_at_the_last_colon() -> None:
    assert parse_event_id(event_id("a:b", 12)) == ("a:b", 12)
    for bad in ("", "7", ":7", "t:", "t:x", "t:-1"):
        with pytest.raises(ValueError, match="event id"):
            parse_event_id(bad)
