"""The real page over FakeReranker, as a script for Streamlit."""

from lychee_rerank.ui import run
from support.fake_reranker import load_fake_reranker

run(load_fake_reranker)
