"""Rank the same pictures for several queries: python examples/many_queries.py my/pictures "a red apple" "白色的猫"

Pictures are decoded once, and from the second query on the model reuses their image features.
"""

import sys
from pathlib import Path

from lychee_rerank import Reranker, load_image


def main(folder: Path, queries: list[str]) -> None:
    reranker = Reranker.from_pretrained("auto")
    images = [load_image(path) for path in sorted(folder.glob("*.png"))]
    for query in queries:
        best = reranker.rank(query, images)[0]
        print(query, f"{best.score:.1f}", best.name, sep="\t")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
