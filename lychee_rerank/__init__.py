"""Rank a folder of pictures by one sentence. Importing this imports neither torch nor Streamlit.

from lychee_rerank import Reranker

ranking = Reranker.from_pretrained().rank("海边的白色连衣裙", ["a.jpg", "b.png"])
"""

from lychee_rerank.errors import LycheeError, PictureProblem
from lychee_rerank.images.load import LoadedImage, load_image
from lychee_rerank.reranker import Reranker
from lychee_rerank.results import ConditionScore, ImageScore
from lychee_rerank.text.query import Query, normalize_query
from lychee_rerank.text.score_parser import ParsedScore, parse_score
from lychee_rerank.weights.locate import Checkpoint, find_checkpoint

__all__ = [
    "Checkpoint",
    "ConditionScore",
    "ImageScore",
    "LoadedImage",
    "LycheeError",
    "ParsedScore",
    "PictureProblem",
    "Query",
    "Reranker",
    "find_checkpoint",
    "load_image",
    "normalize_query",
    "parse_score",
]
