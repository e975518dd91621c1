"""Image features kept in host memory, so that a second query over the same images runs no vision tower."""

from __future__ import annotations

from collections.abc import Sequence

from cachetools import LRUCache

from lychee_rerank.devices.memory import GIB
from lychee_rerank.model.near_duplicates import group_near_duplicates
from lychee_rerank.model.vision_tower import ImageFeatures


class ImageFeatureCache(LRUCache[str, ImageFeatures]):
    """Features by image key (`LoadedImage.key`), least recently used out once they take more than `budget` bytes.

    One image of 384 x 384 takes 1.4 MB with a Qwen2.5-VL-7B, so 1 GiB holds some 700; 4.7 MB with a Qwen3-VL-8B.
    """

    def __init__(self, budget: int = GIB) -> None:
        super().__init__(budget, getsizeof=lambda features: features.nbytes)
        self._grouped: tuple[str, ...] = ()  # the keys that were grouped last
        self._groups: tuple[tuple[int, ...], ...] = ()

    def __setitem__(self, key: str, features: ImageFeatures) -> None:
        """Cache a copy in host memory; features larger than the whole budget are not cached."""
        if features.nbytes <= self.maxsize:
            super().__setitem__(key, features.to("cpu"))

    def near_duplicates(self, keys: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """Groups of images that are nearly the same, as positions in `keys`; see `group_near_duplicates`."""
        positions = [position for position, key in enumerate(keys) if key in self]
        cached = tuple(keys[position] for position in positions)
        if cached != self._grouped:  # else they are those of the last query
            self._grouped, self._groups = cached, group_near_duplicates([self[key] for key in cached])
        return tuple(tuple(positions[member] for member in group) for group in self._groups)
