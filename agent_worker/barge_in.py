"""What somebody means who speaks while the agent does: to interrupt it, or only to say "mm-hm".

The rules know English. Words that they do not know count as an interruption, since an agent that
stops without need is a smaller fault than one that does not listen.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum

_LISTENING = (
    "yeah yep yes yup ya right ok okay sure oh ah aha wow mm mmm mhm hm hmm mhmm uh huh um "
    "great good nice cool fine indeed exactly true really ha haha hahaha heh absolutely"
)
_STOPPING = "stop wait no nope hold pause sorry what why who help hello quiet cancel"
ACKNOWLEDGEMENTS = frozenset(_LISTENING.split())
"""Each says that one goes on listening, alone or with others."""
PHRASES = frozenset(
    {
        ("i", "see"),
        ("got", "it"),
        ("i", "know"),
        ("of", "course"),
        ("all", "right"),
        ("makes", "sense"),
        ("no", "way"),
        ("oh", "my", "god"),
    }
)
"""The same in several words."""
COMMANDS = frozenset(_STOPPING.split())
"""One of them is enough, however short and unclear."""
MAX_ACKNOWLEDGED_S = 3.0
"""Who speaks for longer wants the floor."""
UNCLEAR_S = 0.6
UNCLEAR_CONFIDENCE = 0.65
"""A single word, shorter and less certain than this, is a sound that the transcriber named."""
ECHO_SHARE = 0.75
"""Share of the words that must be the agent's own, for an echo of `LONG_ECHO_WORDS` or more."""
LONG_ECHO_WORDS = 6
"""In fewer words, one that differs may be what is asked for."""
KEPT_SPEECHES = 4
AHEAD_S = 0.5
"""The words are known before they are played, and an echo is heard after that."""


class Kind(Enum):
    """What was meant."""

    INTERRUPTION = "interruption"
    BACKCHANNEL = "backchannel"
    NOISE = "noise"
    ECHO = "echo"


def judge(
    text: str,
    *,
    duration_s: float,
    confidence: float = 0.0,
    agent_text: str = "",
) -> Kind:
    """Judges a transcript of speech that began while the agent spoke.

    Args:
        text: What was understood.
        duration_s: Of the speech; 0 where the transcriber does not say.
        confidence: The transcriber's, 0 to 1; 0 where it gives none.
        agent_text: What the agent has said in this speech so far. After a question of the agent's
            an acknowledgement is an answer.
    """
    said = words(text)
    if not said:
        return Kind.NOISE
    if is_echo(said, words(agent_text)):
        return Kind.ECHO
    asked = agent_text.rstrip().rstrip("\"'”’)*").endswith("?")
    if duration_s <= MAX_ACKNOWLEDGED_S and is_acknowledgement(said):
        return Kind.INTERRUPTION if asked else Kind.BACKCHANNEL
    unclear = 0 < confidence < UNCLEAR_CONFIDENCE and 0 < duration_s < UNCLEAR_S
    if len(said) == 1 and unclear and said[0] not in COMMANDS:
        return Kind.NOISE
    return Kind.INTERRUPTION


def words(text: str) -> list[str]:
    """In lower case, without punctuation."""
    letters = "".join(c if c.isalnum() or c in "'’" else " " for c in text.lower())
    return letters.replace("’", "'").split()


def is_acknowledgement(said: list[str]) -> bool:
    """Whether all of it only says that one is listening.

    A hum is written as single letters (`M.`), which count, too.
    """
    place = 0
    while place < len(said):
        for length in (3, 2):
            if tuple(said[place : place + length]) in PHRASES:
                place += length
                break
        else:
            if said[place] not in ACKNOWLEDGEMENTS and said[place] not in ("m", "h"):
                return False
            place += 1
    return True


def is_echo(said: list[str], agent: list[str]) -> bool:
    """Whether two words or more stand in a row in the agent's; of many, some may be misheard."""
    length = len(said)
    if length < 2:
        return False
    needed = length if length < LONG_ECHO_WORDS else ECHO_SHARE * length
    return any(
        sum(a == b for a, b in zip(said, agent[start : start + length], strict=False)) >= needed
        for start in range(len(agent) - length + 1)
    )


@dataclass(slots=True)
class _Speech:
    """One speech of the agent's."""

    pieces: list[tuple[str, float | None]]
    """Text, and the seconds into the speech at which it is played, if the voice says so."""
    began_s: float | None = None


class Floor:
    """Who is speaking, in one call. Times are seconds of one clock."""

    def __init__(self) -> None:
        self._speeches: OrderedDict[str, _Speech] = OrderedDict()

    def will_say(self, speech_id: str, text: str, start_s: float | None = None) -> None:
        """A piece of a speech is about to be played, `start_s` into it."""
        self._of(speech_id).pieces.append((text, start_s))

    def began(self, speech_id: str, at_s: float) -> None:
        """The first sound of a speech; it goes on after a pause without beginning again."""
        speech = self._of(speech_id)
        if speech.began_s is None:
            speech.began_s = at_s

    def has_begun(self, speech_id: str) -> bool:
        """Whether anything of it was played."""
        speech = self._speeches.get(speech_id)
        return speech is not None and speech.began_s is not None

    def said(self, speech_id: str, now_s: float) -> str:
        """What has been played of a speech, or is about to be; all of it without times."""
        speech = self._speeches.get(speech_id)
        if speech is None or speech.began_s is None:
            return ""
        until_s = now_s - speech.began_s + AHEAD_S
        return "".join(
            text for text, start_s in speech.pieces if start_s is None or start_s <= until_s
        )

    def _of(self, speech_id: str) -> _Speech:
        speech = self._speeches.get(speech_id)
        if speech is None:
            while len(self._speeches) >= KEPT_SPEECHES:
                self._speeches.popitem(last=False)
            speech = self._speeches[speech_id] = _Speech([])
        return speech
