"""MkDocs hook: formulas become MathML when the site is built, so that no page needs a script for them."""

from __future__ import annotations

import html
import re
from functools import cache
from typing import Any

from math_core import LatexToMathML

__all__ = ["mathml", "on_page_content"]

_FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)
_CONVERTER = LatexToMathML()


def on_page_content(content: str, **kwargs: Any) -> str:
    return _FORMULA.sub(lambda match: mathml(html.unescape(match[2]).strip()), content)


@cache
def mathml(formula: str) -> str:
    r"""``\(...\)`` or ``\[...\]`` as a MathML element; what cannot be converted ends the build."""
    display = formula.startswith(r"\[")
    element = _CONVERTER.convert_with_local_state(formula[2:-2].strip(), displaystyle=display)
    return f'<div class="formula">{element}</div>' if display else element
