from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ParleyError, ProviderError, SpeechError
from speech import fallback
from speech.chunk import SpeechChunk, WordTiming
from speech.fallback import Member, references
from speech.stt.base import STTProvider, Transcription
from speech.stt.chain import ChainSTT
from speech.tts.base import TTSProvider, Voice
from speech.tts.chain import ChainTTS

RATE_HZ = 1000
WORD_SAMPLES = 100
TEXT = "One two three four."


class Speaker(TTSProvider):
    """Its sound is its number, 100 ms for each word; fails after so many words."""

    name: ClassVar[str] = "speaker"
    label: ClassVar[str] = "Speaker"
    native_rate_hz = RATE_HZ

    def __init__(self, number: int, fails_after: int | None = None, *, timed: bool = True) -> None:
        self.number = number
        self.fails_after = fails_after
        self.error: ParleyError = ProviderError("provider_unavailable", f"{number} is down.")
        self.asked: list[tuple[str, str | None]] = []
        self.has_word_timings = timed  # type: ignore[misc]

    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        self.asked.append((text, voice))
        at = 0
        words = text.split()
        for index, word in enumerate(words):
            if index == self.fails_after:
                raise self.error
            at = text.index(word, at) + len(word)
            timing = WordTiming(word, index / 10, (index + 1) / 10, at - len(word), at)
            samples = np.full(WORD_SAMPLES, self.number, np.int16)
            yield SpeechChunk(samples, RATE_HZ, (timing,) if self.has_word_timings else (), False)
        if self.fails_after == len(words):
            raise self.error
        yield SpeechChunk(np.zeros(0, np.int16), RATE_HZ, (), True)

    async def voices(self) -> list[Voice]:
        return [Voice(str(self.number), str(self.number))]


def chain(*speakers: Speaker) -> ChainTTS:
    return ChainTTS([Member(s, f"voice {s.number}") for s in speakers])


async def spoken(tts: TTSProvider, voice: str | None = None) -> tuple[list[int], list[WordTiming]]:
    """Who said each word, and when the words sounded."""
    async with aclosing(tts.stream(TEXT, voice=voice)) as chunks:
        found = [chunk async for chunk in chunks]
    assert [chunk.last for chunk in found] == [False] * (len(found) - 1) + [True]
    samples = np.concatenate([chunk.samples for chunk in found])
    words = [word for chunk in found for word in chunk.words]
    return [int(n) for n in samples[::WORD_SAMPLES]], words


async def test_the_first_speaks_with_the_callers_voice_and_others_with_their_own() -> None:
    first, second = Speaker(1), Speaker(2)
    assert (await spoken(chain(first, second), "ada"))[0] == [1, 1, 1, 1]
    assert (await spoken(chain(first, second)))[0] == [1, 1, 1, 1]
    assert first.asked == [(TEXT, "ada"), (TEXT, "voice 1")]
    first.fails_after = 0
    assert (await spoken(chain(first, second), "ada"))[0] == [2, 2, 2, 2]
    assert second.asked == [(TEXT, "voice 2")]


@given(failures=st.lists(st.integers(0, 4), max_size=4))
async def test_nothing_is_lost_or_said_twice(failures: list[int]) -> None:
    speakers = [Speaker(number, fails) for number, fails in enumerate(failures)]
    voices, words = await spoken(chain(*speakers, Speaker(9)))
    assert len(voices) == 4
    assert [word.text for word in words] == TEXT.split()
    assert [TEXT[word.start_char : word.end_char] for word in words] == TEXT.split()
    assert [word.start_s for word in words] == pytest.approx([0.0, 0.1, 0.2, 0.3])


async def test_without_times_the_next_one_begins_again() -> None:
    voices, _ = await spoken(chain(Speaker(1, 2, timed=False), Speaker(2, timed=False)))
    assert voices == [1, 1, 2, 2, 2, 2]


async def test_one_that_failed_rests_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    # The chain's clock alone: the loop's own timers go by the real one.
    monkeypatch.setattr(fallback, "time", SimpleNamespace(monotonic=lambda: now_s))
    first, second = Speaker(1, 0), Speaker(2)
    made = chain(first, second)
    await spoken(made)
    assert (await spoken(made))[0] == [2, 2, 2, 2]
    assert len(first.asked) == 1
    first.fails_after = None
    now_s += fallback.COOLDOWN_S + 1
    assert (await spoken(made))[0] == [1, 1, 1, 1]
    second.fails_after = first.fails_after = 0
    with pytest.raises(ProviderError, match=r"1 is down\. 2 is down\."):
        await spoken(made)


async def test_what_the_caller_did_wrong_is_not_asked_of_others() -> None:
    first, second = Speaker(1, 0), Speaker(2)
    first.error = SpeechError("voice_not_found", "No such voice.")
    made = chain(first, second)
    for _ in range(2):
        with pytest.raises(SpeechError, match="No such voice"):
            await spoken(made, "nobody")
    assert second.asked == []


async def test_a_chain_needs_members_of_one_rate() -> None:
    slow = Speaker(2)
    slow.native_rate_hz = 500
    for speakers in ([], [Speaker(1), slow]):
        with pytest.raises(ValueError, match=r"a chain|the voices"):
            chain(*speakers)
    assert [voice.id for voice in await chain(Speaker(1), Speaker(2)).voices()] == ["1"]


class Listener(STTProvider):
    name: ClassVar[str] = "listener"
    label: ClassVar[str] = "Listener"

    def __init__(self, fails: bool) -> None:
        self._fails = fails
        self.asked: list[str | None] = []

    async def transcribe(
        self, samples: npt.NDArray[np.float32], *, language: str | None = None
    ) -> Transcription:
        self.asked.append(language)
        if self._fails:
            raise ProviderError("provider_rate_limited", "Later.", retry_after_s=100)
        return Transcription(f"{samples.size} samples", language, 0.0)


async def test_the_next_one_hears_the_same_utterance() -> None:
    first, second = Listener(True), Listener(False)
    made = ChainSTT([Member(first, "de"), Member(second, "fr")])
    for _ in range(2):
        said = await made.transcribe(np.zeros(7, np.float32))
        assert (said.text, said.language) == ("7 samples", "fr")
    assert first.asked == ["de"]
    both = ChainSTT([Member(first), Member(first)])
    with pytest.raises(ProviderError, match=r"Later\. Later\."):
        await both.transcribe(np.zeros(7, np.float32))


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("piper", [("piper", None)]),
        (" openai/nova , piper,, ", [("openai", "nova"), ("piper", None)]),
        ("deepgram/nova-3/x", [("deepgram", "nova-3/x")]),
        ("", []),
    ],
)
def test_settings_name_several(setting: str, found: list[tuple[str, str | None]]) -> None:
    assert references(setting) == found
