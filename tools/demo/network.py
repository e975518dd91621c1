"""The demo checkpoint's network: a small `Qwen2_5_VLForConditionalGeneration`, and a batched forward over its own
weights for training.

transformers' forward packs pictures into one sequence and attends picture by picture, which is slow in training. The
two functions here compute the same numbers for a whole batch of equal pictures; `tests/test_tools_demo.py` holds them
against transformers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

PATCH, MERGE, EDGE = 14, 2, 112
GRID = EDGE // PATCH  # patches a side
IMAGE_TOKENS = (GRID // MERGE) ** 2
HEAD = 64
IMAGE_TOKEN_NORM = 14.0  # about what the vision tower comes to give
SHARPNESS = 12.0  # how much likelier a token looks at a word like itself than at any other, as a logarithm
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)


def build(vocabulary: dict[str, int], *, seed: int = 0) -> Qwen2_5_VLForConditionalGeneration:
    """An untrained network whose language layers start out comparing like with like (see shared notes, demo-trial)."""
    torch.manual_seed(seed)
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(vocabulary),
            "hidden_size": 256,
            "intermediate_size": 640,
            "num_hidden_layers": 5,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 4096,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [8, 12, 12]},
            "tie_word_embeddings": True,
            "bos_token_id": vocabulary["<|endoftext|>"],
            "eos_token_id": vocabulary["<|im_end|>"],
            "pad_token_id": vocabulary["<|endoftext|>"],
        },
        vision_config={
            "depth": 6,
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_heads": 192 // HEAD,
            "out_hidden_size": 256,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "window_size": EDGE,
            "fullatt_block_indexes": list(range(6)),
        },
        image_token_id=vocabulary["<|image_pad|>"],
        video_token_id=vocabulary["<|video_pad|>"],
        vision_start_token_id=vocabulary["<|vision_start|>"],
        vision_end_token_id=vocabulary["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    model = Qwen2_5_VLForConditionalGeneration(config).float()
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and "embed_tokens" not in name and "lm_head" not in name:
            nn.init.normal_(
                weight, std=weight.shape[1] ** -0.5 * (0.3 if "down_proj" in name or ".proj." in name else 1.0)
            )
    for layer in model.model.language_model.layers:
        _let_like_attend_to_like(layer.self_attn)
    return model


@torch.no_grad()
def _let_like_attend_to_like(attention: nn.Module) -> None:
    """Start query and key projections equal, and value and output projections as transposes of each other."""
    heads, hidden = attention.q_proj.out_features // HEAD, attention.q_proj.in_features
    groups = heads * HEAD // attention.k_proj.out_features
    keys = torch.randn(attention.k_proj.out_features, hidden) * hidden**-0.5 * 0.64  # soft: no token sees itself alone
    values = torch.randn(attention.v_proj.out_features, hidden) * hidden**-0.5
    per_head = lambda rows: rows.view(-1, HEAD, hidden).repeat_interleave(groups, 0).reshape(-1, hidden)  # noqa: E731
    attention.k_proj.weight.copy_(keys)
    attention.q_proj.weight.copy_(per_head(keys))
    attention.v_proj.weight.copy_(values)
    attention.o_proj.weight.copy_(per_head(values).T * 0.5)


@torch.no_grad()
def start_comparing(model: Qwen2_5_VLForConditionalGeneration, names: Tensor) -> None:
    """Start the first layers as ones that look for a picture's things in the text before it; learning to compare takes
    minutes from there and was not met without (docs/demo.md).

    Queries and keys become the same projection onto the directions that tell `names` (n, hidden) apart, in those
    pairs of a head that rotary positions turn slowly. Image tokens get a mark that keys are put off by, so that they
    look at words instead of each other.
    """
    language = model.model.language_model
    directions = torch.linalg.svd(names - names.mean(0), full_matrices=False).Vh
    mark = torch.linalg.svd(language.embed_tokens.weight, full_matrices=False).Vh[-1]
    bias = model.model.visual.merger.mlp[-1].bias
    bias += 0.5 * IMAGE_TOKEN_NORM * mark - (bias @ mark) * mark
    slow = torch.tensor([*range(11, 31), *range(43, 63)])
    root = language.embed_tokens.weight.shape[1] ** 0.5  # the size of what a norm gives
    place = 0
    for layer in language.layers[:2]:
        attention = layer.self_attn
        groups, heads = (part.out_features // HEAD for part in (attention.k_proj, attention.q_proj))
        attention.q_proj.weight.zero_()
        attention.k_proj.weight.zero_()
        for group in range(groups):
            told_apart = directions[place : place + len(slow)]
            place += len(slow)
            size = (names @ told_apart.T).norm(dim=1).mean() / names.norm(dim=1).mean()
            projection = told_apart / (root * size) * (HEAD**0.5 * SHARPNESS) ** 0.5
            attention.k_proj.weight[HEAD * group + slow] = projection
            attention.k_proj.weight[HEAD * group + 31] = mark
            for head in range(group * heads // groups, (group + 1) * heads // groups):
                attention.q_proj.weight[HEAD * head + slow] = projection
                attention.q_proj.bias[HEAD * head + 31] = -16.0


@torch.no_grad()
def start_seeing(model: Qwen2_5_VLForConditionalGeneration, pictures: Tensor) -> None:
    """Start the patch embedding as the whitened principal components of patches of some pictures, instead of noise."""
    projection = model.model.visual.patch_embed.proj.weight
    seen = patches(pictures).flatten(0, 1)
    values, vectors = torch.linalg.eigh(torch.cov(seen.T))
    strongest = slice(-projection.shape[0], None)
    whitened = vectors[:, strongest] / (values[strongest] + 1e-3 * values[-1]).sqrt()
    still = whitened.T.reshape(-1, 3, 1, PATCH, PATCH) / 2  # both frames of a still picture add up
    projection.copy_(still.expand(-1, -1, 2, -1, -1))


def patches(pictures: Tensor) -> Tensor:
    """(batch, 3, 112, 112) normalised pictures -> (batch, 64, 588) patches in the processor's order (2 x 2 blocks
    together).
    """
    batch = pictures.shape[0]
    blocks = GRID // MERGE
    tiles = pictures.view(batch, 3, blocks, MERGE, PATCH, blocks, MERGE, PATCH)
    return tiles.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(batch, GRID * GRID, 3 * PATCH * PATCH)


def see(model: Qwen2_5_VLForConditionalGeneration, pictures: Tensor) -> Tensor:
    """(batch, 3, 112, 112) -> (batch, 16, hidden) image tokens; both frames of a still picture are the same, so their
    weights add up.
    """
    tower = model.model.visual
    weight = tower.patch_embed.proj.weight.sum(2).flatten(1)
    hidden = F.linear(patches(pictures), weight)
    cosine, sine = _vision_rotation(tower, pictures.device)
    for block in tower.blocks:
        hidden = hidden + _vision_attention(block.attn, _normalise(block.norm1, hidden), cosine, sine)
        hidden = hidden + _gated(block.mlp, _normalise(block.norm2, hidden))
    merged = _normalise(tower.merger.ln_q, hidden).reshape(len(pictures), IMAGE_TOKENS, -1)
    return tower.merger.mlp(merged)


def read(model: Qwen2_5_VLForConditionalGeneration, prefix: Tensor, rows: Tensor, positions: Tensor) -> Tensor:
    """Last hidden states of `rows` behind a `prefix` that all of them share and that is computed once.

    prefix (P,) token ids; rows (batch, L, hidden) embeddings; positions (3, batch, L), counted from the prefix's start.
    """
    language = model.model.language_model
    start = language.embed_tokens(prefix)[None]
    shared = torch.arange(len(prefix), device=rows.device).expand(3, 1, -1)
    turn_start, turn_rows = language.rotary_emb(start, shared), language.rotary_emb(rows, positions)
    mask = _mask(len(prefix), rows.shape[1], rows.device)
    for layer in language.layers:
        start, rows = _decoder_layer(layer, start, rows, turn_start, turn_rows, mask)
    return _normalise(language.norm, rows)


def _decoder_layer(layer, start, rows, turn_start, turn_rows, mask):  # noqa: ANN001, ANN202
    attention = layer.self_attn
    query_s, key_s, value_s = _heads(attention, _normalise(layer.input_layernorm, start), turn_start)
    query, key, value = _heads(attention, _normalise(layer.input_layernorm, rows), turn_rows)
    seen_s = F.scaled_dot_product_attention(query_s, key_s, value_s, is_causal=True, enable_gqa=True)
    batch = len(rows)
    keys = torch.cat([key_s.expand(batch, -1, -1, -1), key], 2)
    values = torch.cat([value_s.expand(batch, -1, -1, -1), value], 2)
    seen = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, enable_gqa=True)
    out = []
    for hidden, attended in ((start, seen_s), (rows, seen)):
        hidden = hidden + attention.o_proj(attended.transpose(1, 2).flatten(2))
        out.append(hidden + _gated(layer.mlp, _normalise(layer.post_attention_layernorm, hidden)))
    return out


def _heads(attention: nn.Module, hidden: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    split = lambda x: x.unflatten(2, (-1, HEAD)).transpose(1, 2)  # noqa: E731
    query, key, value = (split(project(hidden)) for project in (attention.q_proj, attention.k_proj, attention.v_proj))
    cosine, sine = (part.to(query.dtype)[:, None] for part in turn)
    return query * cosine + _half_turn(query) * sine, key * cosine + _half_turn(key) * sine, value


def _vision_attention(attention: nn.Module, hidden: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    query, key, value = attention.qkv(hidden).unflatten(2, (3, -1, HEAD)).permute(2, 0, 3, 1, 4).unbind(0)
    query, key = (x * cosine.to(x.dtype) + _half_turn(x) * sine.to(x.dtype) for x in (query, key))
    seen = F.scaled_dot_product_attention(query, key, value)
    return attention.proj(seen.transpose(1, 2).flatten(2))


def _vision_rotation(tower: nn.Module, device: torch.device) -> tuple[Tensor, Tensor]:
    place = torch.arange(GRID, device=device)
    blocks = GRID // MERGE
    rows = place[:, None].expand(GRID, GRID).reshape(blocks, MERGE, blocks, MERGE).transpose(1, 2).reshape(-1)
    columns = place[None].expand(GRID, GRID).reshape(blocks, MERGE, blocks, MERGE).transpose(1, 2).reshape(-1)
    return tower.rotary_pos_emb(tower.patch_embed.proj.weight, torch.stack([rows, columns], 1))


def _mask(prefix: int, length: int, device: torch.device) -> Tensor:
    causal = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    return torch.cat([torch.ones(length, prefix, dtype=torch.bool, device=device), causal], 1)


def _half_turn(x: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat([-second, first], -1)


def _normalise(norm: nn.Module, hidden: Tensor) -> Tensor:
    return F.rms_norm(hidden.float(), norm.weight.shape, norm.weight, norm.variance_epsilon)


def _gated(mlp: nn.Module, hidden: Tensor) -> Tensor:
    return mlp.down_proj(F.silu(mlp.gate_proj(hidden)) * mlp.up_proj(hidden))
