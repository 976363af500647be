"""``gnnlab bench data``: batch assembly, loading and encodings against PyG on the same graphs."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import AddLaplacianEigenvectorPE, AddRandomWalkPE

from gnnlab.benchmark.speed.measure import Comparison, compare, show, write
from gnnlab.data import GraphLoader, GraphStore, load_dataset
from gnnlab.encodings import LaplacianPE, RandomWalkPE
from gnnlab.errors import SourceError

__all__ = ["main"]

_BATCHES = {"peptides-func": 200, "zinc-12k": 128}
_LIKE = {"peptides-func": (4000, 151.0, 9, 3), "zinc-12k": (10_000, 23.0, 1, 1)}


def main(argv: list[str]) -> int:
    """Print (and with ``--json`` save) the ratios; returns 0."""
    parser = argparse.ArgumentParser(prog="gnnlab bench data", description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5, help="rounds per comparison (median is reported)")
    parser.add_argument("--graphs", type=int, default=1000, help="graphs for the encodings; 0 takes all")
    parser.add_argument("--json", type=Path, help="write the figures, hardware and versions to this file")
    options = parser.parse_args(argv)

    rows: list[Comparison] = []
    for name, batch_size in _BATCHES.items():
        store = _graphs(name)
        rows.append(_assembly(store, batch_size, options.rounds))
        if name == "peptides-func":
            rows += _encodings(store, options.graphs, options.rounds)
            if sys.platform == "linux":
                rows.append(_loading_memory(store))
    show(f"gnnlab bench data ({torch.get_num_threads()} threads)", rows)
    if options.json:
        write(options.json, rows, shlex.join(["gnnlab", "bench", "data", *argv]))
    return 0


def _graphs(name: str) -> GraphStore:
    """The real dataset where its files are at hand, else graphs of its size."""
    try:
        return load_dataset(name)
    except SourceError as error:
        print(f"{name} is not at hand ({error.what}); generated graphs of its size stand in", file=sys.stderr)
        return _molecule_like(name)


def _molecule_like(name: str) -> GraphStore:
    """Random trees with a few extra edges: the sizes and degrees of molecules."""
    count, mean_nodes, node_width, edge_width = _LIKE[name]
    generator = torch.Generator().manual_seed(0)
    nodes = torch.randint(int(0.4 * mean_nodes), int(1.6 * mean_nodes), (count,), generator=generator)
    owner = torch.repeat_interleave(torch.arange(count), nodes)
    place = torch.arange(owner.numel()) - (nodes.cumsum(0) - nodes)[owner]
    parent = (place - 1 - torch.randint(0, 3, place.shape, generator=generator)).clamp(min=0)
    inner = place > 0
    edges = torch.stack([place[inner], parent[inner]])
    both = torch.stack([edges, edges.flip(0)], 2).flatten(1)
    total = both.size(1)
    return GraphStore.from_tensors(
        num_nodes=nodes,
        num_edges=2 * (nodes - 1),
        edge_index=both,
        node={"x": torch.randint(0, 6, (owner.numel(), node_width), generator=generator)},
        edge={"edge_attr": torch.randint(0, 4, (total, edge_width), generator=generator)},
        graph={"y": torch.rand(count, 10, generator=generator)},
        name=f"{name}-like",
    )


def _assembly(store: GraphStore, batch_size: int, rounds: int) -> Comparison:
    """One epoch of batches; ours come with the compressed adjacency of both directions."""
    graphs = _plain(store, len(store))
    loaders = GraphLoader(store, batch_size, shuffle=True), DataLoader(graphs, batch_size, shuffle=True)
    detail = f"{len(store)} graphs, batch {batch_size}, ours with CSR both ways"
    what = f"one epoch of batches, {store.name}"
    peer = "PyG DataLoader, list of Data"
    return compare(what, *map(_epoch, loaders), peer, rounds=rounds, goal=3, detail=detail)


def _epoch(loader: GraphLoader | DataLoader) -> Callable[[], int]:
    return lambda: sum(batch.num_graphs for batch in loader)


def _encodings(store: GraphStore, limit: int, rounds: int) -> list[Comparison]:
    # PyG's eigenvectors fail on graphs with no more nodes than eigenvectors.
    large = (store.sizes("node") > 10).nonzero().view(-1)
    count = min(limit, large.numel()) if limit else large.numel()
    part = store.subset(large[torch.linspace(0, large.numel() - 1, count).long()])
    graphs = _plain(part, count)
    pairs = (
        ("RWSE-20", RandomWalkPE(20), AddRandomWalkPE(20, attr_name="pe"), 6),
        ("LapPE-10", LaplacianPE(10), AddLaplacianEigenvectorPE(10, attr_name="pe", is_undirected=True), 4),
    )
    return [
        compare(
            f"{what}, {store.name}",
            lambda ours=ours: part.map(ours),
            lambda theirs=theirs: [theirs(graph) for graph in graphs],
            "PyG, graph by graph",
            rounds=max(1, rounds // 2),
            goal=goal,
            detail=f"{count} graphs",
        )
        for what, ours, theirs, goal in pairs
    ]


def _loading_memory(store: GraphStore) -> Comparison:
    """Growth of the largest resident size of a fresh process that loads and reads the whole store (Linux).

    Not ``ru_maxrss``: a child inherits that of its parent.
    """
    script = (
        "import re, sys\n"
        "from gnnlab.data.store import GraphStore\n"
        "def peak(): return 1024 * int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        "before = peak()\n"
        "store = GraphStore.load(sys.argv[1])\n"
        "for column in store.columns.values(): column.data.max()\n"
        "store.adjacency.row_starts.max(), store.adjacency.transposed.max()\n"
        "print(peak() - before)"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        store.save(path)
        run = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    peak = float(run.stdout)
    what = f"peak memory of loading, {store.name}"
    return Comparison(what, "bytes stored", peak, store.nbytes, store.nbytes / peak, 1 / 1.5, unit="B")


def _plain(store: GraphStore, count: int) -> list[Data]:
    return [Data(**{k: v for k, v in store[i].to_dict().items() if k != "adj"}) for i in range(count)]
