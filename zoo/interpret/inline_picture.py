"""Pictures that a page or a notebook holds in itself."""

from __future__ import annotations

import base64
import html


def inline_picture(words: str, png: bytes) -> str:
    """An element of HTML that shows a PNG, with words for those who do not see it."""
    return f'<img alt="{html.escape(words)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
