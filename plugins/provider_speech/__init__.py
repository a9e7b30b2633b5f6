"""LiveKit Agents adapters of `speech.tts` and `speech.stt`: any of the project's providers.

May import `speech`, `protocol` and livekit.
"""

from plugins.provider_speech.chain import VoiceChain
from plugins.provider_speech.stt import STT
from plugins.provider_speech.tts import TTS

__all__ = ["STT", "TTS", "VoiceChain"]
