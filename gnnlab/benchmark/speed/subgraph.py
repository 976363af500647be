"""``gnnlab bench subgraph``: subgraph networks, their pairs and their exact refinements against the usual way."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path

import torch

from gnnlab.benchmark.speed import _subgraph_networks, _subgraph_store
from gnnlab.benchmark.speed._options import Options, one_of, positive
from gnnlab.benchmark.speed.measure import Comparison, show, write

__all__ = ["main"]

_PARTS: dict[str, Callable[[argparse.Namespace], list[Comparison]]] = {
    "step": _subgraph_networks.steps,
    "aggregations": _subgraph_networks.aggregations,
    "pairs": _subgraph_store.pairs,
    "refinements": _subgraph_store.refinements,
    "ego-networks": _subgraph_store.ego_networks,
}


def main(argv: list[str]) -> int:
    """Print (and with ``--json`` save) the ratios; returns 0."""
    parser = Options(prog="gnnlab bench subgraph", description=__doc__)
    parts = one_of("part", _PARTS)
    parser.add_argument("--part", nargs="+", type=parts, default=list(_PARTS), help="what to measure (default: all)")
    parser.add_argument("--rounds", type=positive, default=5, help="rounds per comparison (median is reported)")
    parser.add_argument("--graphs", type=positive, help="graphs (of BREC, pairs) per workload, instead of the goals'")
    parser.add_argument("--channels", type=positive, default=96, help="width of pair states")
    parser.add_argument("--layers", type=positive, default=6, help="layers of the network")
    parser.add_argument("--json", type=Path, help="write the figures, hardware and versions to this file")
    options = parser.parse_args(argv)

    rows = [row for part in dict.fromkeys(options.part) for row in _PARTS[part](options)]
    show(f"gnnlab bench subgraph ({torch.get_num_threads()} threads)", rows)
    if options.json:
        write(options.json, rows, shlex.join(["gnnlab", "bench", "subgraph", *argv]))
    return 0
