"""Where an English query comes apart: conjunctions, and phrases that begin with a preposition or a participle."""

from __future__ import annotations

import re
from collections.abc import Iterator

_CONJUNCTION = re.compile(
    r"(?:^|\s)(?:and|&|as well as|(?:along |together )?with|but)(?=\s)|\splus(?=\s(?:a|an|the|some|two)\s)",
    re.IGNORECASE,
)
_DETERMINERS = set("a an the some two three four five his her its their my our your this that these those".split())
_PREPOSITIONS = set(
    "on in at under beside near behind against over by without inside outside above below beneath underneath among "
    "around across through along between beyond amid during before toward towards".split()
)
_BEFORE_NO_PHRASE = _DETERMINERS | _PREPOSITIONS | set("is are and or no not".split())
_AFTER_PARTICIPLE = _DETERMINERS | _PREPOSITIONS | set("with of from to out up down off away together".split())
_IDIOMS = set("black.and.white action bloom detail fashion fire focus hand love motion out progress sale use".split())
_TRANSITIVE = set("carrying drinking eating having holding making playing reading riding shaking wearing".split())
_PARTICIPLE = re.compile(
    r"(?!(?:build|earr|pudd|paint|wedd|morn|even|ceil|cloth|light|draw|ic|stock|rail|packag|park|dur)ing$|hundred$|colou?red$)"
    r"(?:\w*[aeiouy]\w*ing|\w{3,}ed|made|seen|taken|worn|"
    r"(?:sit|stand|lie|run|walk|play|sleep|look|rest|jump|flie|hold|wear|ride|eat|drink)s)"
)
_ADJECTIVE = re.compile(
    r"red|white|black|blue|green|yellow|pink|purple|orange|brown|gr[ae]y|gold|silver|beige|navy|teal|cream|violet|"
    r"wood|metal|glass|leather|cotton|linen|big|small|old|new|young|round|square|soft|clean|simple|warm|cool|hot|cold|"
    r"wet|dry|light|dark|bright|tall|short|long|fresh|large|high|low|thin|thick|modern|cute|happy|sunny|fluffy|shiny|"
    r"\w{2,}(?:ful|ous|ive|less|ish|[ai]ble|ern|al|ic)"
)


def conjunctions(words: str) -> Iterator[tuple[int, int]]:
    """The spans of the conjunctions that join two conditions, "with" among them."""
    for match in _CONJUNCTION.finditer(words):
        before, after = words[: match.start()].lower().split(), words[match.end() :].lower().split()
        word = match.group().strip().lower()
        governed = word == "with" and before and _PARTICIPLE.fullmatch(before[-1])  # decorated with
        if not governed and not (word in ("and", "&") and _joins_words(before, after)):
            yield match.span()


def _joins_words(before: list[str], after: list[str]) -> bool:
    """Whether "and" joins two adjectives (a red and white umbrella) or the ends of a "between"."""
    if not before or not after:
        return False
    adjective = _ADJECTIVE.fullmatch(after[0]) or (re.fullmatch(r".*(ing|y)", after[0]) and after[0] not in _TRANSITIVE)
    return bool({"between", "both"} & set(before) or (_ADJECTIVE.fullmatch(before[-1]) and adjective))


def phrases(words: str) -> Iterator[tuple[int, int]]:
    """An empty span where each phrase begins that says where something is or what it does."""
    found = list(re.finditer(r"\S+", words))
    texts = [*(match.group().lower() for match in found), ""]
    for index in range(1, len(found)):
        if _begins_phrase(*texts[index - 1 : index + 2], caption=texts[0] in _DETERMINERS):
            yield found[index].start(), found[index].start()


def _begins_phrase(before: str, word: str, after: str, *, caption: bool) -> bool:
    """`caption`: it begins like one (a girl eating ice cream), so that -ing is no noun (women running shoes)."""
    if before in _BEFORE_NO_PHRASE or before == after or _PARTICIPLE.fullmatch(before):
        return False
    if word in _PREPOSITIONS or word + after == "nextto":
        return after[:1].isalpha() and after not in _IDIOMS and (word != "by" or after in _DETERMINERS)
    if word in ("is", "are"):
        return after in _PREPOSITIONS or bool(_PARTICIPLE.fullmatch(after))
    doing = word.endswith("ing") and (caption or not after)
    governs = doing or word in _TRANSITIVE or after in _AFTER_PARTICIPLE
    return governs and bool(_PARTICIPLE.fullmatch(word)) and not _ADJECTIVE.fullmatch(before)
