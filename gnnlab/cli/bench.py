"""``gnnlab bench data|ops|train|rewiring|encodings|gpu``: measurements, printed as ratios of one run."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from gnnlab.errors import ConfigError, nearest

__all__ = ["main"]

_SUBJECTS = {
    "data": "batch assembly, loading, encodings",
    "ops": "aggregation kernels",
    "train": "training epochs",
    "rewiring": "rewirings of whole datasets against the authors' way, graph by graph",
    "encodings": "encodings of whole datasets against the usual way, graph by graph",
    "gpu": "kernels and epochs on a CUDA device: right, and how fast",
}


def main(argv: list[str]) -> int:
    """Hand over to ``gnnlab.benchmark.speed.<subject>``."""
    present = {name: text for name, text in _SUBJECTS.items() if find_spec(f"gnnlab.benchmark.speed.{name}")}
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: gnnlab bench SUBJECT [options]\n")
        print("\n".join(f"  {name:<9} {text}" for name, text in present.items()))
        return 0
    if argv[0] not in present:
        raise ConfigError(
            f"nothing to measure called '{argv[0]}'", where="gnnlab bench", hint=nearest(argv[0], present)
        )
    return int(import_module(f"gnnlab.benchmark.speed.{argv[0]}").main(argv[1:]) or 0)
