"""The demo checkpoint's own small tokenizer: byte-level BPE over names, keywords and prompt words, with Qwen's special
tokens.

It is trained on single words, never on sentences, so that a name is split the same way wherever it stands.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from tools.demo.colors import COLORS
from tools.demo.network import SPECIAL_TOKENS
from tools.demo.pictograms import PACKAGES, Thing

VOCABULARY_SIZE = 4096
# Words, single digits, single spaces, single punctuation: "a cat" and "<Query>:cat" hold the same token for cat.
SPLIT = r"\p{L}+|\p{N}|\s|[^\s\p{L}\p{N}]"


def keywords(things: list[Thing], language: str, packages: Path = PACKAGES) -> list[tuple[str, ...]]:
    """For each thing, emojibase's label and keywords that no other thing of the list has; none that names a color
    (a taxi is not "yellow").
    """
    data = json.loads((packages / "emojibase-data" / language / "data.json").read_text(encoding="utf-8"))
    by_character = {entry["emoji"].rstrip("\ufe0f"): entry for entry in data if "emoji" in entry}
    words_by_thing = []
    for thing in things:
        entries = [by_character[c.rstrip("\ufe0f")] for c in thing.characters if c.rstrip("\ufe0f") in by_character]
        words_by_thing.append({word.lower() for entry in entries for word in (entry["label"], *entry.get("tags", []))})
    names = [name for thing in things for name in (*thing.english, *thing.chinese)]
    shared = {word for words in words_by_thing for word in words if sum(word in other for other in words_by_thing) > 1}
    colors = [word for name, chinese, *_ in COLORS for word in (name, *(part[0] for part in chinese))]
    colored = {word for words in words_by_thing for word in words if any(color in word for color in colors)}
    return [tuple(sorted(words - shared - colored - set(names))) for words in words_by_thing]


def train_tokenizer(words: list[str]) -> Tokenizer:
    """Train the tokenizer. Words in the first half of the list weigh more, so that each becomes one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pieces = [piece for word in words for piece in re.findall(r"[^\W\d_]+", word)]
    pieces = [*"，。：、！？（）“”", *pieces]
    weighted = (piece for index, piece in enumerate(pieces) for _ in range(4 if index < len(pieces) // 2 else 1))
    tokenizer.train_from_iterator(weighted, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    return tokenizer
