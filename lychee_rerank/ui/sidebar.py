"""Settings, the model in use and where it is, and memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import streamlit as st

from lychee_rerank.devices.device_map import DeviceMapPlan
from lychee_rerank.devices.memory import device_name, format_bytes, memory_usage
from lychee_rerank.rankings.job import CONDITIONS_TOP
from lychee_rerank.ui import download_panel, kept_panel, saved_settings
from lychee_rerank.ui.i18n import LANGUAGES, page_language, t
from lychee_rerank.ui.saved_settings import FITS, MAX_RESERVE_GIB, METHODS
from lychee_rerank.ui.state import AppState, Settings
from lychee_rerank.weights.hub import is_http_url
from lychee_rerank.weights.locate import Checkpoint, list_checkpoints


def show(state: AppState) -> Settings:
    """Draw the sidebar; returns its settings."""
    with st.sidebar:
        checkpoints = list_checkpoints()
        saved_settings.restore(state.archive, [entry for entry in checkpoints if not entry.problems])
        _language_switch()
        model = _model(state, checkpoints)
        methods = {name: t(f"method_{name}") for name in METHODS}
        method = st.radio(t("method"), methods, format_func=lambda name: methods[name], key="method")
        if method == "auto" and state.reranker is not None and state.reranker.method == "yes_no":
            st.caption(t("method_fell_back"))
        fits = {name: t(f"fit_{name}") for name in FITS}
        fit = st.radio(t("fit"), fits, format_func=lambda name: fits[name], horizontal=True, key="fit")
        reasons = st.toggle(t("reasons"), key="reasons")
        conditions = _conditions(state)
        with st.expander(t("more_settings"), key="more-settings"):
            other_model = _other_model()
            instruction = st.text_area(t("instruction"), key="instruction")
            normalize = st.toggle(t("normalize"), key="normalize")
            reserve = float(st.number_input(t("reserve"), 0.0, MAX_RESERVE_GIB, step=0.1, key="reserve"))
        _memory(state)
        kept_panel.show(state)
        saved_settings.save(state.archive)
    return Settings(other_model or model, method, instruction, reasons, conditions, normalize, fit, reserve)


def _language_switch() -> None:
    language = page_language()
    selected = st.segmented_control(
        t("language"),
        LANGUAGES,
        default=language,
        required=True,
        format_func=lambda other: LANGUAGES[other],
        label_visibility="collapsed",
        key="language",
    )
    if selected and selected != language:
        st.query_params["lang"] = selected
        for key in ("model", "method", "fit"):  # selected by text in the browser, and texts change
            st.session_state[key] = st.session_state[key]
        st.rerun()


def _model(state: AppState, checkpoints: list[Checkpoint]) -> str:
    valid = [checkpoint for checkpoint in checkpoints if not checkpoint.problems]
    labels = {"auto": t("method_auto")}
    labels |= {str(checkpoint.path): _label(checkpoint) for checkpoint in valid if not checkpoint.is_demo}
    labels["demo"] = t("source_demo")
    model = st.selectbox(t("model"), labels, format_func=lambda choice: labels[choice], key="model")
    for broken in (checkpoint for checkpoint in checkpoints if checkpoint.problems):
        st.caption(t("model_broken", name=broken.name, problems=t("semicolon").join(broken.problems)))
    used = state.reranker.checkpoint if state.reranker is not None else None
    st.caption(t("model_in_use", name=_label(used)) if used else t("model_none"))
    if state.reranker is not None:
        _precision(state.reranker.device_map_plan)
    demo = used.is_demo if used else model == "demo" or (model == "auto" and all(entry.is_demo for entry in valid))
    if demo:
        st.info(t("demo_banner"))
    if demo or state.download:
        download_panel.show(state)
    return model


def _conditions(state: AppState) -> bool:
    """The setting, also while the latest query has only one condition; then the switch is off and cannot be moved."""
    if state.job and len(state.job.conditions) == 1:
        st.toggle(t("conditions"), disabled=True, help=t("conditions_off"), key="conditions-off")
        return bool(st.session_state["conditions"])
    return st.toggle(t("conditions"), help=t("conditions_help", count=CONDITIONS_TOP), key="conditions")


def _other_model() -> str:
    """A checkpoint folder or a server's URL, with a warning that images leave the machine; "" where none is given."""
    model = st.text_input(t("model_other"), placeholder=t("model_other_hint"), key="model-other").strip()
    if is_http_url(model):
        st.warning(t("server_banner"))
    return model


def _precision(plan: DeviceMapPlan) -> None:
    """The type that the model was loaded in, and the threads that compute it where a CPU does; not of a server's."""
    if plan.dtype:
        dtype = {"bfloat16": "BF16"}.get(plan.dtype, plan.dtype)
        text = "model_threads" if plan.threads else "model_dtype"
        st.caption(t(text, dtype=dtype, threads=plan.threads))


def _label(checkpoint: Checkpoint) -> str:
    source = t(f"source_{checkpoint.source}")
    return source if checkpoint.is_demo else t("aside", text=checkpoint.name, aside=source)


def _memory(state: AppState) -> None:
    st.subheader(t("memory"), anchor=False)
    for memory in memory_usage():
        used, peak, free = (format_bytes(size) for size in (memory.used, memory.peak, memory.free))
        st.caption(t("memory_line", device=device_name(memory.device), used=used, peak=peak, free=free))
    if state.reranker is not None:
        with st.expander(t("device_map")):
            _device_map(state.reranker.device_map_plan.device_names)


def _device_map(device_names: Mapping[str, str]) -> None:
    """How many decoder blocks each device holds, the consequence, and the device of every part."""
    devices = list(dict.fromkeys(device_names.values()))
    if len(devices) == 1:
        st.caption(t("whole_on", device=devices[0]))
        return
    blocks = Counter(device for part, device in device_names.items() if ".layers." in part)
    for device in devices:
        st.caption(t("blocks_on", device=device, blocks=blocks[device], all=blocks.total()))
    if {"CPU", "disk"} & set(devices):
        st.caption(t("partly_slow"))
    st.text("\n".join(f"{part} → {device}" for part, device in device_names.items()))
