"""Score pictures from any source, such as a ZIP, one at a time: python examples/iterator.py "白色的猫" pictures.zip

`stream` takes pictures only a few ahead and keeps none of them, so the source may be endless.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

from lychee_rerank import LoadedImage, Reranker, load_image


def read_images(archive: ZipFile) -> Iterator[LoadedImage]:
    for name in archive.namelist():
        yield load_image(archive.read(name), name=name)


def main(query: str, path: Path) -> None:
    reranker = Reranker.from_pretrained("auto")
    with ZipFile(path) as zip_file:
        for result in reranker.stream(query, read_images(zip_file)):
            print(f"{result.score:.1f}", result.name, result.error or "", sep="\t", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
