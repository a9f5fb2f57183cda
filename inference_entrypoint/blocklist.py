"""What the expander does not write into a prompt.

MagicPrompt learned from what people asked of image models, and writes as they did: names of living
artists, who never agreed to be a style; nakedness and blood, which nobody asked for; other people,
beside the one in the prompt. The user's own words are the user's: nothing here is about them.
"""

from __future__ import annotations

import re
import unicodedata

# By surname or alias where that alone tells who is meant.
_ARTISTS = """
    artgerm, stanley lau, rutkowski, wlop, kuvshinov, rossdraws, ross draws, ross tran, sakimichan,
    sakimi chan, charlie bowater, james jean, mohrbacher, tom bagshaw, loish, lois van baarle,
    magali villeneuve, ruan jia, cushart, james gurney, stalenhag, craig mullins, beeple,
    mike winkelmann, feng zhu, rozalski, noah bradley, dan mumford, donato giancola, marc simonetti,
    andreas rocha, makoto shinkai, miyazaki, takashi murakami, yoshitaka amano, anna dittmann,
    lecouffe deharme, mandy jurgens, victo ngai, guweiz, nixeu, peyravernay, boris vallejo,
    julie bell, luis royo, gerald brom, john howe, alan lee, ted nasmith, brian froud, leibovitz,
    steve mccurry, david lachapelle, tim burton, wadim kashin, alex ross, junji ito, aenami,
    inceoglu, swanland, jeremy lipking, jeremy mann, karol bak, rhads, yuumei, samdoesarts
"""
_SEXUAL = """
    nude, nudes, nudity, naked, nsfw, topless, bottomless, undressed, unclothed, sex, sexy, sexual,
    sensual, seductive, erotic, erotica, lewd, porn, pornographic, hentai, ecchi, fetish, bdsm,
    bondage, boudoir, lingerie, underwear, panties, thong, bra, bikini, cleavage, breast, breasts,
    boobs, busty, nipple, nipples, buttocks, genitals, voluptuous, bare skin, playboy
"""
_GORY = """
    gore, gory, blood, bloody, bleeding, bloodstained, guts, entrails, intestines, severed,
    decapitated, beheaded, dismembered, mutilated, mutilation, slaughter, corpse, corpses, cadaver,
    dead body, rotting, flayed, impaled, torture, tortured, murder, murdered, suicide, body horror,
    wound, wounds, wounded, open wound, gruesome, cannibal
"""
_OTHER_PEOPLE = """
    man, men, woman, women, girl, girls, boy, boys, guy, guys, lady, ladies, gentleman, male,
    female, child, children, kid, kids, baby, toddler, teenager, couple, twins, someone, he, him,
    his, she, her, hers, himself, herself
"""


def blocked(phrase: str) -> bool:
    """Return whether a phrase that the expander wrote is to be dropped; case and accents aside."""
    return _BLOCKED.search(_plain(phrase)) is not None


def _plain(text: str) -> str:
    """Return the words in lower case, without accents, a space between."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(re.findall(r"[^\W_]+", letters))


_WORDS = [
    " ".join(entry.split())
    for entries in (_ARTISTS, _SEXUAL, _GORY, _OTHER_PEOPLE)
    for entry in entries.split(",")
]
_BLOCKED = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b")
