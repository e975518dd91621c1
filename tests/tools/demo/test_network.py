"""What trains the demo checkpoint computes the same numbers as transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tools.demo import network

PREFIX, QUERY, REST = 20, 5, 4


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    vocabulary = {f"word {number}": number for number in range(300)}
    vocabulary |= {token: 300 + number for number, token in enumerate(network.SPECIAL_TOKENS)}
    return network.build(vocabulary).eval()


@torch.no_grad()
def packed(model: torch.nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """Image tokens by transformers' own forward."""
    patches = network.patches(pictures).view(-1, 3, 1, network.PATCH, network.PATCH).expand(-1, -1, 2, -1, -1)
    grid = torch.tensor([[1, network.GRID, network.GRID]] * len(pictures))
    seen = model.model.get_image_features(patches.reshape(len(patches), -1), grid).pooler_output
    return torch.stack(list(seen))


@torch.no_grad()
def test_seeing_a_batch_equals_transformers(model: torch.nn.Module) -> None:
    pictures = torch.randn(3, 3, network.EDGE, network.EDGE, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network.see(model, pictures), packed(model, pictures), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_reading_behind_a_shared_prefix_equals_transformers(model: torch.nn.Module) -> None:
    image = model.config.image_token_id
    words = torch.randint(0, 300, (PREFIX + QUERY + REST,), generator=torch.Generator().manual_seed(2))
    before, rest = words[: PREFIX + QUERY], words[PREFIX + QUERY :]
    ids = torch.cat([before, torch.full((network.IMAGE_TOKENS,), image), rest])[None]
    picture = torch.randn(1, 3, network.EDGE, network.EDGE, generator=torch.Generator().manual_seed(3))
    tokens = network.see(model, picture)
    grid = torch.tensor([[1, network.GRID, network.GRID]])
    places, _ = model.model.get_rope_index(ids, mm_token_type_ids=(ids == image).int(), image_grid_thw=grid)
    embedded = model.model.language_model.embed_tokens(ids)
    embedded[ids == image] = tokens[0]
    whole = model.model.language_model(inputs_embeds=embedded, position_ids=places).last_hidden_state
    ours = network.read(model, ids[0, :PREFIX], embedded[:, PREFIX:], places[:, :, PREFIX:])
    torch.testing.assert_close(ours, whole[:, PREFIX:], atol=1e-4, rtol=1e-4)


def test_the_same_thing_is_asked_for_in_both_languages() -> None:
    rows = (Path(__file__).parents[2] / "tools" / "demo" / "things.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(rows) >= 150
    assert all(len(row.split("\t")) == 4 and all(row.split("\t")) for row in rows)
