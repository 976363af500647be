"""``gnnlab bench models``: paths, path networks, edge networks, cooperative networks and asynchronous runs against the
usual way to compute the same."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from gnnlab.benchmark.speed import _asynchrony, _cooperative, _edge_networks, _path_networks, _paths
from gnnlab.benchmark.speed._asynchrony import Simulation
from gnnlab.benchmark.speed._options import Options, one_of, positive
from gnnlab.benchmark.speed.measure import Comparison, show, write

__all__ = ["Simulation", "main"]

_PARTS: dict[str, Callable[[argparse.Namespace], list[Comparison]]] = {
    "paths": _paths.rows,
    "path-networks": _path_networks.rows,
    "edge-networks": _edge_networks.rows,
    "cooperative": _cooperative.rows,
}


def main(argv: list[str], simulation: Simulation) -> int:
    """Print (and with ``--json`` save) the ratios; returns 0."""
    known = {**_PARTS, "asynchrony": partial(_asynchrony.rows, simulation=simulation)}
    parser = Options(prog="gnnlab bench models", description=__doc__)
    parts = one_of("part", known)
    parser.add_argument("--part", nargs="+", type=parts, default=list(known), help="what to measure (default: all)")
    parser.add_argument("--rounds", type=positive, default=5, help="rounds per comparison (median is reported)")
    parser.add_argument("--graphs", type=positive, help="graphs per workload, instead of those of the goals")
    parser.add_argument("--json", type=Path, help="write the figures, hardware and versions to this file")
    options = parser.parse_args(argv)

    rows = [row for part in dict.fromkeys(options.part) for row in known[part](options)]
    show(f"gnnlab bench models ({torch.get_num_threads()} threads)", rows)
    if options.json:
        write(options.json, rows, shlex.join(["gnnlab", "bench", "models", *argv]))
    return 0
