"""Rank the pictures of a folder: python examples/folder.py "a red apple" my/pictures"""

import sys
from pathlib import Path

from lychee_rerank import Reranker


def main(query: str, folder: Path) -> None:
    reranker = Reranker.from_pretrained("auto")
    images = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg", ".webp"))
    for result in reranker.rank(query, images):
        print(result.rank, f"{result.score:.1f}", result.name, result.error or "", sep="\t")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
