"""Voice activity: Silero's model (MIT, from livekit-plugins-silero's wheel) in a small class.

Does not import the wheel's package, which would bring LiveKit's agent framework along.
"""

from speech.vad.silero import SAMPLE_RATE_HZ, WINDOW_SAMPLES, VoiceDetector, VoiceWindow

__all__ = ["SAMPLE_RATE_HZ", "WINDOW_SAMPLES", "VoiceDetector", "VoiceWindow"]
