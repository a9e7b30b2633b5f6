"""Settings of voices and transcription, shared by every process that speaks or listens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, SecretStr

from protocol.errors import ConfigError
from protocol.settings import EnvSettings

if TYPE_CHECKING:
    from speech.text import Lexicon


class SpeechSettings(EnvSettings):
    """The speech part of a process's settings class; worker and backend build on it."""

    tts: str = Field(default="piper", description="Voice provider, or a chain `a,b`.")
    stt: str = Field(default="moonshine", description="Transcription provider, or a chain.")

    piper_voice: str | None = Field(
        default=None,
        description="Voice: a name such as en_US-joe-medium, or the path of an .onnx file.",
    )
    sentence_pause_s: float = Field(
        default=0.2, ge=0, le=5, description="Silence between the sentences that Piper speaks."
    )
    paragraph_pause_s: float = Field(
        default=0.5, ge=0, le=5, description="Silence between its paragraphs."
    )
    pronunciations: Path | None = Field(
        default=None,
        description="Path of a pronunciation dictionary, lines of `written = spoken`.",
    )

    elevenlabs_api_key: SecretStr | None = Field(default=None, description="Key of ElevenLabs.")
    elevenlabs_base_url: str = Field(
        default="https://api.elevenlabs.io", description="ElevenLabs or a compatible server."
    )
    elevenlabs_model: str = Field(default="eleven_flash_v2_5", description="ElevenLabs model.")
    elevenlabs_voice: str = Field(
        default="21m00Tcm4TlvDq8ikWAM", description="ElevenLabs voice id for unnamed voices."
    )
    inworld_api_key: SecretStr | None = Field(
        default=None, description="Key of Inworld, base64 as its portal shows it."
    )
    inworld_base_url: str = Field(
        default="https://api.inworld.ai", description="Inworld or a compatible server."
    )
    inworld_model: str = Field(default="inworld-tts-1.5-mini", description="Inworld model.")
    inworld_voice: str = Field(default="Ashley", description="Inworld voice for unnamed voices.")
    openai_api_key: SecretStr | None = Field(default=None, description="Key of OpenAI.")
    openai_base_url: str | None = Field(
        default=None, description="OpenAI-compatible server instead of OpenAI's own."
    )
    openai_tts_model: str = Field(default="gpt-4o-mini-tts", description="OpenAI speech model.")
    openai_tts_voice: str = Field(default="alloy", description="OpenAI voice for unnamed voices.")
    openai_stt_model: str = Field(
        default="gpt-4o-mini-transcribe", description="OpenAI transcription model."
    )
    wyoming_tts_uri: str | None = Field(
        default=None, description="Wyoming voice server, `tcp://host:port` or `unix:///path`."
    )
    wyoming_stt_uri: str | None = Field(
        default=None, description="Wyoming transcription server, as above."
    )
    speech_connect_timeout_s: float = Field(
        default=5.0, gt=0, description="Limit for connecting to a hosted voice or transcriber."
    )
    speech_read_timeout_s: float = Field(
        default=15.0, gt=0, description="Limit between two pieces of a hosted provider's answer."
    )
    whisper_model: str = Field(
        default="base", description="faster-whisper model: a folder, or a name it may download."
    )
    whisper_threads: int = Field(default=2, ge=1, description="Threads of faster-whisper.")
    audio_cache_mb: int = Field(
        default=64, ge=0, le=16_384, description="Room for speech that may be asked for again."
    )
    speech_parallel: int = Field(
        default=2, ge=1, le=64, description="Pieces of one answer that are spoken at once."
    )

    def lexicon(self) -> Lexicon | None:
        """Reads the pronunciation dictionary, if there is one.

        Raises:
            ConfigError: `setting_invalid`, naming the variable, the file and the line.
        """
        from speech.text import Lexicon

        if self.pronunciations is None:
            return None
        try:
            return Lexicon.load(self.pronunciations)
        except ConfigError as error:
            raise ConfigError(error.code, f"PRONUNCIATIONS: {error.message}") from error
