"""Piper voices that speak while the sentence is still being synthesised.

May import `protocol`, `speech.audio`, `speech.sentences`, `speech.text`, onnxruntime and piper.
"""

from speech.chunk import SpeechChunk, WordTiming
from speech.piper.engine import PiperEngine, shared_engine
from speech.piper.voice import PiperVoice
from speech.piper.voices import DEFAULT_VOICE, find_voice, voices_dir

__all__ = [
    "DEFAULT_VOICE",
    "PiperEngine",
    "PiperVoice",
    "SpeechChunk",
    "WordTiming",
    "find_voice",
    "shared_engine",
    "voices_dir",
]
