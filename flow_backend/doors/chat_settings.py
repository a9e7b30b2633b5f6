"""Settings of door B, also under the names that its first clients know."""

from __future__ import annotations

from pydantic import AliasChoices, Field

from protocol.settings import EnvSettings
from speech.audio.encoding import AudioFormat


class ChatSettings(EnvSettings):
    """Which flow answers at `/api/chat`, and how it sounds."""

    chat_flow: str = "default"
    """Flow that answers at `/api/chat`."""
    chat_tts: str | None = None
    """Voice provider of `/api/chat`; unset: the setting TTS."""
    chat_voice: str | None = Field(
        default=None, validation_alias=AliasChoices("CHAT_VOICE", "KNIK_VOICE_NAME")
    )
    """Voice of `/api/chat` where the request names none."""
    chat_speed: float = Field(default=1.0, ge=0.25, le=4.0)
    """Pace of speech at `/api/chat` where the request names none."""
    chat_sample_rate_hz: int = Field(
        default=24_000,
        ge=8_000,
        le=48_000,
        validation_alias=AliasChoices("CHAT_SAMPLE_RATE_HZ", "KNIK_SAMPLE_RATE"),
    )
    """Rate of the audio of `/api/chat`."""
    chat_format: AudioFormat = "wav"
    """Format of the audio of `/api/chat` where the request names none."""
    chat_audio_stall_s: float = Field(default=30.0, gt=0, le=600)
    """Seconds without any audio after which an answer of `/api/chat` ends with an error."""
    chat_provider: str | None = Field(
        default=None, validation_alias=AliasChoices("CHAT_PROVIDER", "KNIK_AI_PROVIDER")
    )
    """Language model provider of `/api/chat`; unset: the flow's own."""
    chat_model: str | None = Field(
        default=None, validation_alias=AliasChoices("CHAT_MODEL", "KNIK_AI_MODEL")
    )
    """Its model."""
