"""Griffe extension: docstrings of the house as Markdown, with links to what the reference shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import griffe

from _rooms import documented, inside  # isort: skip
from _rst import to_markdown  # isort: skip

__all__ = ["HouseDocstrings"]


class HouseDocstrings(griffe.Extension):
    """Rewrite every docstring once the package is loaded, when names can be looked up."""

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **kwargs: Any) -> None:
        if pkg.path != "gnnlab":
            return
        homes = documented(pkg)
        for thing in _everything(pkg):
            if thing.docstring is not None:
                thing.docstring.value = to_markdown(
                    thing.docstring.value, lambda target, thing=thing: _identifier(thing, target, homes, pkg)
                )


def _everything(thing: griffe.Object) -> Iterator[griffe.Object]:
    yield thing
    for member in thing.members.values():
        if not member.is_alias:
            yield from _everything(member)


def _identifier(thing: griffe.Object, target: str, homes: dict[str, str], pkg: griffe.Module) -> str | None:
    """Where the reference shows ``target``, as written in the docstring of ``thing``."""
    try:
        path = target if target.startswith("gnnlab") else thing.resolve(target)
        found = pkg if path == "gnnlab" else pkg[path.removeprefix("gnnlab.")]
        path = inside(found).canonical_path
    except (griffe.NameResolutionError, griffe.AliasResolutionError, KeyError, ValueError):
        return None
    if path in homes:
        return homes[path]
    owner, _, member = path.rpartition(".")
    if owner in homes and not found.is_module and found.docstring is not None and not member.startswith("_"):
        return f"{homes[owner]}.{member}"
    return None
