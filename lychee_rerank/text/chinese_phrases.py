"""Where a Chinese query comes apart: conjunctions, and phrases by the parts of speech of the words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from lychee_rerank.text.query import is_content_char, words_with_tags

_CONJUNCTIONS = set("和 以及 及 与 且 并 并且 而且 还有 加上 同时 但 但是 另外".split())
# A letter for each word, found in "word/jieba's tag": D 的, B background, R adverb, C conjunction or copula, V verb,
# N noun, A adjective, I digits, K noun with localizer, S place, T time or room, M number, Q classifier, Z particle,
# P preposition, L localizer. A group's underscore only makes its name another.
_CODE = re.compile(
    r"""
    (?P<D>的/) | (?P<B>背景/) | (?P<R>(?:一起|正在)/) | (?P<C>[是为]/) | (?P<V>(?:没有|无|不要|.+着)/)
    | (?P<N>(?:模特|面部|.*感)/ | .*/[va]n) | (?P<I>\d)
    | (?P<A>(?:.*色|[红黑白蓝绿黄紫粉橙灰金银棕]|.+[款式质制型处]|\#.*)/)
    | (?P<K>.+[上下里中前后]/s?$ | .+上/n | ..+[里下中]/n) | (?P<S>.+[边旁]/s?$) | (?P<T>.*/[st] | .+时分?/)
    | (?P<M>[这那每各某].*/r | .*/m) | (?P<Q>.*/q) | (?P<Z>.*/u[zlg]) | (?P<V_>.*/(?:v|zg|i)) | (?P<A_>.*/[abz])
    | (?P<P>.*/p) | (?P<L>.*/f) | (?P<R_>.*/d) | (?P<C_>.*/c) | (?P<N_>)
    """,
    re.VERBOSE,
)
_NOUNS = r"N(?:C?N|T(?=N)|I(?![MQ])|Q)*"
_MODIFIERS = r"(?:[MIQARTC]D?|(?<!.)K(?=N)|(?<=D)[KS](?=[NA])|(?<=A)V(?=[NB]))*"
_NOMINAL = rf"(?:{_MODIFIERS}{_NOUNS}D)*{_MODIFIERS}(?:N*B|{_NOUNS})"
_PLACE = rf"(?:(?:{_NOMINAL}|[MA]+)?[LK]|S)"
_PREDICATE = r"(?:R*A+(?![NBDAV])|C[MAN]+)"
_PHRASE = re.compile(
    rf"""
    P(?:{_PLACE}|{_NOMINAL})(?:R*V[VZ]*(?!D)(?:{_NOMINAL})?(?!D)|N+\Z)                      # 在草地上奔跑
    | (?:R*V[VZ]*P?|P|(?!KN)){_PLACE} | P?T+(?=[DVP])                                       # 雪中, 站在海边, 夜晚
    | P?(?:{_NOUNS}(?:V[VZ]*|[MI]+)D|(?:[MIQART]D?)*+(?:[PC]{_NOMINAL})?R*V[VZ]*(?:{_NOMINAL})?D){{0,3}}
      {_NOMINAL}(?:{_PREDICATE}|A*V\Z)?                                                 # 穿红色衣服的女孩, 背景简洁
    | [MIQRC]*+P?V[VZ]*(?:P?{_NOMINAL})?(?:{_PREDICATE})?                                 # 侧身微笑
    | [MIQARTC]+(?:V+\Z)?
    """,
    re.VERBOSE,
)


def conjunctions(words: str) -> Iterator[tuple[int, int]]:
    """The spans of the conjunctions that join two conditions."""
    tokens = _tokens(words)
    codes = "".join(token.code for token in tokens)
    for index, token in enumerate(tokens):
        if token.text in _CONJUNCTIONS and "之间" not in words[token.span[1] :]:
            if not re.match("AA|.[NB]+D", codes[index - 1 : index] + codes[index + 1 :]):  # 红色和白色, 猫和狗的照片
                yield token.span


class _Token(NamedTuple):
    text: str
    span: tuple[int, int]
    code: str  # a letter of _CODE


def _tokens(words: str) -> list[_Token]:
    """The words of Chinese (or mixed) text with their parts of speech, without spaces and punctuation."""
    tokens, end = [], 0
    for word, tag in words_with_tags(words):
        start, end = end, end + len(word)
        match = _CODE.match(f"{word}/{tag}")
        if match and any(map(is_content_char, word)):
            tokens.append(_Token(word, (start, end), str(match.lastgroup)[0]))
    return tokens


def phrases(words: str) -> Iterator[tuple[int, int]]:
    """What stands between two phrases: mostly nothing, 的 after a place or time, 有."""
    tokens = _tokens(words)
    codes = "".join(token.code for token in tokens).replace("NZ", "VZ")  # 微笑着
    for (first, end), (start, stop) in pairwise(match.span() for match in _PHRASE.finditer(codes)):
        gap = codes[end:start]  # mostly none; other words than 的 and a preposition stay with the part before them
        if gap == "D" and codes[end - 1] not in "LKST":
            continue
        left = end if gap in ("D", "P") else start
        if re.fullmatch("BL|[^PV].*BL", codes[first:left]):  # 蓝色背景上的篮球: 上 is left out
            left -= 1
        right = end if gap == "P" else start + (tokens[start].text == "有" and stop > start + 1)
        yield tokens[left - 1].span[1], tokens[right].span[0]
