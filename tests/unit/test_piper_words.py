from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from speech.piper.words import WordSound, assign

SOUNDS = {
    "of": "ʌv",
    "the": "ðə",
    "2,100": "tuː θaʊzənd wʌn hʌndɹɪd",
    "people": "piːpəl",
    "—": "",
    "met": "mˈɛt",
}


def _found(phonemes: str, words: list[str]) -> dict[str, str]:
    sounds = assign(list(phonemes), words, lambda word: list(SOUNDS[word]))
    return {words[sound.word]: phonemes[sound.first : sound.end] for sound in sounds}


def test_a_number_owns_all_its_groups() -> None:
    found = _found("mˈɛt tˈuː θˈaʊzənd wˈʌnhˈʌndɹɪd pˈiːpəl.", ["met", "2,100", "people"])
    assert found == {
        "met": "mˈɛt",
        "2,100": "tˈuː θˈaʊzənd wˈʌnhˈʌndɹɪd",
        "people": "pˈiːpəl",
    }


def test_words_that_are_spoken_as_one_share_its_sound() -> None:
    found = _found("mˈɛt ʌvðə pˈiːpəl", ["met", "of", "the", "people"])
    assert found == {"met": "mˈɛt", "of": "ʌv", "the": "ðə", "people": "pˈiːpəl"}


def test_pauses_are_no_part_of_a_word_and_signs_have_no_sound() -> None:
    assert _found("mˈɛt,  pˈiːpəl!", ["met", "—", "people"]) == {
        "met": "mˈɛt",
        "people": "pˈiːpəl",
    }


def test_nothing_heard() -> None:
    assert assign(list(" ."), ["met"], lambda word: list(SOUNDS[word])) == []


_letters = st.text("abdefikl", min_size=1, max_size=6)


@given(st.lists(_letters, min_size=1, max_size=30), st.data())
def test_every_word_keeps_its_place_however_groups_are_merged(
    words: list[str], data: st.DataObject
) -> None:
    joints = data.draw(
        st.lists(st.sampled_from([" ", " ", " ", ""]), min_size=len(words), max_size=len(words))
    )
    phonemes = list("".join(word + joint for word, joint in zip(words, joints, strict=True)))
    sounds = assign(phonemes, words, list)
    assert all(isinstance(sound, WordSound) and sound.first <= sound.end for sound in sounds)
    assert all(a.word < b.word and a.end <= b.first for a, b in pairwise(sounds))
    if "" not in joints[:-1]:
        assert ["".join(phonemes[sound.first : sound.end]) for sound in sounds] == words
