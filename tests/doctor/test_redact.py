"""redact: what may be pasted where anyone reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from lychee_rerank.doctor.redact import redact

HOME = Path("/home/alice")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/alice/models/lychee", "~/models/lychee"),
        ("there is no folder /home/alice", "there is no folder ~"),
        ("/home/alicette/models", "/home/alicette/models"),
        ("/mnt/data/alice/models", "/mnt/data/<user>/models"),
        ("/backup/home/alice/models", "/backup/home/<user>/models"),
        ("/mnt/data/alice", "/mnt/data/<user>"),
        (r"D:\Alice\models", r"D:\<user>\models"),
        ('"alice/mine" is neither a folder nor a model', '"<user>/mine" is neither a folder nor a model'),
        ("alice", "<user>"),
        ("/mnt/malice/alice-1", "/mnt/malice/alice-1"),
        ("RTX 4090", "RTX 4090"),
    ],
)
def test_the_home_directory_and_the_users_name_are_replaced(text: str, expected: str) -> None:
    assert redact(text, HOME, {"alice"}) == expected


def test_a_home_directory_at_the_root_changes_nothing() -> None:
    assert redact("/opt/models", Path("/"), set()) == "/opt/models"


def test_without_a_home_directory_only_the_users_name_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as it does where there is none
    monkeypatch.setenv("USER", "alice")
    assert redact("~/x /mnt/alice/x") == "~/x /mnt/<user>/x"


def test_every_text_in_a_tree_of_dataclasses_is_redacted() -> None:
    @dataclass(frozen=True)
    class Leaf:
        path: str
        size: int | None

    @dataclass(frozen=True)
    class Tree:
        leaves: tuple[Leaf, ...]

    tree = Tree((Leaf("/home/alice/a", 3), Leaf("/opt/b", None)))
    assert redact(tree, HOME, {"alice"}) == Tree((Leaf("~/a", 3), Leaf("/opt/b", None)))
