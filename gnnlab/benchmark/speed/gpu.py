"""``gnnlab bench gpu``: one CUDA device, a few minutes, one results file: are the kernels right, how fast are they."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from gnnlab.benchmark.speed._operations import OPERATIONS, heads, inputs_of
from gnnlab.benchmark.speed._options import Options, positive
from gnnlab.benchmark.speed._outcome import check
from gnnlab.benchmark.speed._peers import PEERS
from gnnlab.benchmark.speed._rows import Row, by_backend, own_kernel
from gnnlab.benchmark.speed._shapes import Shape, make_shape
from gnnlab.benchmark.speed.measure import print_table, write
from gnnlab.benchmark.speed.ops import DTYPES, measure, present_peers, show_rows, tolerances
from gnnlab.errors import ConfigError
from gnnlab.ops import CSR, backend_report

__all__ = ["Part", "Verdict", "check_kernels", "main", "measure_part"]


@dataclass(frozen=True)
class Part:
    """Rows to measure as far as the time reaches, most telling ones first."""

    share: float  # of the whole time
    shapes: tuple[str, ...]
    ops: tuple[str, ...]
    widths: tuple[int, ...]
    dtypes: tuple[str, ...] = ("float32", "bfloat16")
    peers: tuple[str, ...] = ("pyg", "pyg-edgeindex", "torch-scatter", "segment-csr", "torch-sparse", "torch.sparse")


_CHECKS = 0.25  # share of the time for checking kernels
_EVERYDAY = ("peptides", "zinc", "arxiv-like", "power-law")
_PARTS = (
    # Inputs of 1 GB and more: here the floor is what counts.
    Part(0.20, ("products-like",), ("sum", "weighted", "mean", "max"), (128,)),
    Part(0.10, ("arxiv-like",), ("gine", "gatedgcn", "gat", "gine-table"), (256,)),
    Part(0.20, _EVERYDAY, tuple(OPERATIONS), (128,)),
    Part(0.15, _EVERYDAY, tuple(OPERATIONS), (64, 256)),
    Part(0.10, ("peptides", "arxiv-like"), tuple(OPERATIONS), (128,), ("float32",), ("compiled",)),
)


@dataclass
class Verdict:
    """What checking one kernel came to, over graphs and widths.

    Args:
        backend: Name of the backend.
        op: Name of the operation.
        dtype: Type of the features.
        cases: Graphs and widths checked, forward and gradients.
        error: Largest difference from the float64 reference, as a part of its largest value.
        repeatable: Whether a second run gave the same bits in every case.
        failures: The cases that were wrong, and why.
    """

    backend: str
    op: str
    dtype: str
    cases: int = 0
    error: float = 0.0
    repeatable: bool = True
    failures: list[str] = field(default_factory=list)


def main(argv: list[str]) -> int:
    """Print the tables, write the file; returns 1 if a kernel was wrong."""
    parser = Options(prog="gnnlab bench gpu", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(), help="folder of the results file (default: here)")
    parser.add_argument("--minutes", type=positive, default=9, help="time to fill (default: 9)")
    parser.add_argument("--rounds", type=positive, default=7, help="turns of every candidate; medians are reported")
    parser.add_argument("--seed", type=int, default=0, help="seed of graphs and features")
    options = parser.parse_args(argv)
    if not torch.cuda.is_available():
        raise ConfigError(
            "there is no CUDA device here", where="gnnlab bench gpu", hint="gnnlab bench ops runs anywhere"
        )

    start, seconds = time.monotonic(), 60 * options.minutes
    path = options.output / f"bench-gpu-{_slug(torch.cuda.get_device_name())}.json"
    command = shlex.join(["gnnlab", "bench", "gpu", *argv])
    facts = {"seed": options.seed, "tolerance": tolerances()}
    share = _CHECKS
    backends = [status.name for status in backend_report() if status.name != "reference"]
    verdicts, notes = check_kernels("cuda", backends, lambda: time.monotonic() > start + share * seconds)
    _show_verdicts(verdicts)

    rows: list[Row] = []
    for part in _PARTS:
        share += part.share
        settings = {"rounds": options.rounds, "seed": options.seed}
        rows += measure_part(part, "cuda", notes, start + share * seconds, **settings)
        write(path, rows, command, **facts, kernels=[asdict(each) for each in verdicts], notes=notes)
    show_rows(rows, list(dict.fromkeys(name for row in rows for name in row.others)), notes)
    print(f"written: {path}")
    right = all(each.repeatable and not each.failures for each in verdicts)
    return int(not right or any(row.ours.verdict != "ok" for row in rows))


def check_kernels(
    device: str,
    backends: Sequence[str],
    late: Callable[[], bool] = lambda: False,
    widths: Sequence[int] = (1, 7, 64, 130),
) -> tuple[list[Verdict], list[str]]:
    """Every operation of every backend on a handful of graphs, in every dtype, while there is time.

    Args:
        device: Where the kernels run.
        backends: Names of the backends to check.
        late: Whether time is up, asked before every case.
        widths: F.

    Returns:
        Verdicts, and a note on what was left out.
    """
    verdicts: dict[tuple[str, str, str], Verdict] = {}
    left_out = 0
    for dtype in ("float32", "bfloat16", "float16", "float64"):
        for op, graph, width in ((op, graph, w) for op in OPERATIONS for graph in _graphs(device) for w in widths):
            if late():
                left_out += 1
                continue
            for verdict, case in _check_case(op, graph, width, dtype, backends):
                total = verdicts.setdefault((verdict.backend, op, dtype), Verdict(verdict.backend, op, dtype))
                total.cases += 1
                total.error = max(total.error, verdict.error)
                total.repeatable &= verdict.repeatable
                total.failures += [f"{case}: {why}" for why in verdict.failures]
    return list(verdicts.values()), [f"{left_out} cases of checking were left out: time was up"] if left_out else []


def measure_part(part: Part, device: str, notes: list[str], deadline: float, **settings: Any) -> list[Row]:
    """The rows of a part until the deadline (of ``time.monotonic``); what was left out is added to the notes."""
    peers, absent = present_peers(part.peers, device)
    notes += [note for note in absent if note not in notes]
    calls = {name: PEERS[name] for name in peers}
    rows, left_out = [], 0
    for name in part.shapes:
        shape = None
        for op, width, dtype in ((op, w, d) for w in part.widths for d in part.dtypes for op in part.ops):
            if time.monotonic() > deadline:
                left_out += 1
                continue
            shape = shape or make_shape(name, settings["seed"], generated=True).to(device)
            columns = heads(width) if op == "softmax" else width
            row = measure(shape, op, columns, DTYPES[dtype], notes, peers=calls, **settings)
            rows += [row] if row else []
    if left_out:
        notes.append(f"{left_out} rows of {', '.join(part.shapes)} at F={part.widths} were left out: time was up")
    return rows


def _check_case(
    op: str, graph: Shape, width: int, dtype: str, backends: Sequence[str]
) -> Iterator[tuple[Verdict, str]]:
    operation, adj = OPERATIONS[op], CSR.from_edge_index(graph.edge_index, graph.num_nodes)
    inputs = inputs_of(operation, graph, width, DTYPES[dtype], seed=0, learn=True)
    grads = operation.cotangents(inputs, seed=1)
    wanted = operation.reference(inputs, grads, adj)
    for name in backends:
        if own_kernel(operation, name, inputs):
            run = partial(by_backend, name, partial(operation.run, lambda i: operation.ours(i, adj)), inputs, grads)
            outcome = check(operation, run, wanted, DTYPES[dtype])
            same = outcome.verdict == "failed" or _equal(run(), run())
            why = [f"{outcome.verdict}: {outcome.why}"] if outcome.why else []
            yield Verdict(name, op, dtype, 1, outcome.error or 0.0, same, why), f"{graph.name}, F={width}"


def _graphs(device: str) -> list[Shape]:
    """Edges in no order; self-loops, repeated edges, nodes without any, and a hub."""
    generator = torch.Generator().manual_seed(0)
    scattered = torch.randint(40, (2, 300), generator=generator)
    hub = torch.randint(3000, (2, 24_000), generator=generator)
    hub[1, :20_000] = 5
    chain = torch.stack([torch.arange(1, 9), torch.arange(8)])
    graphs = (("scattered", scattered, 60), ("hub", hub, 3000), ("chain", chain, 9), ("one loop", chain[:, :1] * 0, 1))
    return [Shape(name, edge_index.to(device), nodes, "") for name, edge_index, nodes in graphs]


def _show_verdicts(verdicts: Sequence[Verdict]) -> None:
    table = Table(title="kernels against float64, forward and gradients", title_justify="left")
    for heading in ("backend", "op", "dtype", "cases", "largest error", "repeatable", "wrong"):
        table.add_column(heading, justify="left" if heading in ("backend", "op", "dtype") else "right")
    for each in verdicts:
        facts = (each.backend, each.op, each.dtype, str(each.cases), f"{each.error:.1e}")
        table.add_row(*facts, "yes" if each.repeatable else "NO", str(len(each.failures) or ""))
    print_table(table, [f"{each.backend} {each.op} {each.dtype}: {why}" for each in verdicts for why in each.failures])
    sys.stdout.flush()


def _equal(first: Sequence[Sequence[torch.Tensor]], second: Sequence[Sequence[torch.Tensor]]) -> bool:
    pairs = zip((t for group in first for t in group), (t for group in second for t in group), strict=True)
    return all(torch.equal(left, right) for left, right in pairs)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
