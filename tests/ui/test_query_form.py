"""The query box and its button, and the example queries for the samples."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from lychee_rerank import Reranker
from lychee_rerank.reranker import ScoringOptions
from lychee_rerank.ui.i18n import _TEXTS, LANGUAGES
from lychee_rerank.ui.query_form import EXAMPLES, SAMPLES
from support.app_test import app_state, click, open_page, rank, red, settle, submit, upload


def examples(app: AppTest) -> list[str]:
    return [button.label for button in app.button if button.key in EXAMPLES]


def test_ranking_without_images_asks_for_images() -> None:
    assert [warning.value for warning in submit(open_page(), "猫").warning] == ["请先放入图片，再开始排序。"]


def test_an_empty_query_asks_for_one() -> None:
    app = submit(upload(open_page(), ("a.png", red(10))), "")
    assert [warning.value for warning in app.warning] == ["请先写一句话，说明想找什么样的图片。"]


def test_a_query_of_punctuation_asks_for_words() -> None:
    app = submit(upload(open_page(), ("a.png", red(10))), "。。。")
    assert "只有标点" in app.warning[0].value


def test_the_box_holds_the_query_of_the_latest_ranking() -> None:
    rank(upload(open_page(), ("a.png", red(10))), "红色")
    assert open_page().text_input(key="query").value == "红色"


@pytest.mark.parametrize(("language", "queries"), [("zh", 0), ("en", 1)])
def test_examples_are_there_while_the_samples_are_loaded(language: str, queries: int) -> None:
    app = upload(open_page(language), ("a.png", red(10)))
    assert examples(app) == []
    labels = {"zh": ("用示例图片试试", "全部清除"), "en": ("Try the samples", "Clear all")}[language]
    app = settle(click(app, labels[0]))
    assert examples(app) == [_TEXTS[key][queries] for key in EXAMPLES]
    assert examples(click(app, labels[1])) == []


def test_examples_go_with_a_sample_that_they_describe() -> None:
    app = settle(click(open_page(), "用示例图片试试"))
    rose = next(image for image in app_state().library.images() if image.name == "rose.jpg")
    app_state().library.remove(rose.key)
    assert examples(app.run()) == []


def test_an_example_fills_the_box_and_starts_the_ranking() -> None:
    app = settle(click(open_page(), "用示例图片试试"))
    app.text_input(key="query").set_value("红色").run()
    app = settle(click(app, "一只猫"))
    assert app.text_input(key="query").value == "一只猫"
    assert [job.query.text for job in app_state().jobs] == ["一只猫"]
    assert len(app_state().job.status().ranking) == 28


@pytest.mark.slow
@pytest.mark.parametrize("method", ["yes_no", "generate"])
@pytest.mark.parametrize("language", range(len(LANGUAGES)))
def test_the_demo_model_ranks_the_sample_of_each_example_first(language: int, method: str) -> None:
    reranker, options = Reranker.from_pretrained("demo"), ScoringOptions(method)
    samples = sorted(SAMPLES.iterdir())
    best = {key: reranker.rank(_TEXTS[key][language], samples, options=options)[0].name for key in EXAMPLES}
    assert best == EXAMPLES
