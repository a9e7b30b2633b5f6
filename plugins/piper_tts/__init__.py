"""LiveKit Agents adapter of `speech.piper`: local speech that begins inside the sentence.

May import `speech`, `protocol` and livekit.
"""

from plugins.piper_tts.tts import TTS, ChunkedStream, SynthesizeStream

__all__ = ["TTS", "ChunkedStream", "SynthesizeStream"]
