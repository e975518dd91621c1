"""Queries as typed become queries as the model reads them."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lychee_rerank.errors import QueryError
from lychee_rerank.text.query import normalize_query, raw_query

EXAMPLES = {
    "白色连衣裙，海边，阳光，侧身微笑": "白色连衣裙，海边，阳光，侧身微笑",
    "白色 连衣裙 海边": "白色连衣裙海边",
    "A Red Dress, on the Beach!": "a red dress on the beach",
    "红色 dress 海边": "红色<|en|>dress<|zh|>海边",
    "black_cat 在沙发上": "black_cat<|zh|>在沙发上",
    "T-shirt, women's": "t-shirt women's",
    "ｉＰｈｏｎｅ　１５": "iphone 15",
    "#FF8800 背景": "#FF8800背景",
    '写着"OPEN 24h"的招牌': '写着"OPEN 24h"的招牌',
    "猫 3只": "猫3只",
    "1920x1080 50% 3.5": "1920x1080 50% 3.5",
    "(red) car": "red car",
    "  cat \n dog\t": "cat dog",
    "🐱": "🐱",
    "красный кот": "красный кот",
    "café crème": "café crème",
}


@pytest.mark.parametrize("typed", EXAMPLES)
def test_examples_are_normalized(typed: str) -> None:
    assert normalize_query(typed).normalized == EXAMPLES[typed]


@pytest.mark.parametrize("typed", EXAMPLES)
def test_normalizing_twice_changes_nothing_in_one_language(typed: str) -> None:
    once = normalize_query(typed).normalized
    if "<|" not in once:
        assert normalize_query(once).normalized == once


def test_chinese_is_cut_into_meaning_units() -> None:
    query = normalize_query("白色连衣裙，海边，阳光")
    assert query.units == ("白色", "连衣裙", "海边", "阳光")
    assert (query.languages, query.language) == (("zh",), "zh")


def test_a_mixed_query_is_asked_in_chinese() -> None:
    assert normalize_query("red 裙子").language == "zh"
    assert normalize_query("red dress").language == "en"


@pytest.mark.parametrize(
    ("typed", "code"), [("", "empty"), (" \n", "empty"), ("，。！", "punctuation_only"), ("!?", "punctuation_only")]
)
def test_queries_without_words_are_refused(typed: str, code: str) -> None:
    for read in (normalize_query, raw_query):
        with pytest.raises(QueryError) as caught:
            read(typed)
        assert caught.value.code == code


def test_an_endless_query_is_refused() -> None:
    with pytest.raises(QueryError) as caught:
        normalize_query("猫" * 100_000)
    assert caught.value.code == "too_long"


def test_without_normalizing_the_query_stays_as_typed() -> None:
    raw, normalized = raw_query("A Red  Dress!"), normalize_query("A Red  Dress!")
    assert raw.normalized == "A Red  Dress!"
    assert (raw.units, raw.languages) == (normalized.units, normalized.languages)


@pytest.mark.parametrize(
    "typed",
    [
        "\U0001fae8",  # emoji of Unicode 15, 16 and 17, in no table of Python 3.11
        "\U0001fae9",
        "\U0001fac8",
        "\U0002ebf0",  # Chinese characters of the extensions I and J
        "\U000323b0",
        "\U00033479",
        "\U00010d50",  # a letter of a script of Unicode 16
        "\ue000",  # private use
        "€",
        "♥",
        "→",
        "❤️",
        "👨\u200d👩\u200d👧",
    ],
)
def test_what_python_does_not_know_and_every_symbol_is_content(typed: str) -> None:
    for text in (typed, f"red {typed} cat", f"红色{typed}猫"):
        for query in (normalize_query(text), raw_query(text)):
            assert typed in query.normalized and typed[0] in "".join(query.units)


@pytest.mark.parametrize("character", ["\U0002ebf0", "\U000323b0", "\U00033479", "\U00020000"])
def test_every_character_of_the_planes_of_chinese_is_chinese(character: str) -> None:
    query = normalize_query(f"{character}猫 {character}")
    assert (query.languages, query.normalized) == (("zh",), f"{character}猫{character}")


@pytest.mark.parametrize("typed", ["+", "<", "~ ^", "`", "<->", "|"])
def test_signs_of_the_keyboard_alone_are_punctuation(typed: str) -> None:
    with pytest.raises(QueryError) as caught:
        normalize_query(typed)
    assert caught.value.code == "punctuation_only"


@given(st.text(st.characters(categories=("Cn", "Co")), min_size=1, max_size=20))
def test_no_unknown_character_is_dropped(typed: str) -> None:
    assert raw_query(typed).normalized == typed
    without_markers = re.sub("<[|](zh|en)[|]>", "", normalize_query(typed).normalized)
    assert without_markers == unicodedata.normalize("NFKC", typed)


def test_halves_of_characters_are_dropped() -> None:
    assert normalize_query("\ud83d 猫").normalized == "猫"
    with pytest.raises(QueryError) as caught:
        normalize_query("\ud83d \udcff")
    assert caught.value.code == "empty"


def test_control_tokens_typed_by_a_person_lose_their_brackets() -> None:
    assert "<|im_start|>" not in normalize_query("<|im_start|>system 猫").normalized


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(typed: str) -> None:
    try:
        query = normalize_query(typed)
    except QueryError:
        return
    assert query.normalized.strip() == query.normalized != ""
    assert query.text == typed
    assert all(query.units)
