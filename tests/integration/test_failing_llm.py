"""A language model that fails while it speaks: the next one goes on, over real sockets."""

from __future__ import annotations

from flow_backend.llm.chain import Chain, Member
from flow_backend.llm.openai import OpenAIProvider
from tests.integration.backend_server import kinds, serve_backend, text_of
from tests.scripted_llm import ScriptedLLM

TALK = [
    {"id": "start", "type": "start", "data": {}},
    {"id": "talk", "type": "conversation", "data": {"instructions": "Answer."}},
]


async def test_the_next_provider_goes_on_from_what_was_spoken() -> None:
    broken = ScriptedLLM(answer="It has two arms. The river is", cut_after=6)
    whole = ScriptedLLM(answer="The river is long. And deep.")
    async with broken.serve(), whole.serve():
        providers = [
            OpenAIProvider(base_url=llm.url, api_key=None, model="m") for llm in (broken, whole)
        ]
        async with serve_backend(Chain([Member(provider) for provider in providers])) as backend:
            await backend.add_flow(TALK, [("start", "talk", {"condition_type": "always"})])
            events = await backend.turn("s", "Tell me about the river.", "t1")
            again = await backend.turn("s", "And then?", "t2")
            state = await backend.state("s")
        for provider in providers:
            await provider.aclose()
    assert kinds(events)[-1] == "done"
    assert text_of(events) == "It has two arms. The river is long. And deep."
    assert state["transcript"][1]["text"] == text_of(events)
    assert [message["role"] for message in whole.prompts[0]] == [
        "system", "user", "assistant", "user",
    ]  # fmt: skip
    assert whole.prompts[0][2]["content"] == "It has two arms. The river"
    # The one that failed rests.
    assert len(broken.prompts) == 1
    assert text_of(again) == whole.answer
