"""Settings of the tutor's door."""

from __future__ import annotations

from pydantic import Field

from protocol.settings import EnvSettings


class TutorSettings(EnvSettings):
    """Which model teaches, and what it does beside answering."""

    tutor_llm: str = Field(
        default="default",
        description="Model of the tutor: `provider`, `provider/model`, a chain of these, or "
        "`default` for the setting LLM.",
    )
    tutor_corrections: bool = Field(
        default=True,
        description="Whether the tutor corrects the user's sentences. Very small models are "
        "never asked to.",
    )
    tutor_corrections_wait_s: float = Field(
        default=5.0,
        ge=0,
        le=60,
        description="Seconds for which a finished answer waits for its corrections.",
    )
