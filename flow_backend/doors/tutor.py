"""Door C: conversations with a tutor, kept in the database. Contract: docs/doors.md."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from flow_backend.access.admission import STREAMED
from flow_backend.access.gate import Caller, caller_of
from flow_backend.doors.events import EventsResponse, data_event
from flow_backend.store.conversations import Conversation, StoredMessage
from flow_backend.tutor.tutor import Tutor
from protocol.errors import ParleyError

router = APIRouter(tags=["tutor"])

Level = Literal["A1", "A2", "B1", "B2", "C1", "C2"]


def storable(text: str) -> str:
    """Refuses what says nothing, and the one character that PostgreSQL cannot keep."""
    if not text.strip():
        raise ValueError("the text is empty")
    if "\0" in text:
        raise ValueError("the text has a NUL character")
    return text


Storable = AfterValidator(storable)
ConversationId = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._~-]+$", examples=["lesson-1"])
]
Language = Annotated[str, Field(min_length=2, max_length=60, examples=["Spanish"]), Storable]


class TutorRequest(BaseModel):
    """What the student says; a conversation that is not there yet is opened."""

    model_config = ConfigDict(extra="forbid")

    conversation_id: ConversationId
    user_message: Annotated[
        str, Field(min_length=1, max_length=20_000, examples=["Ayer yo ir al mercado."]), Storable
    ]
    language: Language
    difficulty_level: Annotated[Level, Field(examples=["A2"])]


class NewConversation(BaseModel):
    """What a new conversation is about."""

    model_config = ConfigDict(extra="forbid")

    language: Language
    difficulty_level: Annotated[Level, Field(examples=["A2"])]
    title: Annotated[str, Field(max_length=200), Storable] | None = None


class ConversationOut(BaseModel):
    """A conversation as clients see it."""

    id: str
    title: str
    language: str
    difficulty_level: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Conversation) -> ConversationOut:
        """From the database's row."""
        return cls(
            id=row.id,
            title=row.title,
            language=row.language,
            difficulty_level=row.difficulty_level,
            created_at=datetime.fromtimestamp(row.created_at, UTC),
            updated_at=datetime.fromtimestamp(row.updated_at, UTC),
        )


class MessageOut(BaseModel):
    """One message."""

    role: Literal["user", "assistant"]
    content: str
    cut_off: bool
    """An answer that did not come to its end."""
    corrections: list[dict[str, Any]]
    created_at: datetime

    @classmethod
    def of(cls, row: StoredMessage) -> MessageOut:
        """From the database's row."""
        return cls(
            role=row.role,
            content=row.text,
            cut_off=row.cut_off,
            corrections=row.corrections,
            created_at=datetime.fromtimestamp(row.created_at, UTC),
        )


class WholeConversation(ConversationOut):
    """A conversation with its messages."""

    summary: str
    """Of the older messages; empty in a short conversation."""
    messages: list[MessageOut]


class ConversationList(BaseModel):
    """Conversations, the last used first."""

    conversations: list[ConversationOut]


class CardOut(BaseModel):
    """A word to learn."""

    word: str
    translation: str | None
    example: str


class Vocabulary(BaseModel):
    """A conversation's cards, the oldest first."""

    vocabulary: list[CardOut]


def get_tutor(request: Request) -> Tutor:
    """The app's tutor."""
    tutor: Tutor = request.app.state.tutor
    return tutor


TutorDep = Annotated[Tutor, Depends(get_tutor)]
CallerDep = Annotated[Caller, Depends(caller_of)]


@router.post(
    "/chat/stream", response_class=EventsResponse, status_code=200, dependencies=[STREAMED]
)
async def tutor_stream(body: TutorRequest, tutor: TutorDep, caller: CallerDep) -> Response:
    """Streams the tutor's answer; corrections of the student's sentence come with its end."""
    await tutor.model()
    # No warming up: the answer itself does it.
    conversation = await tutor.store.open(
        body.conversation_id,
        body.language,
        body.difficulty_level,
        owner=caller.owner,
        sees=caller.sees,
    )
    frames = _frames(tutor, conversation, body.user_message)
    # The first frame is there once the message is saved: what fails before is no stream yet.
    opening = await anext(frames)
    return EventsResponse(frames, opening=opening)


async def _frames(
    tutor: Tutor, conversation: Conversation, text: str
) -> AsyncGenerator[bytes, None]:
    said: list[str] = []
    saved = False
    try:
        async with aclosing(tutor.reply(conversation, text)) as answer:
            async for item in answer:
                if isinstance(item, list):
                    yield data_event(
                        {
                            "done": True,
                            "full_text": "".join(said),
                            "corrections": [each.model_dump() for each in item],
                        }
                    )
                elif saved:
                    said.append(item)
                    yield data_event({"token": item})
                else:
                    saved = True
                    yield b": saved\n\n"
    except ParleyError as error:
        if not saved:
            raise
        yield data_event({"error": error.message, "code": error.code, "retryable": error.retryable})


@router.post("/conversations", status_code=201)
async def open_conversation(
    body: NewConversation, tutor: TutorDep, caller: CallerDep, response: Response
) -> ConversationOut:
    """Opens a conversation, and warms the model up for it."""
    conversation_id = uuid4().hex
    opened = await tutor.open(
        conversation_id,
        body.language,
        body.difficulty_level,
        body.title or "",
        owner=caller.owner,
    )
    response.headers["Location"] = f"/conversations/{conversation_id}"
    return ConversationOut.of(opened)


@router.get("/conversations")
async def conversations(
    tutor: TutorDep,
    caller: CallerDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
) -> ConversationList:
    """Lists conversations, the last used first."""
    rows = await tutor.store.all(limit, offset, caller.sees)
    return ConversationList(conversations=[ConversationOut.of(row) for row in rows])


@router.get("/conversations/{conversation_id}")
async def conversation(
    conversation_id: ConversationId, tutor: TutorDep, caller: CallerDep
) -> WholeConversation:
    """A conversation with its messages."""
    row = await tutor.store.get(conversation_id, caller.sees)
    messages = await tutor.store.messages(conversation_id)
    return WholeConversation(
        **ConversationOut.of(row).model_dump(),
        summary=row.summary,
        messages=[MessageOut.of(message) for message in messages],
    )


@router.get("/conversations/{conversation_id}/vocabulary")
async def vocabulary(
    conversation_id: ConversationId, tutor: TutorDep, caller: CallerDep
) -> Vocabulary:
    """The words to learn that came up in a conversation."""
    await tutor.store.get(conversation_id, caller.sees)
    cards = await tutor.store.cards(conversation_id)
    return Vocabulary(
        vocabulary=[
            CardOut(word=card.word, translation=card.translation, example=card.example)
            for card in cards
        ]
    )
