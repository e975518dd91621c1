"""The benchmark's numbers become bars, peers among them."""

from __future__ import annotations

from dataclasses import asdict

from support.benchmark_results import RESULT
from tools.plot_bench import chart


def test_every_implementation_has_bars_and_one_with_other_scores_says_so() -> None:
    values = chart(asdict(RESULT)).to_dict()["data"]["values"]
    assert [row["implementation"] for row in values if row["query"] == "first picture"] == [
        "lychee",
        "transformers",
        "sentence-transformers",
        "sentence-transformers, 8 at once",
        "vllm, 8 at once (scores differ by 0.42)",
        "lychee",
        "transformers",
    ]
    assert {"method": "yes_no", "implementation": "lychee", "query": "second query", "ms": 2.5} in values
