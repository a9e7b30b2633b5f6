"""Voices behind one interface: Piper in the process, hosted ones, any Wyoming server.

`base.py` is the interface, `catalogue.py` lists the providers, each other file is one of them.
"""

from speech.tts.base import TTSProvider, Voice
from speech.tts.catalogue import CATALOGUE, create, is_configured

__all__ = ["CATALOGUE", "TTSProvider", "Voice", "create", "is_configured"]
