"""Transcription behind one interface: Moonshine in the process, faster-whisper, hosted, Wyoming.

`base.py` is the interface, `catalogue.py` lists the providers, each other file is one of them.
"""

from speech.stt.base import STTProvider
from speech.stt.catalogue import CATALOGUE, NEEDS, create, is_configured

__all__ = ["CATALOGUE", "NEEDS", "STTProvider", "create", "is_configured"]
