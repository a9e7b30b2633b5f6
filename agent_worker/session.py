"""LiveKit's session as we use it: everything local, and every choice made on purpose."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from livekit.agents import AgentSession, inference, llm, room_io
from livekit.agents.types import APIConnectOptions
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.turn import TurnHandlingOptions

from agent_worker.end_of_turn import EndOfTurnDetector
from agent_worker.settings import WorkerSettings

if TYPE_CHECKING:
    from agent_worker.engines import SpeechEngines

SessionFactory = Callable[[llm.LLM[Any]], AgentSession[None]]
"""Makes the session of one call, around the model that answers."""

TypedCallback = Callable[[AgentSession[Any], room_io.TextInputEvent], Coroutine[None, None, None]]
"""Called with words that were typed."""

MAX_FAILURES = 20
"""Failures of one kind in a row after which LiveKit closes the session. Every failed answer is
apologised for, and the phrase that is spoken sets the count back, so that this many means that
nobody hears anything."""
ONE_RETRY = APIConnectOptions(max_retry=1, retry_interval=0.3)
"""Of speech: somebody waits, and is better told than kept waiting."""
MAX_GUESSES = 10
"""Answers that are begun in one turn of the caller's, each at a short pause."""
TRANSCRIPT_WAIT_S = 4.0
"""Speech without any words by then counts as not understood."""


def new_session(
    settings: WorkerSettings, engines: SpeechEngines, model: llm.LLM[Any]
) -> AgentSession[None]:
    """A session with the shared speech engines and this model."""
    vad = inference.VAD(min_silence_duration=settings.vad_silence_s)
    end_of_turn = EndOfTurnDetector()
    session: AgentSession[None] = AgentSession(
        stt=engines.stt(vad),
        vad=vad,
        llm=model,
        tts=engines.tts(),
        turn_handling=turn_handling(settings, end_of_turn),
        # The words as they are played, so that the text of an interrupted answer is what was
        # heard.
        use_tts_aligned_transcript=True,
        # LiveKit's filters hold the last terminator back until the next token; the voice cleans
        # the text itself.
        tts_text_transforms=None,
        aec_warmup_duration=settings.echo_warmup_s or None,
        user_away_timeout=settings.still_there_after_s or None,
        transcription_timeout=TRANSCRIPT_WAIT_S,
        conn_options=SessionConnectOptions(
            stt_conn_options=ONE_RETRY,
            tts_conn_options=ONE_RETRY,
            llm_conn_options=APIConnectOptions(max_retry=0, timeout=60.0),
            max_unrecoverable_errors=MAX_FAILURES,
        ),
    )
    end_of_turn.follow(session)
    return session


def turn_handling(
    settings: WorkerSettings, end_of_turn: inference.TurnDetector
) -> TurnHandlingOptions:
    """Who speaks when. Modes are pinned: the defaults may call a cloud service."""
    least_s, most_s = settings.endpointing_delays_s
    return {
        "turn_detection": end_of_turn,
        "endpointing": {
            "mode": settings.endpointing,
            "min_delay": least_s,
            "max_delay": most_s,
        },
        "interruption": {
            "enabled": True,
            "mode": "vad",
            "min_duration": settings.interruption_min_s,
            "resume_false_interruption": settings.resume_after_s > 0,
            "false_interruption_timeout": settings.resume_after_s or None,
        },
        "preemptive_generation": {
            "enabled": settings.preemptive,
            "preemptive_tts": settings.preemptive,
            "max_speech_duration": 60.0,
            "max_retries": MAX_GUESSES,
        },
    }


def room_options(identity: str, on_typed: TypedCallback) -> room_io.RoomOptions:
    """Listens to one participant; audio and transcripts are published to the room.

    Args:
        identity: The participant's.
        on_typed: Called with what the participant writes to the topic `lk.chat`.
    """
    return room_io.RoomOptions(
        participant_identity=identity,
        # The rate at which speech is decoded and detected; short frames come sooner.
        audio_input=room_io.AudioInputOptions(sample_rate=16_000, frame_size_ms=20),
        # The call brings a voice of its own: agent_worker/room_voice.py.
        audio_output=False,
        text_input=room_io.TextInputOptions(text_input_cb=on_typed),
        # The call paces the words by what was played: agent_worker/room_words.py.
        text_output=room_io.TextOutputOptions(sync_transcription=False),
        video_input=False,
        close_on_disconnect=True,
    )
