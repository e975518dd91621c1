"""Every sentence of the page is in i18n.py, in both languages."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from string import Formatter

import pytest

from lychee_rerank import errors, ui
from lychee_rerank.errors import ModelChangedError, ModelError, PictureProblem, QueryError
from lychee_rerank.text.score_parser import RULES
from lychee_rerank.ui import i18n
from lychee_rerank.ui.i18n import LANGUAGES, Language, t

FILES = sorted(file for file in Path(ui.__file__).parent.glob("*.py") if file.name != "i18n.py")
_MARKUP = re.compile(r"<style>.*</style>|<[^>]*>", re.DOTALL)
_SENTENCE = re.compile(
    r"[\u2026\u3000-\u9fff\uff00-\uffef]"  # Chinese characters and punctuation, the ellipsis
    r"|\b[A-Z][a-z]+\b"  # a capitalized word, such as a label
    r"|[A-Za-z]{2,}.*\s.*[A-Za-z]{2,}"  # two words
)


def sentences(source: str) -> list[str]:
    """String literals that hold text for people: not docstrings, not messages of the log, not HTML tags."""
    tree = ast.parse(source)
    ignored: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
            ignored.add(node.value)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("logger."):
            ignored.update(ast.walk(node))
        if isinstance(node, ast.keyword) and node.arg == "shortcut":  # the name of a key
            ignored.add(node.value)
        if isinstance(node, ast.JoinedStr):
            ignored.update(child for child in node.values if isinstance(child, ast.Constant))
    texts = [literal(node) for node in ast.walk(tree) if node not in ignored]
    return [text for text in texts if _SENTENCE.search(_MARKUP.sub("", text))]


def literal(node: ast.AST) -> str:
    """The text of a string literal; in an f-string each value is a 0."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "0" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@pytest.mark.parametrize(
    "code",
    [
        "st.caption('没有图片')",
        "', '.join(names) + '……'",
        "'　·　'.join(facts)",
        "st.button('Stop')",
        "st.caption('no pictures')",
        "f'Rank {rank} | Score: {score:.1f}'",
        "st.html(f'<div class=\"rank\">Rank {rank}</div>')",
    ],
)
def test_a_sentence_in_the_code_is_found(code: str) -> None:
    assert sentences(code)


@pytest.mark.parametrize(
    "code",
    [
        '"""A docstring."""',
        "logger.warning('Warming up ended: %s', error)",
        "st.html(f'<div class=\"answer bad\">{text}</div>')",
        "st.button(t('weights_start'), icon=':material/download:')",
        "st.button(t('next'), shortcut='Right')",
        "'%H:%M:%S'",
    ],
)
def test_code_without_a_sentence_passes(code: str) -> None:
    assert not sentences(code)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_other_file_of_the_page_holds_a_sentence(file: Path) -> None:
    assert sentences(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("key", i18n._TEXTS)
def test_both_languages_have_a_text_with_the_same_facts(key: str) -> None:
    chinese, english = ({name for _, name, _, _ in Formatter().parse(text) if name} for text in i18n._TEXTS[key])
    assert chinese == english
    assert all(i18n._TEXTS[key])


def test_every_text_is_used() -> None:
    source = "\n".join(file.read_text(encoding="utf-8") for file in (*FILES, Path(i18n.__file__)))
    used = set(re.findall(r'\bt\(f?"([a-z_]+)', source)) | set(re.findall(r'"([a-z_]+)"(?!: \()', source))
    prefixes = tuple(name for name in used if name.endswith("_"))
    assert [key for key in i18n._TEXTS if key not in used and not key.startswith(prefixes)] == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", errors._MESSAGES)
def test_every_problem_of_an_image_has_a_text(speak: Callable[[Language], None], language: Language, code: str) -> None:
    speak(language)
    assert i18n.problem_text(PictureProblem(code, limit=100, detail="x"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", ["empty", "punctuation_only", "too_long"])
def test_every_error_of_a_query_has_a_text(speak: Callable[[Language], None], language: Language, code: str) -> None:
    speak(language)
    assert i18n.error_text(QueryError(code, "")) == t(f"query_{code}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_another_model_than_that_of_a_ranking_has_a_text(speak: Callable[[Language], None], language: Language) -> None:
    speak(language)
    assert i18n.error_text(ModelChangedError()) == t("model_changed")


def test_other_errors_keep_their_own_sentence(speak: Callable[[Language], None]) -> None:
    speak("zh")
    assert i18n.error_text(ModelError("The driver is too old.")) == "The driver is too old."


def test_limits_are_given_in_their_unit(speak: Callable[[Language], None]) -> None:
    speak("en")
    assert "100 MiB" in i18n.problem_text(PictureProblem("too_many_bytes", limit=100 * 1024**2))
    assert "200,000,000 pixels" in i18n.problem_text(PictureProblem("too_many_pixels", limit=200_000_000))


def test_the_chinese_names_of_parser_rules_name_rules_that_exist() -> None:
    assert set(i18n._RULES_ZH) <= {rule.name for rule in RULES}


def test_names_are_joined_and_cut_after_five(speak: Callable[[Language], None]) -> None:
    speak("zh")
    assert i18n.join_names(["a", "b"]) == "a、b"
    speak("en")
    assert i18n.join_names(list("abcdef")) == "a, b, c, d, e …"


def test_what_cannot_be_encoded_never_reaches_the_page(speak: Callable[[Language], None]) -> None:
    speak("en")
    assert t("aside", text="Mu\udcf1oz\ud83d", aside="x") == "Mu\ufffdoz\ufffd (x)"


def test_markdown_is_shown_as_typed() -> None:
    assert i18n.escape_markdown("*a* [b](c) :smile: $x$") == r"\*a\* \[b\]\(c\) \:smile\: \$x\$"


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min"), (3600, "60 min")])
def test_durations_are_in_seconds_below_a_minute(speak: Callable[[Language], None], seconds: float, text: str) -> None:
    speak("en")
    assert i18n.format_duration(seconds) == text
