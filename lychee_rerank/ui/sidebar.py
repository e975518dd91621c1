"""Settings, the model in use and where it is, and memory."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from lychee_rerank.devices.memory import memory_usage
from lychee_rerank.images.load import Fit
from lychee_rerank.text.prompts import DEFAULT_INSTRUCTION
from lychee_rerank.ui import download_panel as weights
from lychee_rerank.ui import i18n as texts
from lychee_rerank.ui.i18n import Language, text
from lychee_rerank.ui.state import Desk, Settings, is_address
from lychee_rerank.weights.locate import Checkpoint, list_checkpoints


def language() -> Language:
    """Chinese where the browser is, else English; the address keeps a choice."""
    chosen = st.query_params.get("lang")
    if chosen in ("zh", "en"):
        return chosen  # type: ignore[return-value]
    return "zh" if (st.context.locale or "").lower().startswith("zh") else "en"


def show(desk: Desk, spoken: Language) -> Settings:
    """The sidebar; returns what it says."""
    with st.sidebar:
        _language_switch(spoken)
        model = _model(desk, spoken)
        method = st.radio(
            text(spoken, "method"),
            ("auto", "generate", "yes_no"),
            format_func=lambda name: text(spoken, f"method_{name}"),
            key="method",
        )
        if method == "auto" and desk.automatic_method == "yes_no":
            st.caption(text(spoken, "method_fell_back"))
        fit: Fit = st.radio(
            text(spoken, "fit"),
            ("crop", "whole"),
            format_func=lambda name: text(spoken, f"fit_{name}"),
            horizontal=True,
            key="fit",
        )
        reasons = st.toggle(text(spoken, "reasons"), True, key="reasons")
        with st.expander(text(spoken, "more_settings"), key="more-settings"):
            other = st.text_input(
                text(spoken, "model_other"), placeholder=text(spoken, "model_other_hint"), key="model-other"
            ).strip()
            if is_address(other):
                st.warning(text(spoken, "server_banner"))
            instruction = st.text_area(text(spoken, "instruction"), DEFAULT_INSTRUCTION, key="instruction")
            normalize = st.toggle(text(spoken, "normalize"), True, key="normalize")
            reserve = st.number_input(text(spoken, "reserve"), 0.0, 16.0, 1.2, 0.1, key="reserve")
        _memory(desk, spoken)
    return Settings(other or model, method, instruction, reasons, normalize, fit, float(reserve))


def _language_switch(spoken: Language) -> None:
    chosen = st.segmented_control(
        text(spoken, "language"),
        ("zh", "en"),
        default=spoken,
        required=True,
        format_func=lambda name: {"zh": "中文", "en": "English"}[name],
        label_visibility="collapsed",
        key="language",
    )
    if chosen and chosen != spoken:
        st.query_params["lang"] = chosen
        st.rerun()


def _model(desk: Desk, spoken: Language) -> str:
    found = list_checkpoints()
    sound = [checkpoint for checkpoint in found if not checkpoint.problems]
    choices = ["auto", *dict.fromkeys(str(checkpoint.path) for checkpoint in sound if not checkpoint.is_demo), "demo"]
    labels = {str(checkpoint.path): _label(checkpoint, spoken) for checkpoint in sound}
    labels |= {"auto": text(spoken, "method_auto"), "demo": text(spoken, "source_demo")}
    picked = st.selectbox(text(spoken, "model"), choices, format_func=lambda choice: labels[choice], key="model")
    for checkpoint in (checkpoint for checkpoint in found if checkpoint.problems):
        st.caption(text(spoken, "model_broken", name=checkpoint.name, problems="; ".join(checkpoint.problems)))
    used = desk.reranker.checkpoint if desk.reranker is not None else None
    st.caption(text(spoken, "model_in_use", name=_label(used, spoken)) if used else text(spoken, "model_none"))
    demo = used.is_demo if used else picked in ("demo", "auto") and all(entry.is_demo for entry in sound)
    if demo:
        st.info(text(spoken, "demo_banner"))
    if demo or desk.download:
        weights.show(desk, spoken)
    return picked


def _label(checkpoint: Checkpoint, spoken: Language) -> str:
    source = text(spoken, f"source_{checkpoint.source}")
    return source if checkpoint.is_demo else f"{checkpoint.name} ({source})"


def _memory(desk: Desk, spoken: Language) -> None:
    st.subheader(text(spoken, "memory"), anchor=False)
    for device in memory_usage():
        used, peak, free = (texts.size(count) for count in (device.used, device.peak, device.free))
        st.caption(text(spoken, "memory_line", device=device.device, used=used, peak=peak, free=free))
    if desk.reranker is not None:
        with st.expander(text(spoken, "placement")):
            _placement(desk.reranker.device_map_plan.device_names, spoken)


def _placement(device_map: Mapping[str, str], spoken: Language) -> None:
    """How many of the decoder's blocks each device holds, the consequence, and the map itself."""
    devices = list(dict.fromkeys(device_map.values()))
    blocks = {device: sum(".layers." in part for part, on in device_map.items() if on == device) for device in devices}
    if len(devices) == 1:
        st.caption(text(spoken, "whole_on", device=devices[0]))
        return
    for device in devices:
        st.caption(text(spoken, "blocks_on", device=device, blocks=blocks[device], all=sum(blocks.values())))
    if {"CPU", "disk"} & set(devices):
        st.caption(text(spoken, "partly_slow"))
    st.text("\n".join(f"{part} → {device}" for part, device in device_map.items()))
