"""Sound as arrays: resampling, wav files, loudness, frames. May import `protocol` and numpy."""

from speech.audio.frames import FrameCutter
from speech.audio.loudness import Leveller, speech_level
from speech.audio.resampling import Resampler, resample, to_float, to_int16
from speech.audio.wav import Wav, read_wav, wav_bytes, wav_header, write_wav

__all__ = [
    "FrameCutter",
    "Leveller",
    "Resampler",
    "Wav",
    "read_wav",
    "resample",
    "speech_level",
    "to_float",
    "to_int16",
    "wav_bytes",
    "wav_header",
    "write_wav",
]
