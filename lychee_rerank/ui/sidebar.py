"""Settings, the model in use and where it is, and memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import streamlit as st

from lychee_rerank.devices.memory import format_bytes, memory_usage
from lychee_rerank.images.resize import Fit
from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION
from lychee_rerank.ui import download_panel
from lychee_rerank.ui.i18n import LANGUAGES, Language, t
from lychee_rerank.ui.state import AppState, Settings
from lychee_rerank.weights.hub import is_http_url
from lychee_rerank.weights.locate import Checkpoint, list_checkpoints

_METHODS: tuple[Literal["auto", "generate", "yes_no"], ...] = ("auto", "generate", "yes_no")
_FITS: tuple[Fit, ...] = ("crop", "whole")


def page_language() -> Language:
    """The language chosen in the URL (?lang=zh or en), else Chinese where the browser is, else English."""
    for language in LANGUAGES:
        if st.query_params.get("lang") == language:
            return language
    return "zh" if (st.context.locale or "").lower().startswith("zh") else "en"


def show(state: AppState, language: Language) -> Settings:
    """Draw the sidebar; returns its settings."""
    with st.sidebar:
        _language_switch(language)
        model = _model(state, language)
        method = st.radio(
            t(language, "method"), _METHODS, format_func=lambda name: t(language, f"method_{name}"), key="method"
        )
        if method == "auto" and state.reranker is not None and state.reranker.method == "yes_no":
            st.caption(t(language, "method_fell_back"))
        fit = st.radio(
            t(language, "fit"),
            _FITS,
            format_func=lambda name: t(language, f"fit_{name}"),
            horizontal=True,
            key="fit",
        )
        reasons = st.toggle(t(language, "reasons"), True, key="reasons")
        with st.expander(t(language, "more_settings"), key="more-settings"):
            other_model = _other_model(language)
            instruction = st.text_area(t(language, "instruction"), DEFAULT_INSTRUCTION, key="instruction")
            normalize = st.toggle(t(language, "normalize"), True, key="normalize")
            reserve = float(st.number_input(t(language, "reserve"), 0.0, 16.0, 1.2, 0.1, key="reserve"))
        _memory(state, language)
    return Settings(other_model or model, method, instruction, reasons, normalize, fit, reserve)


def _language_switch(language: Language) -> None:
    selected = st.segmented_control(
        t(language, "language"),
        LANGUAGES,
        default=language,
        required=True,
        format_func=lambda other: t(other, "own_name"),
        label_visibility="collapsed",
        key="language",
    )
    if selected and selected != language:
        st.query_params["lang"] = selected
        st.rerun()


def _model(state: AppState, language: Language) -> str:
    checkpoints = list_checkpoints()
    valid = [checkpoint for checkpoint in checkpoints if not checkpoint.problems]
    labels = {"auto": t(language, "method_auto")}
    labels |= {str(checkpoint.path): _label(checkpoint, language) for checkpoint in valid if not checkpoint.is_demo}
    labels["demo"] = t(language, "source_demo")
    model = st.selectbox(t(language, "model"), labels, format_func=lambda choice: labels[choice], key="model")
    for broken in (checkpoint for checkpoint in checkpoints if checkpoint.problems):
        problems = t(language, "semicolon").join(broken.problems)
        st.caption(t(language, "model_broken", name=broken.name, problems=problems))
    used = state.reranker.checkpoint if state.reranker is not None else None
    st.caption(t(language, "model_in_use", name=_label(used, language)) if used else t(language, "model_none"))
    demo = used.is_demo if used else model == "demo" or (model == "auto" and all(entry.is_demo for entry in valid))
    if demo:
        st.info(t(language, "demo_banner"))
    if demo or state.download:
        download_panel.show(state, language)
    return model


def _other_model(language: Language) -> str:
    """A checkpoint folder or a server's URL, with a warning that images leave the machine; "" where none is given."""
    hint = t(language, "model_other_hint")
    model = st.text_input(t(language, "model_other"), placeholder=hint, key="model-other").strip()
    if is_http_url(model):
        st.warning(t(language, "server_banner"))
    return model


def _label(checkpoint: Checkpoint, language: Language) -> str:
    source = t(language, f"source_{checkpoint.source}")
    return source if checkpoint.is_demo else t(language, "aside", text=checkpoint.name, aside=source)


def _memory(state: AppState, language: Language) -> None:
    st.subheader(t(language, "memory"), anchor=False)
    for memory in memory_usage():
        used, peak, free = (format_bytes(size) for size in (memory.used, memory.peak, memory.free))
        st.caption(t(language, "memory_line", device=memory.device, used=used, peak=peak, free=free))
    if state.reranker is not None:
        with st.expander(t(language, "device_map")):
            _device_map(state.reranker.device_map_plan.device_names, language)


def _device_map(device_names: Mapping[str, str], language: Language) -> None:
    """How many decoder blocks each device holds, the consequence, and the device of every part."""
    devices = list(dict.fromkeys(device_names.values()))
    if len(devices) == 1:
        st.caption(t(language, "whole_on", device=devices[0]))
        return
    blocks = Counter(device for part, device in device_names.items() if ".layers." in part)
    for device in devices:
        st.caption(t(language, "blocks_on", device=device, blocks=blocks[device], all=blocks.total()))
    if {"CPU", "disk"} & set(devices):
        st.caption(t(language, "partly_slow"))
    st.text("\n".join(f"{part} → {device}" for part, device in device_names.items()))
