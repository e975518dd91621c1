"""The batched forward that trains the demo checkpoint computes the same numbers as transformers."""

from __future__ import annotations

import pytest
import torch

from tools.demo import network

PREFIX, QUERY, REST = 20, 5, 4


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    vocabulary = {f"word {number}": number for number in range(300)}
    vocabulary |= {token: 300 + number for number, token in enumerate(network.SPECIAL_TOKENS)}
    return network.build_network(vocabulary).eval()


def random_images(batch: int, seed: int) -> torch.Tensor:
    return torch.randn(batch, 3, network.EDGE, network.EDGE, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def transformers_features(model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """(batch, 16, hidden) image tokens by transformers' own forward."""
    frames = network.to_patches(images).view(-1, 3, 1, network.PATCH, network.PATCH).expand(-1, -1, 2, -1, -1)
    grid = torch.tensor([[1, network.GRID, network.GRID]] * len(images))
    features = model.model.get_image_features(frames.reshape(len(frames), -1), grid).pooler_output
    return torch.stack(list(features))


@torch.no_grad()
def test_the_vision_tower_on_a_batch_equals_transformers(model: torch.nn.Module) -> None:
    images = random_images(3, seed=1)
    features = network.vision_forward(model, images)
    torch.testing.assert_close(features, transformers_features(model, images), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_decoding_after_a_shared_prefix_equals_transformers(model: torch.nn.Module) -> None:
    image_id = model.config.image_token_id
    words = torch.randint(0, 300, (PREFIX + QUERY + REST,), generator=torch.Generator().manual_seed(2))
    before, after = words[: PREFIX + QUERY], words[PREFIX + QUERY :]
    ids = torch.cat([before, torch.full((network.IMAGE_TOKENS,), image_id), after])[None]
    grid = torch.tensor([[1, network.GRID, network.GRID]])
    positions, _ = model.model.get_rope_index(ids, mm_token_type_ids=(ids == image_id).int(), image_grid_thw=grid)
    embedded = model.model.language_model.embed_tokens(ids)
    embedded[ids == image_id] = network.vision_forward(model, random_images(1, seed=3))[0]
    expected = model.model.language_model(inputs_embeds=embedded, position_ids=positions).last_hidden_state
    hidden = network.decoder_forward(model, ids[0, :PREFIX], embedded[:, PREFIX:], positions[:, :, PREFIX:])
    torch.testing.assert_close(hidden, expected[:, PREFIX:], atol=1e-4, rtol=1e-4)
