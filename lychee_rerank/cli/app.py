"""`lychee-rerank app`: open the page, from any folder, installed or in a checkout."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

import lychee_rerank
from lychee_rerank.cli import options as opt
from lychee_rerank.errors import InputError


def open_page(
    model: opt.Model = "auto",
    store: opt.Store = None,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port on this machine.")] = 8501,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Whether to open a browser window.")] = True,
) -> None:
    """Open the page in a browser. It listens on this machine only."""
    from streamlit.web.cli import main as run_streamlit

    if model != "auto":
        os.environ["LYCHEE_MODEL"] = model
    if store:
        os.environ["LYCHEE_STORE"] = str(store)
    options = {"address": "127.0.0.1", "port": port, "headless": not browser, "showEmailPrompt": False}
    run_streamlit(["run", str(page_script()), *(f"--server.{name}={value}" for name, value in options.items())])


def page_script() -> Path:
    """The script for Streamlit, with its settings in `.streamlit` beside it. Raises InputError if it is missing."""
    package = Path(lychee_rerank.__file__).parent
    for script in (package / "page" / "app.py", package.parent / "app.py"):  # installed, in a checkout
        if script.is_file():
            return script
    raise InputError("The page is missing from this installation: install lychee-rerank again.")
