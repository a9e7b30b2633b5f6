"""Lessons: what is saved when, and the work that goes on after an answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

from flow_backend.doors.conversation import answer, chat_flow
from flow_backend.engine.engine import EngineParts
from flow_backend.engine.state import Entry
from flow_backend.engine.transient import transient_session
from flow_backend.llm.base import GenerationParams, LLMProvider, Message
from flow_backend.store.conversations import (
    Conversation,
    ConversationStore,
    StoredMessage,
    busy,
)
from flow_backend.tutor import study
from flow_backend.tutor.settings import TutorSettings
from protocol.errors import ParleyError

log = logging.getLogger(__name__)

SUMMARISE_BEYOND = 10
"""Messages that may stand whole in a prompt."""
KEPT_WHOLE = 5
"""Messages that stay whole when the ones before are summarised."""
MAX_BACKGROUND_TASKS = 64
"""Further work after answers is left out: the next answer of a conversation catches up."""
BUSY_WAIT_S = 2.0
"""How long a request waits for the conversation's last answer to be put away."""


class Tutor:
    """Answers in conversations that are kept; owns the work in the background."""

    def __init__(
        self, store: ConversationStore, parts: EngineParts, settings: TutorSettings
    ) -> None:
        self.store = store
        self._parts = parts
        self._settings = settings
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Stops the work in the background."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def idle(self) -> None:
        """Waits until nothing goes on in the background."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def model(self) -> LLMProvider:
        """The tutor's model.

        Raises:
            ProviderError: `provider_unknown` or `provider_not_configured`.
        """
        return await self._parts.models.get(self._settings.tutor_llm)

    async def open(
        self,
        conversation_id: str,
        language: str,
        difficulty_level: str,
        title: str = "",
        *,
        owner: str = "",
    ) -> Conversation:
        """Opens a conversation for an API key and warms its model up."""
        opened = await self.store.open(
            conversation_id, language, difficulty_level, title, owner=owner
        )
        self._start(self._warm(conversation_id))
        return opened

    async def _warm(self, conversation_id: str) -> None:
        """Has the model read the instructions, so that it is loaded and has them in its cache."""
        conversation = await self.store.get(conversation_id)
        provider = await self.model()
        messages = [Message("system", study.instructions(conversation)), Message("user", "…")]
        await provider.complete(messages, GenerationParams(max_tokens=1, purpose="warm"))

    async def reply(
        self, conversation: Conversation, text: str
    ) -> AsyncGenerator[str | list[study.Correction], None]:
        """Answers, token by token; the last item is the list of corrections.

        The user's message is saved before the first item, which is an empty text. The answer is
        saved behind its last token, and what there is of it when the generator is closed or the
        model fails.

        Raises:
            FlowError: `turn_conflict` if the last answer goes on.
            ProviderError: What the model raises.
        """
        async with self._alone(conversation.id):
            position = await self.store.begin(conversation.id, text)
            yield ""
            correcting = asyncio.create_task(self._corrections(conversation, text))
            said: list[str] = []
            over = False
            corrections: list[study.Correction] = []
            try:
                async with aclosing(self._answer(conversation, position, text)) as tokens:
                    async for token in tokens:
                        said.append(token)
                        yield token
                over = True
                await asyncio.wait([correcting], timeout=self._settings.tutor_corrections_wait_s)
                if correcting.done():
                    corrections = correcting.result()
            finally:
                correcting.cancel()
                await asyncio.gather(correcting, return_exceptions=True)
                saving = asyncio.ensure_future(
                    self.store.finish(
                        conversation.id,
                        position,
                        "".join(said),
                        cut_off=not over,
                        corrections=[each.model_dump() for each in corrections],
                    )
                )
                # A second cancellation must not lose the answer.
                await asyncio.shield(saving)
            self._start(self._study(conversation.id, "".join(said)))
            yield corrections

    @asynccontextmanager
    async def _alone(self, conversation_id: str) -> AsyncGenerator[None, None]:
        lock = self._locks.setdefault(conversation_id, asyncio.Lock())
        try:
            async with asyncio.timeout(BUSY_WAIT_S):
                await lock.acquire()
        except TimeoutError as error:
            raise busy(conversation_id) from error
        try:
            yield
        finally:
            lock.release()

    async def _answer(
        self, conversation: Conversation, position: int, text: str
    ) -> AsyncGenerator[str, None]:
        before = await self.store.messages(conversation.id, conversation.summarised)
        flow = chat_flow(
            llm=self._settings.tutor_llm, instructions=study.instructions(conversation)
        )
        session = transient_session(self._parts, flow)
        session.state.summary = conversation.summary
        session.state.history[:] = [
            Entry(message.role, message.text, interrupted=message.cut_off, heard=True)
            for message in before
            if message.position < position
        ]
        try:
            async with aclosing(answer(session, text)) as tokens:
                async for token in tokens:
                    yield token
        finally:
            await session.aclose()

    async def _corrections(self, conversation: Conversation, text: str) -> list[study.Correction]:
        if not self._settings.tutor_corrections:
            return []
        provider = await self.model()
        if not provider.supports_tools:
            return []
        return await study.corrections(provider, conversation, text)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._tasks) >= MAX_BACKGROUND_TASKS:
            work.close()
            return
        task = asyncio.create_task(_quiet(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _study(self, conversation_id: str, text: str) -> None:
        """Summarises what is old, and makes cards of the answer's key words."""
        conversation = await self.store.get(conversation_id)
        provider = await self.model()
        messages = await self.store.messages(conversation_id, conversation.summarised)
        if len(messages) > SUMMARISE_BEYOND:
            await self._summarise(provider, conversation, messages[:-KEPT_WHOLE])
        known = [card.word for card in await self.store.cards(conversation_id)]
        cards = await study.words(provider, conversation, text, known)
        await self.store.add_cards(conversation_id, cards)

    async def _summarise(
        self, provider: LLMProvider, conversation: Conversation, old: list[StoredMessage]
    ) -> None:
        summary = await study.summary(provider, conversation, old)
        if summary:
            await self.store.save_summary(conversation.id, summary, old[-1].position + 1)


async def _quiet(work: Coroutine[Any, Any, None]) -> None:
    """Nobody waits for this work: a model that fails is noted, and the next answer catches up."""
    try:
        await work
    except ParleyError as error:
        log.warning("the tutor's work after an answer failed (%s)", error.code)
