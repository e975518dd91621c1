"""The demo checkpoint's network: a small `Qwen2_5_VLForConditionalGeneration`, and a batched forward over its own
weights for training.

transformers' forward packs images into one sequence and attends image by image, which is slow in training.
`vision_forward` and `decoder_forward` compute the same numbers for a whole batch of images of one size;
`tests/tools/demo/test_network.py` compares them with transformers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

PATCH, MERGE, EDGE = 14, 2, 112
GRID = EDGE // PATCH  # patches a side
SIDE = GRID // MERGE  # image tokens a side
IMAGE_TOKENS = SIDE**2
HEAD_DIM = 64
IMAGE_TOKEN_NORM = 14.0  # about the norm that training arrives at
MATCH_LOGIT = 12.0  # attention logit of a token for a word like itself, above any other
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


def build_network(vocabulary: dict[str, int], *, seed: int = 0) -> Qwen2_5_VLForConditionalGeneration:
    """An untrained network whose language layers attend from each token to similar ones (docs/demo.md)."""
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(_config(vocabulary)).float()
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and "embed_tokens" not in name and "lm_head" not in name:
            gain = 0.3 if "down_proj" in name or ".proj." in name else 1.0
            nn.init.normal_(weight, std=weight.shape[1] ** -0.5 * gain)
    for layer in model.model.language_model.layers:
        _init_similarity_attention(layer.self_attn)
    return model


def _config(vocabulary: dict[str, int]) -> Qwen2_5_VLConfig:
    return Qwen2_5_VLConfig(
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
            "num_heads": 192 // HEAD_DIM,
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


@torch.no_grad()
def _init_similarity_attention(attention: nn.Module) -> None:
    """Starts query and key projections equal, and value and output projections as transposes of each other."""
    heads, hidden = attention.q_proj.out_features // HEAD_DIM, attention.q_proj.in_features
    groups = heads * HEAD_DIM // attention.k_proj.out_features
    keys = (
        torch.randn(attention.k_proj.out_features, hidden) * hidden**-0.5 * 0.64
    )  # soft: no token attends to itself alone
    values = torch.randn(attention.v_proj.out_features, hidden) * hidden**-0.5
    per_head = lambda rows: rows.view(-1, HEAD_DIM, hidden).repeat_interleave(groups, 0).reshape(-1, hidden)  # noqa: E731
    attention.k_proj.weight.copy_(keys)
    attention.q_proj.weight.copy_(per_head(keys))
    attention.v_proj.weight.copy_(values)
    attention.o_proj.weight.copy_(per_head(values).T * 0.5)


@torch.no_grad()
def init_matching_attention(model: Qwen2_5_VLForConditionalGeneration, names: Tensor) -> None:
    """Starts the first two layers so that image tokens attend to words like them in the text before. From there,
    training learns to compare within minutes; it did not without (docs/demo.md).

    names: (n, hidden) embeddings. Queries and keys become the same projection onto the principal components of
    `names`, in those dimensions of a head that rotary positions turn slowly. A `mark` in image tokens, the direction
    that words use least, lowers their own keys, so that they attend to words instead of each other.
    """
    language = model.model.language_model
    directions = torch.linalg.svd(names - names.mean(0), full_matrices=False).Vh
    mark = torch.linalg.svd(language.embed_tokens.weight, full_matrices=False).Vh[-1]
    bias = model.model.visual.merger.mlp[-1].bias
    bias += 0.5 * IMAGE_TOKEN_NORM * mark - (bias @ mark) * mark
    slow = torch.tensor([*range(11, 31), *range(43, 63)])
    norm = language.embed_tokens.weight.shape[1] ** 0.5  # of a vector after RMSNorm
    offset = 0
    for layer in language.layers[:2]:
        attention = layer.self_attn
        groups, heads = (part.out_features // HEAD_DIM for part in (attention.k_proj, attention.q_proj))
        attention.q_proj.weight.zero_()
        attention.k_proj.weight.zero_()
        for group in range(groups):
            components = directions[offset : offset + len(slow)]
            offset += len(slow)
            explained = (names @ components.T).norm(dim=1).mean() / names.norm(dim=1).mean()
            projection = components / (norm * explained) * (HEAD_DIM**0.5 * MATCH_LOGIT) ** 0.5
            attention.k_proj.weight[HEAD_DIM * group + slow] = projection
            attention.k_proj.weight[HEAD_DIM * group + 31] = mark
            for head in range(group * heads // groups, (group + 1) * heads // groups):
                attention.q_proj.weight[HEAD_DIM * head + slow] = projection
                attention.q_proj.bias[HEAD_DIM * head + 31] = -16.0


def image_token_mark(model: Qwen2_5_VLForConditionalGeneration) -> Tensor:
    """(hidden,): the direction of the `mark` of `init_matching_attention`, as training has left it."""
    return F.normalize(model.model.language_model.layers[0].self_attn.k_proj.weight[31].detach().clone(), dim=0)


@torch.no_grad()
def init_patch_embedding(model: Qwen2_5_VLForConditionalGeneration, images: Tensor) -> None:
    """Starts the patch embedding as the whitened principal components of the patches of `images`, instead of noise."""
    projection = model.model.visual.patch_embed.proj.weight
    patches = to_patches(images).flatten(0, 1)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    strongest = slice(-projection.shape[0], None)
    whitened = vectors[:, strongest] / (values[strongest] + 1e-3 * values[-1]).sqrt()
    frame = whitened.T.reshape(-1, 3, 1, PATCH, PATCH) / 2  # both frames of a still image add up
    projection.copy_(frame.expand(-1, -1, 2, -1, -1))


def to_patches(images: Tensor) -> Tensor:
    """(batch, 3, 112, 112) normalized images -> (batch, 64, 588) patches in the processor's order: 2 x 2 blocks
    together.
    """
    batch = images.shape[0]
    blocks = GRID // MERGE
    tiles = images.view(batch, 3, blocks, MERGE, PATCH, blocks, MERGE, PATCH)
    return tiles.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(batch, GRID * GRID, 3 * PATCH * PATCH)


def vision_forward(model: Qwen2_5_VLForConditionalGeneration, images: Tensor) -> Tensor:
    """(batch, 3, 112, 112) normalized images -> (batch, 16, hidden) image tokens."""
    tower = model.model.visual
    weight = tower.patch_embed.proj.weight.sum(2).flatten(1)  # both frames of a still image are the same
    hidden = F.linear(to_patches(images), weight)
    cosine, sine = _vision_rope(tower, images.device)
    for block in tower.blocks:
        hidden = hidden + _vision_attention(block.attn, _rms_norm(block.norm1, hidden), cosine, sine)
        hidden = hidden + _swiglu(block.mlp, _rms_norm(block.norm2, hidden))
    merged = _rms_norm(tower.merger.ln_q, hidden).reshape(len(images), IMAGE_TOKENS, -1)
    return tower.merger.mlp(merged)


def decoder_forward(
    model: Qwen2_5_VLForConditionalGeneration, prefix: Tensor, rows: Tensor, positions: Tensor
) -> Tensor:
    """(batch, L, hidden) last hidden states of `rows` after a `prefix` that all share and that is computed once.

    prefix: (P,) token ids. rows: (batch, L, hidden) embeddings. positions: (3, batch, L), from the prefix's start.
    """
    language = model.model.language_model
    shared = language.embed_tokens(prefix)[None]
    shared_positions = torch.arange(len(prefix), device=rows.device).expand(3, 1, -1)
    shared_rope, rope = language.rotary_emb(shared, shared_positions), language.rotary_emb(rows, positions)
    mask = _attention_mask(len(prefix), rows.shape[1], rows.device)
    for layer in language.layers:
        shared, rows = _decoder_layer(layer, shared, rows, shared_rope, rope, mask)
    return _rms_norm(language.norm, rows)


def _decoder_layer(layer, shared, rows, shared_rope, rope, mask):  # noqa: ANN001, ANN202
    """The layer's output for the `shared` prefix (1, P, hidden) and for `rows` (batch, L, hidden) after it."""
    attention = layer.self_attn
    shared_query, shared_key, shared_value = _project_heads(
        attention, _rms_norm(layer.input_layernorm, shared), shared_rope
    )
    query, key, value = _project_heads(attention, _rms_norm(layer.input_layernorm, rows), rope)
    shared_out = F.scaled_dot_product_attention(shared_query, shared_key, shared_value, is_causal=True, enable_gqa=True)
    batch = len(rows)
    keys = torch.cat([shared_key.expand(batch, -1, -1, -1), key], 2)
    values = torch.cat([shared_value.expand(batch, -1, -1, -1), value], 2)
    rows_out = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, enable_gqa=True)
    out = []
    for hidden, attended in ((shared, shared_out), (rows, rows_out)):
        hidden = hidden + attention.o_proj(attended.transpose(1, 2).flatten(2))
        out.append(hidden + _swiglu(layer.mlp, _rms_norm(layer.post_attention_layernorm, hidden)))
    return out


def _project_heads(attention: nn.Module, hidden: Tensor, rope: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    split = lambda x: x.unflatten(2, (-1, HEAD_DIM)).transpose(1, 2)  # noqa: E731
    query, key, value = (split(project(hidden)) for project in (attention.q_proj, attention.k_proj, attention.v_proj))
    cosine, sine = (part.to(query.dtype)[:, None] for part in rope)
    return query * cosine + _rotate_half(query) * sine, key * cosine + _rotate_half(key) * sine, value


def _vision_attention(attention: nn.Module, hidden: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    query, key, value = attention.qkv(hidden).unflatten(2, (3, -1, HEAD_DIM)).permute(2, 0, 3, 1, 4).unbind(0)
    query, key = (x * cosine.to(x.dtype) + _rotate_half(x) * sine.to(x.dtype) for x in (query, key))
    attended = F.scaled_dot_product_attention(query, key, value)
    return attention.proj(attended.transpose(1, 2).flatten(2))


def _vision_rope(tower: nn.Module, device: torch.device) -> tuple[Tensor, Tensor]:
    index = torch.arange(GRID, device=device)
    blocks = GRID // MERGE
    rows = index[:, None].expand(GRID, GRID).reshape(blocks, MERGE, blocks, MERGE).transpose(1, 2).reshape(-1)
    columns = index[None].expand(GRID, GRID).reshape(blocks, MERGE, blocks, MERGE).transpose(1, 2).reshape(-1)
    return tower.rotary_pos_emb(tower.patch_embed.proj.weight, torch.stack([rows, columns], 1))


def _attention_mask(prefix: int, length: int, device: torch.device) -> Tensor:
    causal = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    return torch.cat([torch.ones(length, prefix, dtype=torch.bool, device=device), causal], 1)


def _rotate_half(x: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat([-second, first], -1)


def _rms_norm(norm: nn.Module, hidden: Tensor) -> Tensor:
    return F.rms_norm(hidden.float(), norm.weight.shape, norm.weight, norm.variance_epsilon)


def _swiglu(mlp: nn.Module, hidden: Tensor) -> Tensor:
    return mlp.down_proj(F.silu(mlp.gate_proj(hidden)) * mlp.up_proj(hidden))
