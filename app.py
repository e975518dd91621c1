"""`streamlit run app.py`: the page."""

from lychee_rerank.ui import run

run()
