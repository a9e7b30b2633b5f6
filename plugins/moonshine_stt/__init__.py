"""LiveKit Agents adapter of `speech.moonshine`: local streaming speech to text."""

from plugins.moonshine_stt.stt import STT

__all__ = ["STT"]
