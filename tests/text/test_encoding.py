"""Text files are read in the encodings that editors and shells write."""

from __future__ import annotations

import pytest

from lychee_rerank.text.encoding import decode_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_decoded_without_its_mark(encoding: str) -> None:
    assert decode_text("红苹果\r\na mug".encode(encoding)) == "红苹果\r\na mug"


def test_the_mark_tells_the_order_of_bytes() -> None:
    assert decode_text("\ufeff红".encode("utf-16-be")) == decode_text("\ufeff红".encode("utf-16-le")) == "红"


@pytest.mark.parametrize("data", ["红苹果".encode("gb18030"), b"\xff\xfea", b"\x89PNG"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        decode_text(data)
