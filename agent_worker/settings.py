"""Settings of the agent worker."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from protocol.logs import LogFormat
from protocol.recordings import BucketSettings
from protocol.settings import HTTP_URL_PATTERN, LIVEKIT_URL_PATTERN, LogLevel
from protocol.tracing import TracingSettings
from speech.settings import SpeechSettings

PACES_S = {"quick": (0.2, 0.7), "normal": (0.25, 1.2), "patient": (0.6, 3.0)}
"""Delays before an answer: where the caller is likely to be done, and where not."""
OPENAI_URL = "https://api.openai.com/v1"
"""Where BRAIN=openai asks unless told otherwise."""


class WorkerSettings(SpeechSettings, TracingSettings, BucketSettings):
    """What the worker reads; voices and transcribers are in the base class."""

    livekit_url: str = Field(
        default="ws://127.0.0.1:7880",
        pattern=LIVEKIT_URL_PATTERN,
        description="LiveKit server.",
    )
    livekit_api_key: str = Field(min_length=1, description="API key of the LiveKit server.")
    livekit_api_secret: SecretStr = Field(min_length=1, description="Its secret.")
    agent_name: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]*$",
        description=(
            "With a name, the agent joins only rooms that ask for it (explicit dispatch); without "
            "one, every new room."
        ),
    )
    backend_url: str = Field(
        default="http://127.0.0.1:8000",
        pattern=HTTP_URL_PATTERN,
        description="Root of the flow backend.",
    )
    parley_api_key: SecretStr | None = Field(
        default=None,
        description="API key for the backend, where it asks for one; the scope talk is enough.",
    )
    flow_id: str = Field(
        default="default",
        min_length=1,
        max_length=200,
        description="Flow of rooms that choose none (participant or room metadata: `flow_id`).",
    )
    worker_host: str = Field(
        default="127.0.0.1", description="Address of the worker's health page."
    )
    worker_port: int = Field(
        default=8081, ge=0, le=65535, description="Port of the worker's health page; 0: any."
    )
    max_calls: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description=(
            "Calls at once; further rooms go to other workers. By default one for each core: with "
            "more, answers come late."
        ),
    )
    drain_s: int = Field(
        default=60, ge=1, le=86400, description="How long calls may go on after a stop was asked."
    )

    brain: str = Field(
        default="flow",
        pattern=r"^[a-z][a-z0-9_-]*(/[^,\s]+)?(\s*,\s*[a-z][a-z0-9_-]*(/[^,\s]+)?)*$",
        description=(
            "Who answers: `flow`, the flow backend; or directly `openai`, any OpenAI-compatible "
            "endpoint, or another of LiveKit's LLM plugins, `name/model`, or a chain `a,b`."
        ),
    )
    openai_base_url: str | None = Field(
        default=None,
        pattern=HTTP_URL_PATTERN,
        description="The endpoint for BRAIN=openai; OpenAI's own by default.",
    )
    openai_api_key: SecretStr | None = Field(default=None, description="Its key.")
    openai_model: str = Field(
        default="gpt-4.1-mini", min_length=1, description="Its model, for BRAIN=openai."
    )
    agent_instructions: str = Field(
        default=(
            "You are a friendly voice assistant. Answer in one to three short sentences of plain "
            "spoken English, with no lists, markdown or emoji."
        ),
        description="System prompt for BRAIN=openai; flows have their own.",
    )
    agent_greeting: str = Field(
        default="", description="First words for BRAIN=openai; flows have their own."
    )

    piper_seed: int | None = Field(
        default=None,
        ge=0,
        description="Piper's noise; with a number, the same text sounds the same each time.",
    )
    vad_silence_s: float = Field(
        default=0.2, ge=0.2, le=2, description="Silence that counts as a pause."
    )
    turn_pace: Literal["quick", "normal", "patient"] = Field(
        default="normal",
        description=(
            "How soon a pause counts as the end of the caller's turn: `quick` for people who are "
            "used to machines, `patient` for those who think while they speak. Sets the two delays "
            "below: 0.2 and 0.7, 0.25 and 1.2, 0.6 and 3 s."
        ),
    )
    endpointing: Literal["fixed", "dynamic"] = Field(
        default="fixed",
        description="Whether the delay before an answer adapts to the caller's pauses.",
    )
    endpointing_min_s: float | None = Field(
        default=None,
        ge=0,
        le=5,
        description="From the end of speech to the answer, at least; unset: by TURN_PACE.",
    )
    endpointing_max_s: float | None = Field(
        default=None,
        ge=0,
        le=30,
        description=(
            "The same where the end-of-turn model thinks that more is to come; unset: by TURN_PACE."
        ),
    )
    interruption_min_s: float = Field(
        default=0.05,
        ge=0,
        le=5,
        description=(
            "Speech that pauses the agent, at least so long; without words for it, the agent goes "
            "on where it paused."
        ),
    )
    resume_after_s: float = Field(
        default=0.8,
        ge=0,
        le=10,
        description="A stopped answer goes on after so much silence without words; 0: never.",
    )
    echo_warmup_s: float = Field(
        default=0,
        ge=0,
        le=10,
        description="No interruption in so many first seconds, for clients whose echo is heard.",
    )
    still_there_after_s: float = Field(
        default=30,
        ge=0,
        le=3600,
        description=(
            "Silence after which the agent asks whether the caller is still there; after as much "
            "again it says goodbye and ends the call. 0: never."
        ),
    )
    preemptive: bool = Field(
        default=True, description="Begin the answer while the end of the turn is being judged."
    )
    hang_up: Literal["delete_room", "leave"] = Field(
        default="delete_room",
        description="What the agent does when its flow has ended: closes the room, or leaves it.",
    )

    phrase_failed: str = Field(
        default="Sorry, I could not finish that. Please ask me again.",
        description="Said when an answer fails. Empty: silence.",
    )
    phrase_unreachable: str = Field(
        default="Sorry, I cannot think right now. Please try again in a moment.",
        description="Said when the backend or the model cannot be reached. Empty: silence.",
    )
    phrase_no_flow: str = Field(
        default="Sorry, this line has not been set up yet.",
        description="Said when the flow does not exist. Empty: silence.",
    )
    phrase_repeat: str = Field(
        default="Sorry, I did not catch that.",
        description="Said when speech could not be understood. Empty: silence.",
    )
    phrase_transfer_failed: str = Field(
        default="Sorry, I could not connect you.",
        description="Said when a call cannot be handed over. Empty: silence.",
    )
    phrase_still_there: str = Field(
        default="Are you still there?",
        description="Said after STILL_THERE_AFTER_S of silence. Empty: silence.",
    )
    phrase_closing: str = Field(
        default="Sorry, I have to go now. Please call again in a moment.",
        description="Said before a call is ended because the worker stops. Empty: silence.",
    )
    phrase_goodbye: str = Field(
        default="I will hang up now. Goodbye.",
        description="Said before the agent ends a call that has gone silent. Empty: silence.",
    )
    repeat_after_s: float = Field(
        default=1.0,
        ge=0,
        le=30,
        description="Shorter sounds that hold no words are passed over in silence.",
    )
    recordings_dir: Path | None = Field(
        default=None,
        description="Folder in which calls are recorded, sound and transcript; unset: they are "
        "not. Callers must know: let the greeting say so.",
    )
    recordings_kept_days: float = Field(
        default=30, gt=0, description="Days after which a recording is deleted."
    )
    log_level: LogLevel = Field(default="INFO", description="Least severity that is logged.")
    log_format: LogFormat = Field(
        default="text", description="`text`, or `json`: one object a line."
    )
    worker_metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port on which the worker serves Prometheus metrics; unset: nowhere.",
    )

    @property
    def calls_at_once(self) -> int:
        """`max_calls`, or what was measured to be answered in time: docs/benchmarks/rooms.md."""
        return self.max_calls or os.cpu_count() or 1

    @property
    def endpointing_delays_s(self) -> tuple[float, float]:
        """From the end of speech to the answer: at least, and where more may come."""
        least_s, most_s = PACES_S[self.turn_pace]
        return (
            least_s if self.endpointing_min_s is None else self.endpointing_min_s,
            most_s if self.endpointing_max_s is None else self.endpointing_max_s,
        )

    @model_validator(mode="after")
    def _somebody_answers(self) -> Self:
        asked = {part.strip().partition("/")[0] for part in self.brain.split(",")}
        if "openai" in asked and self.openai_api_key is None and self.openai_base_url is None:
            raise ValueError("BRAIN=openai needs OPENAI_API_KEY or OPENAI_BASE_URL")
        return self

    @model_validator(mode="after")
    def _whole_recordings_come_from_a_folder(self) -> Self:
        if self.recordings_bucket is not None and self.recordings_dir is None:
            raise ValueError("RECORDINGS_BUCKET needs RECORDINGS_DIR, where calls are recorded")
        return self

    @model_validator(mode="after")
    def _delays_in_order(self) -> Self:
        least_s, most_s = self.endpointing_delays_s
        if most_s < least_s:
            raise ValueError(
                "ENDPOINTING_MAX_S must not be less than ENDPOINTING_MIN_S; unset, they are "
                f"{PACES_S[self.turn_pace][1]} and {PACES_S[self.turn_pace][0]}"
            )
        return self
