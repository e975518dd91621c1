"""Score pictures from anywhere, one at a time, here out of a ZIP: python examples/iterator.py "白色的猫" pictures.zip

`stream` takes the next picture only when it needs it and forgets it afterwards, so the source may be endless.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

from lychee_rerank import LoadedImage, Reranker, load_image


def pictures_in(archive: ZipFile) -> Iterator[LoadedImage]:
    for name in archive.namelist():
        yield load_image(archive.read(name), name=name)


def main(query: str, archive: Path) -> None:
    reranker = Reranker.from_pretrained("auto")
    with ZipFile(archive) as opened:
        for result in reranker.stream(query, pictures_in(opened)):
            print(f"{result.score:.1f}", result.name, result.error or "", sep="\t", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
