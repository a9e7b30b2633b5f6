"""Routes of what is kept of a person, for the operator."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from flow_backend.api.sessions import EngineDep
from flow_backend.store.people import PeopleStore, Person

router = APIRouter(prefix="/api/privacy", tags=["privacy"])


class SessionOfPerson(BaseModel):
    """One session."""

    flow_id: str
    session_id: str
    last_used_at: float
    """Unix seconds."""


class Findings(BaseModel):
    """What the database has of a person, or had."""

    sessions: list[SessionOfPerson]
    conversations: list[str]
    """Ids of conversations with the tutor."""


def get_people(request: Request) -> PeopleStore:
    """The store."""
    return PeopleStore(request.app.state.database)


People = Annotated[PeopleStore, Depends(get_people)]


@router.post("/find")
async def find(person: Person, people: People, engine: EngineDep) -> Findings:
    """What there is of a person."""
    await engine.flush()
    return Findings(
        sessions=[
            SessionOfPerson(
                flow_id=found.flow_id, session_id=found.session_id, last_used_at=found.last_used_at
            )
            for found in await people.sessions(person)
        ],
        conversations=await people.conversations(person),
    )


@router.post("/delete")
async def delete(person: Person, people: People, engine: EngineDep) -> Findings:
    """Ends a person's sessions and deletes all that is kept of them; gives what there was."""
    found = await find(person, people, engine)
    for session in found.sessions:
        await engine.forget(session.flow_id, session.session_id)
    uids = {session.uid for session in await people.sessions(person)}
    await people.delete_sessions(uids)
    await people.delete_conversations(found.conversations)
    return found
