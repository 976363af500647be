"""``gnnlab bench SUBJECT``: measurements of one run."""

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
    "models": "paths, path, edge and cooperative networks, and asynchronous runs against the usual way",
    "subgraph": "subgraph networks, their pairs and exact refinements against the usual way",
    "analysis": "Jacobians, ceilings and topology of many graphs against the usual way, graph by graph",
    "gpu": "kernels and epochs on a CUDA device: right, and how fast",
    "expressiveness": "graphs networks tell apart: with random weights, exactly, and trained",
}


def main(argv: list[str]) -> int:
    """Hand over to ``gnnlab.benchmark.speed.<subject>``."""
    present = {name: text for name, text in _SUBJECTS.items() if name in _WITH_ANALYSIS or _measured(name)}
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: gnnlab bench SUBJECT [options]\n")
        print("\n".join(f"  {name:<14} {text}" for name, text in present.items()))
        return 0
    if argv[0] not in present:
        raise ConfigError(
            f"nothing to measure called '{argv[0]}'", where="gnnlab bench", hint=nearest(argv[0], present)
        )
    run = _WITH_ANALYSIS.get(argv[0]) or import_module(f"gnnlab.benchmark.speed.{argv[0]}").main
    return int(run(argv[1:]) or 0)


def _measured(name: str) -> bool:
    return find_spec(f"gnnlab.benchmark.speed.{name}") is not None


def _models(argv: list[str]) -> int:
    """Benchmark and analysis do not know each other, so the one is handed what it measures of the other."""
    from gnnlab.analysis import RandomSchedule
    from gnnlab.analysis._processes import process_of
    from gnnlab.benchmark.speed.models import Simulation, main

    return main(argv, Simulation(process_of, RandomSchedule))


def _analysis(argv: list[str]) -> int:
    from gnnlab.analysis import ceilings, sensitivity, topology_profile
    from gnnlab.benchmark.speed.analysis import Measures, main

    return main(argv, Measures(sensitivity, ceilings, topology_profile))


def _expressiveness(argv: list[str]) -> int:
    from gnnlab.cli.expressiveness import main

    return main(argv)


_WITH_ANALYSIS = {"models": _models, "analysis": _analysis, "expressiveness": _expressiveness}
