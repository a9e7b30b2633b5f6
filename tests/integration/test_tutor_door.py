"""Door C against a real database, with a scripted model and the real voice."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse

from flow_backend.llm.chain import Chain, Member
from flow_backend.llm.scripted import Reply, ScriptedProvider
from tests.integration.backend_server import Backend, serve_backend

MESSAGE = {
    "conversation_id": "lesson",
    "user_message": "Ayer yo ir al mercado.",
    "language": "Spanish",
    "difficulty_level": "A2",
}
FIXED = {"original": "yo ir", "corrected": "yo fui", "explanation": "Past tense."}
CARD = {"word": "mercado", "translation": "market", "example": "Fuiste al mercado."}
BESIDE = [
    Reply(purpose="corrections", times=None, json={"corrections": [FIXED]}),
    Reply(purpose="vocabulary", times=None, json={"words": [CARD]}),
    Reply(purpose="summary", times=None, say="They talked about the market."),
    Reply(purpose="warm", times=None, say="ok"),
]


async def say(backend: Backend, **changes: Any) -> list[dict[str, Any]]:
    body = {**MESSAGE, **changes}
    async with aconnect_sse(backend.client, "POST", "/chat/stream", json=body) as source:
        assert source.response.status_code == 200, await source.response.aread()
        return [json.loads(event.data) async for event in source.aiter_sse()]


async def lesson(backend: Backend, conversation_id: str = "lesson") -> dict[str, Any]:
    response = await backend.client.get(f"/conversations/{conversation_id}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def lines(conversation: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return [(m["role"], m["content"], m["cut_off"]) for m in conversation["messages"]]


async def test_characters_that_cannot_be_kept_lose_nothing_else(database_url: str) -> None:
    card = {"word": "mer\0cado", "translation": "\0", "example": "Al mercado.\0"}
    model = ScriptedProvider(
        [
            Reply(purpose="speak", say=["Muy\0", " bien."], times=None),
            Reply(purpose="vocabulary", times=None, json={"words": [card]}),
            Reply(purpose="summary", times=None, say="The \0market."),
            *BESIDE,
        ]
    )
    async with serve_backend(Chain([Member(model)]), database_url=database_url) as backend:
        for _ in range(6):
            assert (await say(backend))[-1]["full_text"] == "Muy bien."
            await backend.app.state.tutor.idle()
        kept = await lesson(backend)
        assert lines(kept)[-1] == ("assistant", "Muy bien.", False)
        assert kept["summary"] == "The market."
        cards = (await backend.client.get("/conversations/lesson/vocabulary")).json()["vocabulary"]
    assert cards == [{"word": "mercado", "translation": "", "example": "Al mercado."}]


async def test_an_answer_streams_is_kept_and_teaches(database_url: str) -> None:
    replies = [Reply(purpose="speak", say="Muy bien. ¿Qué compraste?"), *BESIDE]
    async with serve_backend(replies, database_url=database_url) as backend:
        events = await say(backend)
        assert "".join(e["token"] for e in events[:-1]) == "Muy bien. ¿Qué compraste?"
        assert events[-1] == {
            "done": True,
            "full_text": "Muy bien. ¿Qué compraste?",
            "corrections": [FIXED],
        }
        kept = await lesson(backend)
        assert lines(kept) == [
            ("user", "Ayer yo ir al mercado.", False),
            ("assistant", "Muy bien. ¿Qué compraste?", False),
        ]
        assert kept["messages"][0]["corrections"] == [FIXED]
        await backend.app.state.tutor.idle()
        words = await backend.client.get("/conversations/lesson/vocabulary")
        assert words.json() == {"vocabulary": [CARD]}
        prompt, _ = next(r for r in backend.provider.requests if r[1].purpose == "speak")
        assert "Spanish" in prompt[0].content
        assert "A2" in prompt[0].content


async def test_a_failure_midway_is_told_and_a_retry_doubles_nothing(database_url: str) -> None:
    replies = [
        Reply(purpose="speak", say=["Muy ", "bi"], error="provider_unavailable"),
        Reply(purpose="speak", error="provider_rate_limited"),
        Reply(purpose="speak", say="Muy bien."),
        *BESIDE,
    ]
    async with serve_backend(replies, database_url=database_url) as backend:
        failed = await say(backend)
        assert [event.get("token") for event in failed[:-1]] == ["Muy ", "bi"]
        assert failed[-1]["retryable"] is True
        assert "error" in failed[-1]
        user = ("user", "Ayer yo ir al mercado.", False)
        assert lines(await lesson(backend)) == [user, ("assistant", "Muy bi", True)]
        assert (await say(backend))[-1]["code"] == "provider_rate_limited"
        assert lines(await lesson(backend)) == [user]
        assert (await say(backend))[-1]["full_text"] == "Muy bien."
        assert lines(await lesson(backend)) == [user, ("assistant", "Muy bien.", False)]


async def test_an_answer_whose_reader_leaves_is_kept_as_cut_off(database_url: str) -> None:
    replies = [
        Reply(purpose="speak", say="Uno dos tres cuatro", delay_s=0.05),
        Reply(purpose="speak", say="Otra vez."),
        *BESIDE,
    ]
    async with serve_backend(replies, database_url=database_url) as backend:
        async with aconnect_sse(backend.client, "POST", "/chat/stream", json=MESSAGE) as source:
            async for event in source.aiter_sse():
                if json.loads(event.data).get("token") == " dos":
                    break
        # The conversation is free once what there is of the answer has been put away.
        events = await say(backend, user_message="¿Perdón?")
        assert events[-1]["full_text"] == "Otra vez."
        assert backend.provider.open_streams == 0
        kept = lines(await lesson(backend))
        assert kept[1][0] == "assistant"
        assert kept[1][1].startswith("Uno dos")
        assert kept[1][2] is True
        assert [role for role, _, _ in kept] == ["user", "assistant", "user", "assistant"]
        prompt, _ = [r for r in backend.provider.requests if r[1].purpose == "speak"][-1]
        assert [m.content for m in prompt][-2].endswith("—")


async def test_old_messages_are_summarised_and_the_last_five_stay_whole(database_url: str) -> None:
    replies = [Reply(purpose="speak", times=None, say="Sí."), *BESIDE]
    async with serve_backend(replies, database_url=database_url) as backend:
        for number in range(6):
            await say(backend, user_message=f"Frase {number}.")
            await backend.app.state.tutor.idle()
        kept = await lesson(backend)
        assert kept["summary"] == "They talked about the market."
        assert len(kept["messages"]) == 12
        await say(backend, user_message="Y ahora?")
        prompt, _ = [r for r in backend.provider.requests if r[1].purpose == "speak"][-1]
        assert "They talked about the market." in prompt[0].content
        assert [m.content for m in prompt[1:]] == [
            "Sí.",
            "Frase 4.",
            "Sí.",
            "Frase 5.",
            "Sí.",
            "Y ahora?",
        ]


async def test_conversations_are_opened_listed_and_warmed_up(database_url: str) -> None:
    async with serve_backend(BESIDE, database_url=database_url) as backend:
        body = {"language": "German", "difficulty_level": "B1", "title": "Beim Bäcker"}
        made = await backend.client.post("/conversations", json=body)
        assert made.status_code == 201
        assert made.headers["location"] == f"/conversations/{made.json()['id']}"
        await backend.app.state.tutor.idle()
        assert [params.purpose for _, params in backend.provider.requests] == ["warm"]
        listed = (await backend.client.get("/conversations")).json()["conversations"]
        assert [row["title"] for row in listed] == ["Beim Bäcker"]
        missing = await backend.client.get("/conversations/nobody")
        assert missing.status_code == 404
        assert missing.json()["code"] == "session_not_found"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"difficulty_level": "A3"}, "difficulty_level"),
        ({"user_message": "  "}, "user_message"),
        ({"user_message": "a\0b"}, "user_message"),
        ({"user_message": "x" * 20_001}, "user_message"),
        ({"conversation_id": "../x"}, "conversation_id"),
        ({"language": 5}, "language"),
        ({"mood": "good"}, "mood"),
    ],
)
async def test_bad_requests_name_the_field(changes: dict[str, Any], path: str) -> None:
    async with serve_backend(BESIDE) as backend:
        response = await backend.client.post("/chat/stream", json={**MESSAGE, **changes})
        assert response.status_code == 422
        assert response.json()["path"] == path


async def test_two_answers_in_one_conversation_wait_for_each_other() -> None:
    replies = [
        Reply(purpose="speak", user="Primera", say="Uno dos tres.", delay_s=0.05),
        Reply(purpose="speak", user="Segunda", say="Cuatro."),
        *BESIDE,
    ]
    async with serve_backend(replies) as backend:
        await asyncio.gather(
            say(backend, user_message="Primera"), say(backend, user_message="Segunda")
        )
        kept = lines(await lesson(backend))
        assert [role for role, _, _ in kept] == ["user", "assistant", "user", "assistant"]


@pytest.mark.parametrize(
    ("audio_format", "magic"), [("wav", b"RIFF"), ("mp3", b"\xff"), ("opus", b"OggS")]
)
async def test_speech_of_a_text_is_streamed(audio_format: str, magic: bytes) -> None:
    async with serve_backend() as backend:
        body = {"text": "Good morning. How are you?", "format": audio_format}
        async with backend.client.stream("POST", "/api/tts", json=body) as response:
            assert response.status_code == 200
            assert "content-length" not in response.headers
            pieces = [piece async for piece in response.aiter_raw()]
        assert pieces[0].startswith(magic)
        assert len(pieces) > 1
        bad = await backend.client.post("/api/tts", json={"text": "Hi", "voice": "../etc"})
        assert bad.status_code == 404
        assert bad.json()["code"] == "voice_not_found"


async def test_doors_are_limited_for_each_client() -> None:
    async with serve_backend(["Hi."], door_rate_limit="2/minute") as backend:
        url = "/api/chat/stream"
        answers: list[httpx.Response] = [
            await backend.client.post(url, json={"message": "Hi"}) for _ in range(3)
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert 1 <= int(answers[2].headers["retry-after"]) <= 60
        assert answers[2].json()["code"] == "rate_limited"
        assert (await backend.client.get("/healthz")).status_code == 200
