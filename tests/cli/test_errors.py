"""How commands end: one line on stderr and an exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from lychee_rerank.cli.errors import format_os_error, handle_errors, interrupt_message
from lychee_rerank.errors import ModelError
from support.fake_cli import run_command


def exit_code_of(error: BaseException) -> int:
    @handle_errors
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as ending:
        command()
    return int(ending.value.exit_code)


@pytest.mark.usefixtures("reranker")
def test_images_none_of_which_can_be_scored_end_with_code_3(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    result = run_command("rank", "bright", tmp_path / "bad.png", "--quiet")
    assert result.exit_code == 3
    assert "could be scored, the first because: This is not a picture" in result.stderr


def test_a_model_that_fails_ends_with_code_1_and_one_line(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ModelError("The weights are [damaged].")

    monkeypatch.setattr("lychee_rerank.cli.rank.open_reranker", fail)
    result = run_command("rank", "bright", shop)
    assert (result.exit_code, result.stderr) == (1, "The weights are [damaged].\n")


def test_what_the_system_refuses_ends_with_code_1_and_names_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(OSError(28, "No space left on device", "best.csv")) == 1
    assert format_os_error(OSError(28, "No space left on device", "best.csv")) == (
        "best.csv cannot be used: No space left on device."
    )
    assert format_os_error(OSError("odd.")) == "The system refused to continue: odd."


def test_ctrl_c_ends_with_code_130() -> None:
    assert exit_code_of(KeyboardInterrupt()) == 130


def test_the_innermost_message_of_an_interrupt_is_shown() -> None:
    with (
        pytest.raises(KeyboardInterrupt, match=r"^inner$"),
        interrupt_message("outer"),
        interrupt_message("inner"),
    ):
        raise KeyboardInterrupt


def test_a_closed_pipe_is_left_to_typer() -> None:
    @handle_errors
    def command() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        command()
