"""What the reference documents: the public names of every room, and the page each of them is on."""

from __future__ import annotations

import ast
from dataclasses import dataclass

import griffe

__all__ = ["ROOMS", "Room", "documented", "inside", "load_package", "open_lazy_names", "public_names"]


@dataclass(frozen=True)
class Room:
    """A package or module of the reference.

    Args:
        path: Dotted path.
        title: Of its page.
        pages: Whether every module has a page of its own; else one page shows all.
    """

    path: str
    title: str
    pages: bool = True


ROOMS = (
    Room("gnnlab.data", "Data"),
    Room("gnnlab.data.readers", "Readers", pages=False),
    Room("gnnlab.data.generators", "Generators", pages=False),
    Room("gnnlab.graph", "Graph mathematics"),
    Room("gnnlab.transform", "Transform", pages=False),
    Room("gnnlab.rewiring", "Rewiring"),
    Room("gnnlab.encodings", "Encodings"),
    Room("gnnlab.lifting", "Lifting"),
    Room("gnnlab.ops", "Kernels"),
    Room("gnnlab.nn", "Networks"),
    Room("gnnlab.metrics", "Metrics", pages=False),
    Room("gnnlab.training", "Training"),
    Room("gnnlab.benchmark", "Benchmark", pages=False),
    Room("gnnlab.analysis", "Analysis"),
    Room("gnnlab.analysis.auditing", "Audit", pages=False),
    Room("gnnlab.testing", "Testing", pages=False),
    Room("gnnlab.testing.strategies", "Strategies", pages=False),
    Room("gnnlab.typing", "Attribute contract", pages=False),
    Room("gnnlab.errors", "Errors", pages=False),
    Room("gnnlab.drawing", "Drawing", pages=False),
    Room("gnnlab.drawing_graphs", "Drawing graphs", pages=False),
    Room("gnnlab.pages", "Tables and pages", pages=False),
)


def load_package() -> griffe.Module:
    """The package as its source says, without importing it."""
    package = griffe.load("gnnlab", resolve_aliases=True)
    open_lazy_names(package)
    return package


def open_lazy_names(package: griffe.Module) -> None:
    """Names a module looks up on first use (``_HOME``: name -> module) become members of it."""
    for module in package.modules.values():
        if "_HOME" in module.members:
            for name, home in ast.literal_eval(str(module["_HOME"].value)).items():
                if name not in module.members:
                    module.set_member(name, griffe.Alias(name, f"{home}.{name}", parent=module))


def public_names(package: griffe.Module, room: Room) -> dict[str, griffe.Object]:
    """Public path -> what is there, in alphabetical order: what the room exports, or else what its modules do."""
    module = package[room.path.removeprefix("gnnlab.")]
    if module.exports:
        sources = [module]
    else:
        sources = [part for name, part in sorted(module.modules.items()) if not name.startswith("_")]
    found: dict[str, griffe.Object] = {}
    for source in sources:
        for name in sorted(map(str, source.exports or ()), key=str.lower):
            thing = source.members.get(name)
            if thing is None:
                continue
            try:
                thing = thing.final_target if thing.is_alias else thing
            except griffe.AliasResolutionError:
                # Names that are unpacked from a tuple are no objects to griffe.
                continue
            found[f"{source.path}.{name}"] = inside(thing)
    return found


def inside(thing: griffe.Object) -> griffe.Object:
    """The function or class of a module that is named after it: what an import of that name gives."""
    while thing.is_module and thing.name in thing.members:
        member = thing.members[thing.name]
        thing = member.final_target if member.is_alias else member
    return thing


def documented(package: griffe.Module) -> dict[str, str]:
    """Canonical path -> identifier under which the reference shows it; the first room wins."""
    open_lazy_names(package)
    homes = {room.path: room.path for room in ROOMS}
    for room in ROOMS:
        for path, thing in public_names(package, room).items():
            # A function that hides a room of the same name is shown in that room.
            if path not in homes:
                homes.setdefault(thing.canonical_path, path)
    return homes
