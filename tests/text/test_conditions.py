"""Queries are cut into the parts that a careful person would give."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lychee_rerank.errors import QueryError
from lychee_rerank.text.conditions import split_conditions
from lychee_rerank.text.query import MAX_CHARACTERS, normalize_query

TABLE = Path(__file__).with_name("conditions.tsv").read_text(encoding="utf-8").splitlines()
CONNECTORS = {*"and with plus but as well along together".split(), *"和以及与且并而还有加上同时但是另外的"}
WORDS = st.sampled_from(
    "a the cat dog on in sitting red white and with between 猫 女孩 红色 背景 的 上 在 和 海边 微笑 站 一只 有 与 "
    "3 1,000 #FF8800 ， , . 、 \n + / | “ ” \" ' 《 》 ( ) 1. ① 🐱 café кот".split(" ")
)
TYPED = st.text(max_size=60) | st.lists(WORDS, max_size=25).map("".join) | st.lists(WORDS, max_size=25).map(" ".join)


@pytest.mark.parametrize("row", TABLE)
def test_a_query_is_cut_as_a_careful_person_would(row: str) -> None:
    typed, parts = row.split("\t")
    assert " | ".join(split_conditions(typed)) == parts


def test_lines_and_full_width_punctuation_separate() -> None:
    assert split_conditions("a cat\na dog") == ("a cat", "a dog")
    assert split_conditions("ｃａｔ；ｄｏｇ｜１，０００") == ("ｃａｔ", "ｄｏｇ", "１，０００")


def test_the_same_part_counts_once() -> None:
    assert split_conditions("猫，狗，猫") == ("猫", "狗")


def test_a_conjunction_that_begins_a_query_belongs_to_it() -> None:
    assert split_conditions("和狗一起玩的女孩") == ("和狗一起玩的女孩",)
    assert split_conditions("With love card") == ("With love card",)


@given(TYPED)
def test_every_part_of_a_valid_query_is_a_valid_query(text: str) -> None:
    parts = split_conditions(text)
    try:
        normalize_query(text)
    except QueryError:
        return
    assert parts
    for part in parts:
        assert part == part.strip()
        normalize_query(part)


@given(TYPED)
def test_parts_stand_in_the_query_in_order_and_lose_only_connectors(text: str) -> None:
    parts = split_conditions(text)
    end = 0
    for part in parts:
        end = text.index(part, end) + len(part)
    words = re.findall(r"[A-Za-z]+|[\u4e00-\u9fff]", text)
    assert {word.lower() for word in words if word not in " ".join(parts)} <= CONNECTORS


@pytest.mark.parametrize(
    "unit", ["猫", "猫的", "红地", "在猫", "穿的", "猫和", "a red and ", "cat in ", "'a ", "“", " ", "1. "]
)
def test_the_longest_query_is_cut_without_delay(unit: str) -> None:
    text = (unit * MAX_CHARACTERS)[: MAX_CHARACTERS - 1] + "a"
    assert split_conditions(text)


def test_an_english_query_does_not_load_jieba() -> None:
    code = "from lychee_rerank.text import conditions as c; c.split_conditions('a cat, a dog'); import sys; "
    code += "sys.exit('jieba' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
