"""What is timed: inputs, the call, the float64 answer to compare with, and the bytes no kernel can do without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from gnnlab.benchmark.speed._shapes import Shape
from gnnlab.ops import (
    CSR,
    aggregate,
    attention_aggregate,
    edge_softmax,
    gated_gcn_aggregate,
    gine_aggregate,
    use_backend,
)

__all__ = ["OPERATIONS", "SLOPE", "TABLE_ROWS", "Inputs", "Operation", "Result", "Traffic", "heads", "inputs_of"]

SLOPE = 0.2  # of the leaky rectifier of graph attention
TABLE_ROWS = 60  # kinds of bonds: those of OGB molecules

Inputs = dict[str, Tensor]
Draw = Callable[..., Tensor]

_REFERENCE_BYTES = 2**30


class Result(NamedTuple):
    """Outputs, and gradients of the learned inputs (none in a forward pass)."""

    outputs: tuple[Tensor, ...]
    grads: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Traffic:
    """Bytes a fused kernel must move, in units of what the graph has; scalars per node are left out.

    Args:
        edge_rows: Rows of F features read or written per edge (a gathered row counts every time).
        node_rows: Rows of F features read or written per node.
        passes: Sweeps over the compressed rows: four bytes per edge and node each.
        edge_heads: Rows of H scalars per edge.
        edge_ints: Indices of four bytes per edge.
        node_ints: Rows of F indices of four bytes per node.
    """

    edge_rows: int = 0
    node_rows: int = 0
    passes: int = 0
    edge_heads: int = 0
    edge_ints: int = 0
    node_ints: int = 0

    def bytes(self, nodes: int, edges: int, width: int, itemsize: int, num_heads: int = 1) -> int:
        """Total for a graph of that size."""
        rows = (self.edge_rows * edges + self.node_rows * nodes) * width * itemsize
        small = self.edge_heads * edges * num_heads * itemsize + 4 * self.edge_ints * edges
        return rows + small + 4 * self.passes * (edges + nodes) + 4 * self.node_ints * nodes * width


@dataclass(frozen=True)
class Operation:
    """One public operation as it is used.

    Args:
        draw: (draw, N, E, F) -> inputs.
        ours: (inputs, graph) -> outputs.
        learned: Inputs that get a gradient.
        kernel: Kernel that does the forward work.
        forward: Least traffic of the forward pass.
        backward: Least traffic added by the gradients.
        arrays: Arrays of size E x F held by inputs, results and their reference.
        unfused: Further ones held by a formula that forms its messages.
        ties: Whether equal values may share a gradient in different ways.
        like: Inputs the outputs resemble, in their order; by default the first learned one.
    """

    draw: Callable[[Draw, int, int, int], Inputs]
    ours: Callable[[Inputs, CSR], tuple[Tensor, ...]]
    learned: tuple[str, ...]
    kernel: str
    forward: Traffic
    backward: Traffic
    arrays: int = 0
    unfused: int = 3
    ties: bool = False
    like: tuple[str, ...] = ()

    def floor(self, shape: Shape, width: int, itemsize: int, both: bool) -> int:
        """Bytes to move at the very least."""
        passes = (self.forward, self.backward) if both else (self.forward,)
        return sum(
            each.bytes(shape.num_nodes, shape.num_edges, width, itemsize, self.num_heads(width)) for each in passes
        )

    def num_heads(self, width: int) -> int:
        """Scalars per edge where the operation has such."""
        return heads(width) if self.kernel == "attention" else 1

    def memory(self, nodes: int, edges: int, width: int, itemsize: int) -> tuple[int, int]:
        """Bytes our own candidate needs, results and reference included, and those of an unfused one."""
        graph, wide = 48 * edges, max(itemsize, 4)
        own = graph + (self.arrays * edges + 10 * nodes) * width * wide + _REFERENCE_BYTES
        return own, own + self.unfused * edges * width * itemsize

    def cotangents(self, inputs: Inputs, seed: int) -> tuple[Tensor, ...]:
        """One gradient per output."""
        outputs = [inputs[name] for name in self.like or self.learned[:1]]
        generator = torch.Generator(outputs[0].device).manual_seed(seed)
        return tuple(torch.randn(out.shape, generator=generator, device=out.device).to(out.dtype) for out in outputs)

    def run(self, call: Callable[[Inputs], tuple[Tensor, ...]], inputs: Inputs, grads: Sequence[Tensor]) -> Result:
        """One call, with gradients if there is anything to propagate."""
        if not grads:
            with torch.no_grad():
                return Result(call(inputs))
        outputs = call(inputs)
        return Result(outputs, torch.autograd.grad(outputs, [inputs[name] for name in self.learned], grads))

    def reference(self, inputs: Inputs, grads: Sequence[Tensor], adj: CSR) -> Result:
        """Outputs and gradients in float64 by the reference backend, kept in at least float32."""
        outputs, gradients = [], []  # some columns at a time: an array of doubles per edge is large
        kept = torch.promote_types(inputs[self.learned[0]].dtype, torch.float32)
        with use_backend("reference"):
            for columns in self._blocks(inputs, adj.num_edges):
                part = {name: _part(tensor, columns) for name, tensor in inputs.items()}
                if grads:
                    part = {name: t.requires_grad_() if name in self.learned else t for name, t in part.items()}
                result = self.run(lambda i: self.ours(i, adj), part, [_part(grad, columns) for grad in grads])
                outputs.append([tensor.detach().to(kept) for tensor in result.outputs])
                gradients.append([tensor.to(kept) for tensor in result.grads])
        return Result(_side_by_side(outputs), _side_by_side(gradients))

    def _blocks(self, inputs: Inputs, num_edges: int) -> Iterator[slice]:
        """Columns (heads of attention) are independent of each other in every operation."""
        first = inputs[self.learned[0]]
        channels = first[0, 0].numel() if first.size(0) else 1
        step = max(1, _REFERENCE_BYTES // max(1, 64 * num_edges * channels))
        return (slice(start, start + step) for start in range(0, first.size(1), step))


def inputs_of(operation: Operation, shape: Shape, width: int, dtype: torch.dtype, seed: int, learn: bool) -> Inputs:
    """Inputs on the device of the graph, from a seed."""
    device = shape.edge_index.device
    generator = torch.Generator(device).manual_seed(seed)

    def draw(*size: int, below: int | None = None) -> Tensor:
        if below is not None:
            return torch.randint(below, size, generator=generator, device=device)
        return torch.randn(size, generator=generator, device=device).to(dtype)

    inputs = operation.draw(draw, shape.num_nodes, shape.num_edges, width)
    return {name: t.requires_grad_() if learn and name in operation.learned else t for name, t in inputs.items()}


def heads(width: int) -> int:
    """Attention heads of a width: four, if they share it evenly."""
    return 4 if width % 4 == 0 else 1


def _side_by_side(parts: list[list[Tensor]]) -> tuple[Tensor, ...]:
    return tuple(torch.cat(columns, dim=1) for columns in zip(*parts, strict=True))


def _part(tensor: Tensor, columns: slice) -> Tensor:
    tensor = tensor.detach() if tensor.dim() == 1 else tensor.detach()[:, columns]
    return tensor.double() if tensor.is_floating_point() else tensor


def _distinct(draw: Draw, nodes: int, width: int) -> Tensor:
    """A shuffled ladder in every column: as far as the dtype can tell, every maximum has one place."""
    order = draw(nodes, width)
    # Never 0: torch's scatter_reduce shares the gradient of a maximum of 0 with the zeros it started from.
    return ((order.argsort(0).float() + 0.25) / max(nodes, 1) - 0.5).to(order.dtype)


def _nodes(draw: Draw, n: int, e: int, f: int) -> Inputs:
    return {"x": draw(n, f)}


def _nodes_apart(draw: Draw, n: int, e: int, f: int) -> Inputs:
    return {"x": _distinct(draw, n, f)}


def _weights(draw: Draw, n: int, e: int, f: int) -> Inputs:
    return {"x": draw(n, f), "weight": draw(e)}


def _bonds(draw: Draw, n: int, e: int, f: int) -> Inputs:
    return {"x": draw(n, f), "edge_attr": draw(e, f)}


def _typed_bonds(draw: Draw, n: int, e: int, f: int) -> Inputs:
    return {"x": draw(n, f), "table": draw(TABLE_ROWS, f), "edge_type": draw(e, below=TABLE_ROWS)}


def _gates(draw: Draw, n: int, e: int, f: int) -> Inputs:
    return {"value": draw(n, f), "source": draw(n, f), "target": draw(n, f), "edge_attr": draw(e, f)}


def _scores(draw: Draw, n: int, e: int, f: int) -> Inputs:
    h = heads(f)
    return {"x": draw(n, h, f // h), "source": draw(n, h), "target": draw(n, h)}


def _logits(draw: Draw, n: int, e: int, f: int) -> Inputs:
    return {"logits": draw(e, f)}


def _reduce(i: Inputs, adj: CSR, how: str) -> tuple[Tensor, ...]:
    return (aggregate(i["x"], adj, how, i.get("weight")),)


_ONE_SWEEP = Traffic(edge_rows=1, node_rows=1, passes=1)
_WEIGHTED_SWEEP = Traffic(edge_rows=1, node_rows=1, passes=1, edge_heads=1)
# The winner of every row and column is written once and read once; nothing of the edges is needed again.
_TO_WINNERS = Traffic(node_rows=2, node_ints=2)

OPERATIONS: dict[str, Operation] = {
    "sum": Operation(_nodes, partial(_reduce, how="sum"), ("x",), "spmm", _ONE_SWEEP, _ONE_SWEEP),
    "weighted": Operation(_weights, partial(_reduce, how="sum"), ("x",), "spmm", _WEIGHTED_SWEEP, _WEIGHTED_SWEEP),
    "mean": Operation(_nodes, partial(_reduce, how="mean"), ("x",), "spmm", _ONE_SWEEP, _ONE_SWEEP),
    "max": Operation(_nodes_apart, partial(_reduce, how="max"), ("x",), "extremum", _ONE_SWEEP, _TO_WINNERS, ties=True),
    "min": Operation(_nodes_apart, partial(_reduce, how="min"), ("x",), "extremum", _ONE_SWEEP, _TO_WINNERS, ties=True),
    "gine": Operation(
        _bonds,
        lambda i, adj: (gine_aggregate(i["x"], i["edge_attr"], adj),),
        ("x", "edge_attr"),
        "gine",
        Traffic(edge_rows=2, node_rows=1, passes=1),
        Traffic(edge_rows=3, node_rows=2, passes=1),
        arrays=3,
        unfused=5,
    ),
    "gine-table": Operation(
        _typed_bonds,
        lambda i, adj: (gine_aggregate(i["x"], i["table"], adj, i["edge_type"]),),
        ("x", "table"),
        "gine",
        Traffic(edge_rows=1, node_rows=1, passes=1, edge_ints=1),
        Traffic(edge_rows=1, node_rows=2, passes=1, edge_ints=1),
        unfused=7,
    ),
    "gatedgcn": Operation(
        _gates,
        lambda i, adj: gated_gcn_aggregate(i["value"], i["source"], i["target"], i["edge_attr"], adj),
        ("value", "source", "target", "edge_attr"),
        "gated_gcn",
        Traffic(edge_rows=4, node_rows=2, passes=1),
        Traffic(edge_rows=7, node_rows=7, passes=2),
        arrays=6,
        unfused=14,
        like=("value", "edge_attr"),
    ),
    "gat": Operation(
        _scores,
        lambda i, adj: (attention_aggregate(i["x"], adj, i["source"], i["target"], negative_slope=SLOPE),),
        ("x", "source", "target"),
        "attention",
        Traffic(edge_rows=1, node_rows=1, passes=1, edge_heads=1),
        Traffic(edge_rows=2, node_rows=3, passes=2, edge_heads=3),
        unfused=5,
    ),
    "softmax": Operation(
        _logits,
        lambda i, adj: (edge_softmax(i["logits"], adj),),
        ("logits",),
        "softmax",
        Traffic(edge_rows=2),
        Traffic(edge_rows=3),
        arrays=5,
        unfused=6,
    ),
}
"""Name on the command line -> operation. The widths of ``softmax`` are its heads."""
