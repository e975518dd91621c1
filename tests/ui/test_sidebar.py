"""The settings, the model in use and its devices."""

from __future__ import annotations

import re

import pytest
from streamlit.testing.v1 import AppTest

from support.app_test import app_state, open_page, rank, red, upload


def captions(app: AppTest) -> list[str]:
    return [caption.value for caption in app.caption]


def device_map_page(devices: dict[str, str]) -> AppTest:
    def script(devices: dict[str, str]) -> None:
        from lychee_rerank.ui.sidebar import _device_map

        _device_map(devices)

    app = AppTest.from_function(script, args=(devices,))
    app.query_params["lang"] = "en"
    return app.run()


def test_the_settings_reach_the_ranking() -> None:
    app = upload(open_page(), ("a.png", red(200)))
    app.radio(key="method").set_value("yes_no")
    app.radio(key="fit").set_value("whole")
    app.text_area(key="instruction").set_value("Find cats.")
    app.toggle(key="normalize").set_value(False)
    rank(app, "Red!")
    options = app_state().reranker.options_of_rankings[0]
    assert (options.method, options.fit, options.instruction) == ("yes_no", "whole", "Find cats.")
    assert app_state().job.query.normalized == "Red!"


def test_without_reasons_the_answers_stay_as_they_are() -> None:
    app = upload(open_page(), ("a.png", red(200)))
    app.toggle(key="reasons").set_value(False)
    rank(app, "红色")
    assert app_state().job.status().explained == 0


def test_without_conditions_none_are_scored() -> None:
    app = upload(open_page(), ("a.png", red(200)))
    app.toggle(key="conditions").set_value(False)
    rank(app, "红色，蓝色")
    assert app_state().job.status().condition_scores_total == 0


def test_conditions_are_off_for_a_query_of_one_and_as_set_for_the_next() -> None:
    app = rank(upload(open_page(), ("a.png", red(200))), "红色")
    switch = app.toggle(key="conditions-off")
    assert (switch.value, switch.disabled) == (False, True)
    assert switch.help.startswith("当前描述只有一个条件")
    rank(app.run(), "红色，蓝色")
    assert app.toggle(key="conditions").value
    assert app_state().job.status().condition_scores_total == 2


def test_before_a_model_is_loaded_the_demo_is_announced() -> None:
    app = open_page()
    assert "尚未载入" in captions(app)
    assert "内置演示模型" in app.info[0].value


def test_the_model_in_use_is_named() -> None:
    assert "正在使用：fake（指定的文件夹）" in captions(rank(upload(open_page(), ("a.png", red(200))), "红色"))


def test_the_type_of_the_weights_and_the_threads_of_a_model_on_the_cpu_are_shown() -> None:
    assert "权重精度：float32，1 个线程" in captions(rank(upload(open_page(), ("a.png", red(200))), "红色"))


def test_a_servers_url_warns_that_images_leave_the_machine() -> None:
    app = open_page()
    assert not app.warning
    app.text_input(key="model-other").set_value("http://192.168.1.5:8000").run()
    assert "图片会发送到这台服务器" in app.warning[0].value


def test_memory_is_given_in_binary_units() -> None:
    memory = next(caption for caption in captions(open_page()) if caption.startswith("CPU"))
    assert re.fullmatch(r"CPU：已用 [\d.]+ [MG]iB，峰值 [\d.]+ [MG]iB，空闲 [\d.]+ [MG]iB", memory)


def test_a_model_on_one_device_needs_one_line() -> None:
    app = device_map_page({"model.layers.0": "GPU 0", "lm_head": "GPU 0"})
    assert captions(app) == ["All of it on GPU 0"]


@pytest.mark.parametrize(("second", "slow"), [("GPU 1", False), ("CPU", True), ("disk", True)])
def test_a_split_model_shows_the_layers_of_each_device_and_what_is_slow(second: str, slow: bool) -> None:
    app = device_map_page({"visual": "GPU 0", "model.layers.0": "GPU 0", "model.layers.1": second, "lm_head": "GPU 0"})
    assert captions(app)[:2] == ["GPU 0: 1 of 2 layers", f"{second}: 1 of 2 layers"]
    assert any("much slower" in caption for caption in captions(app)) == slow
    assert f"model.layers.1 → {second}" in app.text[0].value
