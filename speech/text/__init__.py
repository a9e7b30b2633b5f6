"""What a language model writes, turned into what a voice should read.

`to_spoken` handles one sentence, `SpokenStream` the sentences of one answer in order; both give a
`Spoken`, which holds the written text, the spoken text and the map between their positions. May
import markdown-it-py, unicode-rbnf, babel and `protocol.errors`.
"""

from speech.text.lexicon import Lexicon
from speech.text.positions import Spoken
from speech.text.stream import SpokenStream, SpokenStyle, to_spoken

__all__ = ["Lexicon", "Spoken", "SpokenStream", "SpokenStyle", "to_spoken"]
