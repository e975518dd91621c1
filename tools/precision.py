"""How near scores in BF16 and FP16 come to float32, with Lychee Rerank and with plain transformers:

    python -m tools.precision demo                               (or a checkpoint's folder)
    python -m tools.precision --size 7b --json precision.json    (random weights in the real shapes)

The reference is plain transformers (`benchmark/baseline.py`) with the same BF16 weights and every operation in float32.
Each weight is converted when it is used and freed again, so memory must hold the BF16 weights and the largest of them
in float32: 19 GB for 7B. The pictures are the demo's samples, then random ones; the queries are Chinese and English.

Random weights give nearly the same score to all pictures, so the rows of lm_head for yes and no are moved apart along a
direction that tells these pictures from each other (`spread_scores`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import typer
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from lychee_rerank.benchmark.baseline import TransformersBaseline
from lychee_rerank.benchmark.photos import random_photos
from lychee_rerank.benchmark.random_weights import build_random_model
from lychee_rerank.model.loading import load_model
from lychee_rerank.model.vlm import VisionLanguageModel
from lychee_rerank.reranker import Reranker, ScoringOptions
from lychee_rerank.weights.locate import DEMO_FOLDER, Checkpoint, find_checkpoint

QUERIES = ("一只猫", "红色的气球", "something to eat", "a yellow bus")
DTYPES = ("float32", "bfloat16", "float16")  # FP16 last: it loses bits of BF16 weights
_LOG_ODDS_DEVIATION = 2.5  # of spread scores; 95% of them lie between 0.07 and 9.93
_CHECKPOINT = Checkpoint(DEMO_FOLDER, "", "argument")  # what a Reranker calls itself; it loads nothing
_HALF_TYPES = (torch.bfloat16, torch.float16)
# Attributes and rows of a tensor are the same in any type, and a whole vocabulary takes long to convert.
_UNCONVERTED = {"__get__", "__getitem__", "embedding"}
# What may overflow in FP16. Norms and attention compute inside in float32 in any type.
_TRACKED = {"linear", "add", "__add__", "mul", "__mul__"}

Scores = np.ndarray  # (queries, pictures), from 0 to 10; NaN where the model's answer is not a number
Size = Literal["7b", "3b", "tiny"]


@dataclass(frozen=True)
class Agreement:
    """Scores of one implementation in one type, held against the reference, in points of the scale from 0 to 10.

    mean, largest: absolute difference. rank_agreement: Spearman's rho of the pictures' order, mean over the queries.
    failed: scores that are not a number, which count in nothing else.
    """

    implementation: str
    dtype: str
    mean: float
    largest: float
    rank_agreement: float
    lowest: float
    highest: float
    deviation: float
    failed: int


class Float32Arithmetic(TorchFunctionMode):
    """Within it, operations get BF16 and FP16 arguments in float32, so they compute and return float32.

    largest: the largest absolute value of sums, products and matrix products so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.largest: torch.Tensor | float = 0.0

    def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.__name__ in _UNCONVERTED:
            return function(*args, **(kwargs or {}))
        result = function(*tree_map(_to_float32, args), **tree_map(_to_float32, kwargs or {}))
        if function.__name__ in _TRACKED and result.dtype == torch.float32 and result.numel():
            self.largest = torch.maximum(result.abs().amax(), torch.as_tensor(self.largest, device=result.device))
        return result


def _to_float32(value: Any) -> Any:
    """A tensor, or a type that is asked for."""
    if isinstance(value, torch.Tensor):
        return value.float() if value.dtype in _HALF_TYPES else value
    return torch.float32 if isinstance(value, torch.dtype) and value in _HALF_TYPES else value


def precision(
    model: Annotated[str, typer.Argument(help="demo, or a checkpoint's folder.")] = "demo",
    size: Annotated[Size | None, typer.Option(help="Random weights in these shapes instead.")] = None,
    pictures: Annotated[int, typer.Option(min=2, help=f"Each is scored for {len(QUERIES)} queries.")] = 12,
    dtypes: Annotated[str, typer.Option(help=f"Some of {', '.join(DTYPES)}.")] = "bfloat16,float16",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    output: Annotated[Path | None, typer.Option("--json", help="Write the numbers as JSON.")] = None,
) -> None:
    """Print one table: implementation, type, and how far its scores are from float32."""
    if unknown := set(dtypes.split(",")) - set(DTYPES):
        raise typer.BadParameter(f"no such type: {', '.join(sorted(unknown))}", param_hint="--dtypes")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    files = sample_files(pictures)
    loaded = _random_model(size, device, files) if size else _load(find_checkpoint(model).path, device)
    reference, largest_value = reference_scores(loaded, files)
    print(f"{size or model} on {_title(device)}: {reference.size} scores from 0 to 10, held against float32")
    print("| implementation | type | mean difference | largest | rank agreement | scores | deviation | not a number |")
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    for row in compare(loaded, files, reference, [dtype for dtype in DTYPES if dtype in dtypes.split(",")]):
        rows.append(row)
        print(_line(row), flush=True)
    print(f"Largest value in float32: {largest_value:.0f}; FP16 holds {torch.finfo(torch.float16).max:.0f}.")
    if output:
        numbers = {"model": size or model, "device": _title(device), "torch": torch.__version__}
        numbers |= {"scores": reference.size, "largest_value": largest_value, "rows": [asdict(row) for row in rows]}
        output.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


def sample_files(count: int) -> list[bytes]:
    """The demo's samples, then random pictures."""
    samples = sorted((DEMO_FOLDER.parent / "samples").glob("*.jpg"))
    return list(islice(chain((file.read_bytes() for file in samples), random_photos(count)), count))


def reference_scores(loaded: VisionLanguageModel, files: list[bytes]) -> tuple[Scores, float]:
    """Of plain transformers in float32, and the largest value on the way to them."""
    torch.backends.cudnn.allow_tf32 = False  # 10 bits of a factor instead of 23, in convolutions
    with Float32Arithmetic() as arithmetic:
        return baseline_scores(loaded, files), float(arithmetic.largest)


def compare(
    loaded: VisionLanguageModel, files: list[bytes], reference: Scores, dtypes: Sequence[str]
) -> Iterator[Agreement]:
    """The reference itself, then both implementations in each type, in the order of DTYPES."""
    yield agreement("transformers", "reference", reference, reference)
    for dtype in dtypes:
        model = convert(loaded, torch.bfloat16 if dtype == "float32" else getattr(torch, dtype))
        if dtype != "float32":
            model.enable_cuda_graphs()  # as the product runs on a GPU; recorded in BF16, they would be replayed in BF16
        with Float32Arithmetic() if dtype == "float32" else nullcontext():
            yield agreement("transformers", dtype, baseline_scores(model, files), reference)
            yield agreement("lychee_rerank", dtype, engine_scores(model, files), reference)


def agreement(implementation: str, dtype: str, scores: Scores, reference: Scores) -> Agreement:
    """Both (queries, pictures)."""
    valid = np.isfinite(scores)
    if not valid.any():
        return Agreement(implementation, dtype, *[math.nan] * 6, failed=scores.size)
    difference = np.abs(scores - reference)[valid]
    rhos = [spearman(row[mask], other[mask]) for row, other, mask in zip(scores, reference, valid, strict=True)]
    spread = scores[valid]
    return Agreement(
        implementation,
        dtype,
        float(difference.mean()),
        float(difference.max()),
        float(np.mean(rhos)),
        float(spread.min()),
        float(spread.max()),
        float(spread.std()),
        int((~valid).sum()),
    )


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Rank correlation of (n,) and (n,); equal values share the mean of their ranks. NaN where it is not defined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Twice the rank of each value, which is as good for a correlation."""
    return (values[:, None] > values).sum(1) + (values[:, None] >= values).sum(1)


def baseline_scores(loaded: VisionLanguageModel, files: list[bytes]) -> Scores:
    with TransformersBaseline(loaded, "yes_no", new_tokens=1) as baseline:
        return np.array([[10 * float(score) for score in baseline.stream(query, files)] for query in QUERIES])


def engine_scores(loaded: VisionLanguageModel, files: list[bytes]) -> Scores:
    reranker = Reranker(loaded, checkpoint=_CHECKPOINT, options=ScoringOptions("yes_no"))
    results = [list(reranker.stream(query, files)) for query in QUERIES]
    return np.array([[math.nan if result.problem else result.score for result in row] for row in results])


def convert(loaded: VisionLanguageModel, dtype: torch.dtype) -> VisionLanguageModel:
    """The same model, converted in place. Only its weights: rotary frequencies stay float32, as when it is loaded."""
    for weight in loaded.model.parameters():
        weight.data = weight.data.to(dtype)
    return VisionLanguageModel(loaded.model, loaded.tokenizer, loaded.image_processor, loaded.chat_template)


def spread_scores(loaded: VisionLanguageModel, files: list[bytes]) -> None:
    """Give lm_head new rows for yes and no, so that log-odds have mean 0 and deviation 2.5 over these pictures.

    The rows keep their mean. Their difference keeps its direction, except for what the hidden states of all pictures
    share. lm_head no longer shares its weights with the embeddings.
    """
    hidden: list[torch.Tensor] = []
    hook = loaded.model.model.language_model.norm.register_forward_hook(
        lambda _module, _inputs, output: hidden.append(output[0, -1].double())
    )
    baseline_scores(loaded, files)
    hook.remove()
    states = torch.stack(hidden)  # (scores, hidden)
    head = loaded.model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)
    ids = [loaded.tokenizer.encode(word, add_special_tokens=False)[0] for word in ("yes", "no")]
    yes, no = head.weight[ids].double()
    common = states.mean(0) / states.mean(0).norm()
    direction = (yes - no) - ((yes - no) @ common) * common
    direction *= _LOG_ODDS_DEVIATION / (states @ direction).std()
    head.weight[ids] = torch.stack([(yes + no + direction) / 2, (yes + no - direction) / 2]).to(head.weight.dtype)


def _load(folder: Path, device: str) -> VisionLanguageModel:
    return load_model(folder, dtype="bfloat16", device_map=device)[0]


def _random_model(size: str, device: str, files: list[bytes]) -> VisionLanguageModel:
    loaded = build_random_model(size)
    loaded.model.to(device)
    loaded = convert(loaded, torch.bfloat16)
    spread_scores(loaded, files)
    return loaded


def _title(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def _line(row: Agreement) -> str:
    return (
        f"| {row.implementation} | {row.dtype} | {row.mean:.4f} | {row.largest:.4f} | {row.rank_agreement:.5f} "
        f"| {row.lowest:.3f} to {row.highest:.3f} | {row.deviation:.3f} | {row.failed} |"
    )


if __name__ == "__main__":
    typer.run(precision)
