"""How soon the final transcript is there, and how many words are wrong.

Beside it, in the same run, stands plain greedy decoding of the model's files as shipped, begun when
the pause is noticed.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime as ort
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.recordings import RATE_HZ, Recording, Samples, recordings
from speech.moonshine import MoonshineEngine
from speech.moonshine.conversion import shipped_model_dir
from speech.moonshine.decoding import TOKENS_PER_S
from speech.moonshine.tokenizer import END, START, Tokenizer
from speech.vad import WINDOW_SAMPLES, VoiceDetector

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_PAUSE_S = 0.25
"""Silence after which the session notices a pause."""
_FRAME_SAMPLES = RATE_HZ // 50
_LONGEST_LIVE_S = 5.0


class ShippedModel:
    """Plain greedy decoding of the .ort files, with a key-value cache and no draft."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._encoder, self._decoder = (
            ort.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
            for name in ("encoder_model.ort", "decoder_model_merged.ort")
        )
        self._tokenizer = Tokenizer(folder / "tokenizer.bin")
        self._past = [each.name for each in self._decoder.get_inputs() if "past" in each.name]

    def transcribe(self, samples: Samples) -> str:
        """The text of one utterance, float32 [n] at 16 kHz."""
        states = self._encoder.run(None, {"input_values": samples[None]})[0]
        past = dict.fromkeys(self._past, np.zeros((1, 8, 0, 52), dtype=np.float32))
        tokens = [START]
        for step in range(math.ceil(len(samples) / RATE_HZ * TOKENS_PER_S) + 2):
            feed = {
                "input_ids": np.array([tokens[-1:]], dtype=np.int64),
                "encoder_hidden_states": states,
                "use_cache_branch": np.array([step > 0]),
                **past,
            }
            logits, *present = self._decoder.run(None, feed)
            for name, value in zip(self._past, present, strict=True):
                if step == 0 or ".decoder." in name:
                    past[name] = value
            tokens.append(int(logits[0, -1].argmax()))
            if tokens[-1] == END:
                break
        return self._tokenizer.decode(tokens)


@dataclass(slots=True)
class Words:
    """Counts of one condition."""

    words: int = 0
    shipped_wrong: int = 0
    stream_wrong: int = 0
    differ: int = 0
    """Words by which the two differ from each other."""


@dataclass(slots=True)
class Result:
    """What a run found; times in milliseconds, in the order of `live`."""

    threads: int
    words: dict[str, Words] = field(default_factory=dict)
    live: list[str] = field(default_factory=list)
    """The utterances that were spoken in real time, with their length."""
    shipped_ms: list[float] = field(default_factory=list)
    """Greedy decoding of the shipped files."""
    converted_ms: list[float] = field(default_factory=list)
    """Greedy decoding of the converted graphs."""
    verified_ms: list[float] = field(default_factory=list)
    """The converted graphs with the last interim as a draft."""
    final_ms: list[float] = field(default_factory=list)
    """The live stream: from the pause to the final."""


def word_list(text: str) -> list[str]:
    """Words in lower case, without punctuation."""
    return re.sub(r"[^a-z' ]", " ", text.lower()).split()


def word_errors(reference: Sequence[str], heard: Sequence[str]) -> int:
    """Levenshtein's distance in words."""
    row = list(range(len(heard) + 1))
    for place, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], place
        for column, other in enumerate(heard, 1):
            cost = diagonal + (word != other)
            diagonal, row[column] = row[column], min(cost, row[column] + 1, row[column - 1] + 1)
    return row[-1]


def pause_noticed_samples(samples: Samples) -> int | None:
    """Where a voice activity detector notices the last pause; None if the sound ends before."""
    windows = VoiceDetector().push(samples)
    voiced = [place for place, window in enumerate(windows) if window.voiced]
    noticed = (voiced[-1] + 1) * WINDOW_SAMPLES + int(_PAUSE_S * RATE_HZ) if voiced else 0
    return noticed if 0 < noticed <= len(samples) else None


async def final_live(engine: MoonshineEngine, samples: Samples) -> tuple[float, tuple[int, ...]]:
    """Speaks in real time and flushes where the pause is noticed.

    Returns:
        Milliseconds from the pause to the final, and the tokens of the final.
    """
    async with engine.stream() as stream:
        began_s = time.perf_counter()
        for start in range(0, len(samples), _FRAME_SAMPLES):
            due_s = began_s + (start + _FRAME_SAMPLES) / RATE_HZ
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            await stream.push(samples[start : start + _FRAME_SAMPLES])
        noticed_s = time.perf_counter()
        transcript = await stream.finalise()
        return (time.perf_counter() - noticed_s) * 1e3, transcript.tokens


async def stream_text(engine: MoonshineEngine, samples: Samples) -> str:
    """What the stream makes of the samples, as fast as it can."""
    async with engine.stream() as stream:
        await stream.push(samples)
        return (await stream.finalise()).text


async def measure(
    chosen: Sequence[Recording], live: int, threads: int, words: bool, progress: Progress
) -> Result:
    """Runs everything; `live` utterances of the clean condition are spoken in real time."""
    result = Result(threads)
    shipped = ShippedModel(shipped_model_dir(), threads=threads)
    counted = chosen if words else ()
    task = progress.add_task("words", total=len(counted))
    async with MoonshineEngine(threads=threads) as engine:
        await asyncio.to_thread(engine.load)
        for each in counted:
            reference = word_list(each.reference)
            plain = word_list(await asyncio.to_thread(shipped.transcribe, each.samples))
            heard = word_list(await stream_text(engine, each.samples))
            for condition in (each.condition, "all"):
                counts = result.words.setdefault(condition, Words())
                counts.words += len(reference)
                counts.shipped_wrong += word_errors(reference, plain)
                counts.stream_wrong += word_errors(reference, heard)
                counts.differ += word_errors(plain, heard)
            progress.advance(task)
        spoken = [
            (each, np.concatenate((each.samples, np.zeros(RATE_HZ, dtype=np.float32))))
            for each in chosen
            if each.condition == "clean" and len(each.samples) <= _LONGEST_LIVE_S * RATE_HZ
        ]
        task = progress.add_task("live", total=min(live, len(spoken)))
        for each, padded in islice(spoken, live):
            noticed = pause_noticed_samples(padded)
            assert noticed is not None
            samples = padded[:noticed]
            result.live.append(f"{each.name} ({len(samples) / RATE_HZ:.1f} s)")
            delay_ms, tokens = await final_live(engine, samples)
            result.final_ms.append(delay_ms)
            for times, call in (
                (result.shipped_ms, asyncio.to_thread(shipped.transcribe, samples)),
                (result.converted_ms, engine.decode(samples)),
                (result.verified_ms, engine.decode(samples, draft=tokens[:-2])),
            ):
                began_s = time.perf_counter()
                await call
                times.append((time.perf_counter() - began_s) * 1e3)
            progress.advance(task)
    return result


def tables(result: Result) -> list[Table]:
    """The result for people."""
    rates = Table(title="Word error rate, percent")
    for title in ("condition", "words", "as shipped, greedy", "stream", "differ"):
        rates.add_column(title, justify="left" if title == "condition" else "right")
    for condition, counts in result.words.items():
        shares = (counts.shipped_wrong, counts.stream_wrong, counts.differ)
        cells = (f"{100 * share / counts.words:.1f}" for share in shares)
        rates.add_row(condition, str(counts.words), *cells)
    times = Table(title=f"Milliseconds to the final after the pause, {result.threads} thread(s)")
    for title in ("way", "median", "p95", "worst", "of as shipped"):
        times.add_column(title, justify="left" if title == "way" else "right")
    shipped = statistics.median(result.shipped_ms)
    for name, values in (
        ("as shipped, greedy", result.shipped_ms),
        ("converted, greedy", result.converted_ms),
        ("converted, draft of all but two tokens", result.verified_ms),
        ("live stream", result.final_ms),
    ):
        middle = statistics.median(values)
        high = float(np.percentile(values, 95))
        times.add_row(
            name, f"{middle:.1f}", f"{high:.1f}", f"{max(values):.1f}", f"{middle / shipped:.3f}"
        )
    return [rates, times]


@app.command()
def stt(
    sentences: Annotated[int, typer.Option(min=1, help="Sentences of each condition.")] = 22,
    live: Annotated[int, typer.Option(min=1, help="Utterances spoken in real time.")] = 20,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each model.")] = 2,
    words: Annotated[bool, typer.Option(help="Count wrong words too, which takes longer.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Times the final transcript and counts wrong words, beside the model's files as shipped."""
    console = Console()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        result = asyncio.run(measure(recordings(sentences), live, threads, words, progress))
    if as_json:
        found: dict[str, Any] = asdict(result)
        typer.echo(json.dumps(found))
    else:
        for table in tables(result):
            console.print(table)


if __name__ == "__main__":
    app()
