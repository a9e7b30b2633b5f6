"""Sentence boundaries: how right, how early and how fast, beside six other ways.

Cases are in `bench/data/sentences.jsonl` (looked at while the rules were made) and
`sentences_held_out.jsonl` (not looked at); `¦` marks where a sentence ends inside a text.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.sentence_peers import PEERS, Cutter

DATA = Path(__file__).parent / "data"
SETS = {"tuned": DATA / "sentences.jsonl", "held out": DATA / "sentences_held_out.jsonl"}
MARK = "¦"
TOKEN = re.compile(r"\s*\w{1,5}|\s*[^\w\s]{1,2}|\s+")
"""About what a language model's tokenizer makes: a piece of a word, with the space before it."""
PROSE_CHARACTERS = 20_000

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class Case:
    """A text and where its sentences end."""

    category: str
    language: str
    text: str
    ends: frozenset[int]
    """How many characters, white space apart, stand before each end but the last."""


@dataclass(slots=True)
class Hits:
    """Boundaries that were found, made up and missed."""

    found: int = 0
    invented: int = 0
    missed: int = 0

    def add(self, got: frozenset[int], wanted: frozenset[int]) -> None:
        """Counts the boundaries of one text."""
        self.found += len(got & wanted)
        self.invented += len(got - wanted)
        self.missed += len(wanted - got)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.found / max(1, 2 * self.found + self.invented + self.missed)


@dataclass(slots=True)
class Score:
    """What one cutter did on all texts."""

    hits: dict[str, Hits] = field(default_factory=lambda: defaultdict(Hits))
    held: list[int] = field(default_factory=list)
    """Characters that came between a boundary and its sentence, for each right boundary."""
    lost: int = 0
    """Characters (white space apart) that went in and did not come out, or came out twice."""
    unstable: int = 0
    """Texts whose sentences depend on how the text was cut into tokens."""
    ms_per_1000: float = 0.0
    """Processor time for 1,000 characters of prose, in tokens."""

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "f1": {name: round(hits.f1, 4) for name, hits in self.hits.items()},
            "held_median": statistics.median(self.held) if self.held else None,
            "held_p95": percentile(self.held, 0.95),
            "lost_characters": self.lost,
            "unstable_texts": self.unstable,
            "ms_per_1000_characters": round(self.ms_per_1000, 3),
        }


def read_cases(path: Path) -> list[Case]:
    """Reads a file of cases.

    Args:
        path: Lines of JSON with `category`, `language` and `marked`.
    """
    cases = []
    for line in path.read_text(encoding="utf-8").strip().split("\n"):
        row = json.loads(line)
        pieces = row["marked"].split(MARK)
        cases.append(Case(row["category"], row["language"], "".join(pieces), boundaries(pieces)))
    return cases


def boundaries(sentences: Iterable[str]) -> frozenset[int]:
    """Where sentences end, in characters without white space; the end of the text is left out."""
    ends: list[int] = []
    position = 0
    for sentence in sentences:
        position += len("".join(sentence.split()))
        ends.append(position)
    return frozenset(ends) - {position, 0}


def boundaries_in(text: str, sentences: Iterable[str]) -> frozenset[int]:
    """The same for sentences that may have been altered: each is looked for in the text."""
    squeezed = "".join(text.split())
    ends: set[int] = set()
    position = 0
    for sentence in sentences:
        piece = "".join(sentence.split())
        found = squeezed.find(piece, position)
        position = (found if found >= 0 else position) + len(piece)
        ends.add(position)
    return frozenset(ends) - {len(squeezed), 0}


def percentile(values: list[int], share: float) -> int | None:
    """The value below which that share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else None


def measure(cutter: Cutter, cases: list[Case]) -> Score:
    """Runs one cutter over all cases."""
    score = Score()
    for case in cases:
        by_token = list(cutter(TOKEN.findall(case.text), case.language))
        got = boundaries_in(case.text, by_token)
        score.hits["all"].add(got, case.ends)
        score.hits[case.category].add(got, case.ends)
        went_in = Counter("".join(case.text.split()))
        came_out = Counter("".join("".join(by_token).split()))
        score.lost += (went_in - came_out).total() + (came_out - went_in).total()
        by_character, held = feed_characters(cutter, case)
        score.held += held
        whole = list(cutter([case.text], case.language))
        score.unstable += not by_token == by_character == whole
    return score


def feed_characters(cutter: Cutter, case: Case) -> tuple[list[str], list[int]]:
    """Feeds a text character by character; how many came after each right boundary."""
    fed = 0

    def characters() -> Iterator[str]:
        nonlocal fed
        for character in case.text:
            fed += 1
            yield character

    squeezed = [index for index, character in enumerate(case.text) if not character.isspace()]
    sentences: list[str] = []
    held: list[int] = []
    position = 0
    for sentence in cutter(characters(), case.language):
        sentences.append(sentence)
        position += len("".join(sentence.split()))
        if position in case.ends:
            held.append(fed - squeezed[position - 1] - 1)
    return sentences, held


def time_cutter(cutter: Cutter, text: str, rounds: int) -> float:
    """Milliseconds of processor time for 1,000 characters, the best of several rounds."""
    tokens = TOKEN.findall(text)
    best = float("inf")
    for _ in range(rounds):
        began = time.thread_time()
        for _sentence in cutter(tokens, "en"):
            pass
        best = min(best, time.thread_time() - began)
    return best * 1e6 / len(text)


async def compare(names: list[str], sets: list[str], rounds: int) -> dict[str, dict[str, Score]]:
    """Measures every cutter on every set; in a loop, because some peers ask for one."""
    scores: dict[str, dict[str, Score]] = {}
    prose = [case.text for case in read_cases(SETS["tuned"]) if case.category in ("prose", "chat")]
    text = "\n\n".join(prose)
    text = (text * (PROSE_CHARACTERS // len(text) + 1))[:PROSE_CHARACTERS]
    console = Console(stderr=True)
    for name in track(names, "Cutting", console=console, disable=not console.is_terminal):
        try:
            speed = time_cutter(PEERS[name], text, 1 if name == "pysbd" else rounds)
        except ImportError as error:
            console.print(f"{name}: not installed ({error.name}), left out")
            continue
        scores[name] = {}
        for chosen in sets:
            score = measure(PEERS[name], read_cases(SETS[chosen]))
            score.ms_per_1000 = speed
            scores[name][chosen] = score
    return scores


def table(title: str, scores: dict[str, Score]) -> Table:
    """A row for each cutter: figures first, then F1 by category."""
    best = next(iter(scores.values()))
    shown = Table(title=title)
    shown.add_column("")
    for name in scores:
        shown.add_column(name, justify="right")
    shown.add_row("boundary F1", *(f"{score.hits['all'].f1:.3f}" for score in scores.values()))
    shown.add_row(
        "held, median / p95",
        *(
            f"{score.as_dict()['held_median']:g} / {score.as_dict()['held_p95']}"
            for score in scores.values()
        ),
    )
    shown.add_row("characters lost or doubled", *(str(score.lost) for score in scores.values()))
    shown.add_row("texts cut by tokenisation", *(str(score.unstable) for score in scores.values()))
    shown.add_row(
        "ms for 1,000 characters", *(f"{score.ms_per_1000:.2f}" for score in scores.values())
    )
    shown.add_section()
    for category in best.hits:
        if category != "all":
            shown.add_row(
                category, *(f"{score.hits[category].f1:.2f}" for score in scores.values())
            )
    return shown


@app.command()
def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Measure only these.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often to time each; best counts.")] = 5,
) -> None:
    """Compares sentence buffers: boundary F1, characters held, text lost, time."""
    unknown = set(only or ()) - set(PEERS)
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}: there are {', '.join(PEERS)}", param_hint="--only"
        )
    sets = list(SETS)
    scores = asyncio.run(compare(only or list(PEERS), sets, rounds))
    if as_json:
        document = {
            chosen: {name: scores[name][chosen].as_dict() for name in scores} for chosen in sets
        }
        json.dump(document, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    console = Console()
    for chosen in sets:
        count = len(read_cases(SETS[chosen]))
        console.print(
            table(f"{chosen}: {count} texts", {name: scores[name][chosen] for name in scores})
        )


if __name__ == "__main__":
    app()
