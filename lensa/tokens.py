"""A subject's name as its token: turned by a Caesar cipher, until it means nothing."""

from __future__ import annotations

from string import ascii_lowercase

from lensa.errors import ConfigError

CIPHER = "cipher"  # in a token's place: make it of the name

_LEAST, _MOST = 3, 6  # letters: more are more than four tokens of CLIP's, as likely as not
_VOWELS = frozenset("aeiouy")

# Words without a vowel that people write, and their trade marks: the only ones that can come up.
_MEANT_WORDS = """
    nth hmm shh pst psst tsk brr pfft zzz cwm crwth mrs phd html http nsfw bdsm kkk xxx wtf
    fck fcks sht btch cnt dck nzs ngr ngg lsd bbc nbc cnn fbi cbs hbo mtv bmw kfc ups dhl
    ibm nfl nhl nba mlb ufc wwf nypd jpg png gif psd dvd pdf kgb ddr ss hh tv bmx wwe pvc
"""
_MEANT = frozenset(_MEANT_WORDS.split())


def cipher(name: str) -> tuple[str, int]:
    """Return a name turned by a Caesar cipher, and by how many letters.

    The first shift is taken that leaves no vowel and is none of the words that are written without
    one: almost every word that means something, an insult above all, has a vowel. Of a longer name
    the first six letters are turned. Anyone can turn it back: it is a rare word, not a secret.
    Raises ConfigError if no shift will do.
    """
    letters = [letter for letter in name.lower() if letter in ascii_lowercase][:_MOST]
    if len(letters) >= _LEAST:
        for shift in range(1, 26):
            word = "".join(
                ascii_lowercase[(ascii_lowercase.index(letter) + shift) % 26] for letter in letters
            )
            if not _VOWELS & set(word) and not _means_something(word):
                return word, shift
    raise ConfigError(
        f"token: no turn of {name!r} makes a word that means nothing. Name one with --token, or "
        "leave it out: the base has rare words of its own."
    )


def _means_something(word: str) -> bool:
    return word in _MEANT or any(len(meant) > 3 and meant in word for meant in _MEANT)
