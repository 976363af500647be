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


# What a notebook's text is not made of, and the formulas in the rest of it.
_NO_TEXT = re.compile(r"(<(pre|code|script|style|svg)\b.*?</\2>|<[^>]+>)", re.DOTALL)
_DOLLARS = re.compile(r"\$\$(.+?)\$\$|\$(?=\S)([^$]+?)(?<=\S)\$", re.DOTALL)


def on_page_content(content: str, *, page: Any = None, **kwargs: Any) -> str:
    if page is not None and page.file.src_uri.endswith(".ipynb"):
        parts = _NO_TEXT.split(content)
        parts[::3] = [_DOLLARS.sub(_between_dollars, part) for part in parts[::3]]
        del parts[2::3]  # the names of elements, which the pattern needs to find their ends
        return "".join(parts)
    return _FORMULA.sub(lambda match: mathml(html.unescape(match[2]).strip()), content)


def _between_dollars(match: re.Match[str]) -> str:
    formula = rf"\[{match[1]}\]" if match[1] else rf"\({match[2]}\)"
    return mathml(html.unescape(formula))


@cache
def mathml(formula: str) -> str:
    r"""``\(...\)`` or ``\[...\]`` as a MathML element; what cannot be converted ends the build."""
    display = formula.startswith(r"\[")
    element = _CONVERTER.convert_with_local_state(formula[2:-2].strip(), displaystyle=display)
    return f'<div class="formula">{element}</div>' if display else element
