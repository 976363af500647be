"""The same operations as other packages offer them, each in its usual form, its graph prepared beforehand."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import scatter, softmax

from gnnlab.benchmark.speed._operations import SLOPE, Inputs
from gnnlab.benchmark.speed._shapes import Shape
from gnnlab.ops import CSR

__all__ = ["PEERS", "Call", "why_absent"]

Call = Callable[[Inputs], tuple[Tensor, ...]]
Reduce = Callable[[Tensor, str], Tensor]
Prepare = Callable[[str, Shape, Inputs], "Call | None"]

_GATE_EPS = 1e-6
_REDUCTIONS = {"sum": "sum", "weighted": "sum", "mean": "mean", "max": "max", "min": "min"}


class _Plain(MessagePassing):
    def forward(self, inputs: Inputs, edge_index: Tensor) -> tuple[Tensor, ...]:
        return (self.propagate(edge_index, **inputs),)


class _Weighted(_Plain):
    def message(self, x_j: Tensor, weight: Tensor) -> Tensor:
        return weight.view(-1, 1) * x_j


class _Gine(_Plain):
    def message(self, x_j: Tensor, edge_attr: Tensor) -> Tensor:
        return (x_j + edge_attr).relu()


class _GineTable(_Gine):
    def forward(self, inputs: Inputs, edge_index: Tensor) -> tuple[Tensor, ...]:
        edge_attr = F.embedding(inputs["edge_type"], inputs["table"])
        return (self.propagate(edge_index, x=inputs["x"], edge_attr=edge_attr),)


class _GatedGcn(_Plain):
    def forward(self, inputs: Inputs, edge_index: Tensor) -> tuple[Tensor, ...]:
        return self.propagate(edge_index, **inputs), self.pre

    def message(self, value_j: Tensor, source_j: Tensor, target_i: Tensor, edge_attr: Tensor) -> tuple[Tensor, Tensor]:
        self.pre = target_i + source_j + edge_attr
        gate = self.pre.sigmoid()
        return gate * value_j, gate

    def aggregate(self, inputs: tuple[Tensor, Tensor], index: Tensor, dim_size: int) -> Tensor:
        num, den = (scatter(part, index, 0, dim_size, reduce="sum") for part in inputs)
        return num / (den + _GATE_EPS)


class _Gat(MessagePassing):
    def forward(self, inputs: Inputs, edge_index: Tensor) -> tuple[Tensor, ...]:
        x, n = inputs["x"], inputs["x"].size(0)
        alpha = self.edge_updater(edge_index, alpha=(inputs["source"], inputs["target"]), size=(n, n))
        return (self.propagate(edge_index, x=x, alpha=alpha),)

    def edge_update(self, alpha_j: Tensor, alpha_i: Tensor, index: Tensor, dim_size: int) -> Tensor:
        return softmax(F.leaky_relu(alpha_j + alpha_i, SLOPE), index, num_nodes=dim_size)

    def message(self, x_j: Tensor, alpha: Tensor) -> Tensor:
        return alpha.unsqueeze(-1) * x_j


_PYG: dict[str, Callable[[], MessagePassing]] = {
    "sum": lambda: _Plain(aggr="sum"),
    "mean": lambda: _Plain(aggr="mean"),
    "max": lambda: _Plain(aggr="max"),
    "min": lambda: _Plain(aggr="min"),
    "weighted": lambda: _Weighted(aggr="sum"),
    "gine": lambda: _Gine(aggr="sum"),
    "gine-table": lambda: _GineTable(aggr="sum"),
    "gatedgcn": lambda: _GatedGcn(aggr="sum"),
    "gat": lambda: _Gat(aggr="sum", node_dim=0),
}


def _pyg(name: str, shape: Shape, inputs: Inputs) -> Call:
    """Message passing on a plain ``edge_index``: gather, form the messages, scatter."""
    if name == "softmax":
        target, nodes = shape.edge_index[1], shape.num_nodes
        return lambda i: (softmax(i["logits"], target, num_nodes=nodes),)
    layer = _PYG[name]()
    return lambda i: layer(i, shape.edge_index)


def _edge_index(name: str, shape: Shape, inputs: Inputs) -> Call | None:
    """``EdgeIndex.matmul``, sorted, with both directions cached."""
    if name not in _REDUCTIONS:
        return None
    size = (shape.num_nodes, shape.num_nodes)
    adj = EdgeIndex(shape.edge_index, sparse_size=size, sort_order="col").fill_cache_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's remarks on compressed columns, once per process
        adj.to_sparse_csc()
    return lambda i: (adj.matmul(i["x"], i.get("weight"), reduce=_REDUCTIONS[name], transpose=True),)


def _torch_scatter(name: str, shape: Shape, inputs: Inputs) -> Call:
    from torch_scatter import scatter

    target, nodes = shape.edge_index[1], shape.num_nodes
    return _formula(name, shape, lambda values, how: scatter(values, target, 0, dim_size=nodes, reduce=how))


def _segment_csr(name: str, shape: Shape, inputs: Inputs) -> Call:
    from torch_scatter import segment_csr

    ptr = shape.adjacency().ptr.long()
    return _formula(name, shape, lambda values, how: segment_csr(values, ptr, reduce=how))


def _torch_sparse(name: str, shape: Shape, inputs: Inputs) -> Call | None:
    """``SparseTensor`` matmul with every cached ordering filled."""
    if name not in _REDUCTIONS:
        return None
    from torch_sparse import SparseTensor, matmul

    source, target = shape.edge_index
    size = (shape.num_nodes, shape.num_nodes)
    adj = SparseTensor(row=target, col=source, value=inputs.get("weight"), sparse_sizes=size, is_sorted=True)
    adj.fill_cache_()
    return lambda i: (matmul(adj, i["x"], _REDUCTIONS[name]),)


class _CsrProduct(torch.autograd.Function):
    """A product with a sparse matrix whose transpose is at hand: the built-in gradient would form it anew."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
        ctx.transposed = transposed
        return matrix @ x

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None]:
        return ctx.transposed @ grad, None, None


def _torch_csr(name: str, shape: Shape, inputs: Inputs) -> Call | None:
    """Torch's own compressed matrices: a product each way, ``amax`` and ``amin`` on the CPU."""
    if name not in _REDUCTIONS:
        return None
    adj, x = shape.adjacency(), inputs["x"]
    value = _csr_values(name, adj, inputs.get("weight", x.new_ones(shape.num_edges))).to(x.dtype)
    size = (shape.num_nodes, shape.num_nodes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # compressed rows are "in beta", once per process
        matrix = torch.sparse_csr_tensor(adj.ptr, adj.src, value, size, check_invariants=False)
    if name in ("max", "min"):
        return lambda i: (torch.sparse.mm(matrix, i["x"], f"a{name}"),)
    transposed = torch.sparse_csr_tensor(adj.ptr_t, adj.dst, value[adj.eid_t], size, check_invariants=False)
    return lambda i: (_CsrProduct.apply(i["x"], matrix, transposed),)


def _csr_values(name: str, adj: CSR, weight: Tensor) -> Tensor:
    return weight / adj.degree.clamp(min=1)[adj.rows] if name == "mean" else weight


def _compiled(name: str, shape: Shape, inputs: Inputs) -> Call:
    """``torch.compile`` of gather, message, scatter."""
    target, nodes = shape.edge_index[1], shape.num_nodes

    def reduce(values: Tensor, how: str) -> Tensor:
        zeros = values.new_zeros(nodes, *values.shape[1:])
        if how == "sum":
            return zeros.index_add(0, target, values)
        index = target.view(-1, *[1] * (values.dim() - 1)).expand_as(values)
        how = how if how == "mean" else f"a{how}"
        return zeros.scatter_reduce(0, index, values, how, include_self=False)

    torch.compiler.reset()
    return torch.compile(_formula(name, shape, reduce), dynamic=False)


def _formula(name: str, shape: Shape, reduce: Reduce) -> Call:
    """Messages written out, for any way to reduce them over the targets."""
    source, target = shape.edge_index

    def shares(logits: Tensor) -> Tensor:
        top = reduce(logits.detach(), "max")
        powers = (logits - top.index_select(0, target)).exp()
        return powers / reduce(powers, "sum").index_select(0, target)

    def plain(i: Inputs) -> tuple[Tensor, ...]:
        return (reduce(i["x"].index_select(0, source), name),)

    def weighted(i: Inputs) -> tuple[Tensor, ...]:
        return (reduce(i["x"].index_select(0, source) * i["weight"].unsqueeze(-1), "sum"),)

    def gine(i: Inputs) -> tuple[Tensor, ...]:
        edge_attr = i["edge_attr"] if name == "gine" else F.embedding(i["edge_type"], i["table"])
        return (reduce((i["x"].index_select(0, source) + edge_attr).relu(), "sum"),)

    def gatedgcn(i: Inputs) -> tuple[Tensor, ...]:
        pre = i["target"].index_select(0, target) + i["source"].index_select(0, source) + i["edge_attr"]
        gate = pre.sigmoid()
        num = reduce(gate * i["value"].index_select(0, source), "sum")
        return num / (reduce(gate, "sum") + _GATE_EPS), pre

    def gat(i: Inputs) -> tuple[Tensor, ...]:
        scores = i["source"].index_select(0, source) + i["target"].index_select(0, target)
        share = shares(F.leaky_relu(scores, SLOPE))
        return (reduce(share.unsqueeze(-1) * i["x"].index_select(0, source), "sum"),)

    def softmax(i: Inputs) -> tuple[Tensor, ...]:
        return (shares(i["logits"]),)

    formulas = (weighted, gine, gatedgcn, gat, softmax)
    return {"gine-table": gine, **{each.__name__: each for each in formulas}}.get(name, plain)


PEERS: dict[str, Prepare] = {
    "pyg": _pyg,
    "pyg-edgeindex": _edge_index,
    "torch-scatter": _torch_scatter,
    "segment-csr": _segment_csr,
    "torch-sparse": _torch_sparse,
    "torch.sparse": _torch_csr,
    "compiled": _compiled,
}
"""Name -> (operation, graph, inputs) -> the call, or ``None`` where the package has no such operation."""

_MODULES = {"torch-scatter": "torch_scatter", "segment-csr": "torch_scatter", "torch-sparse": "torch_sparse"}


def why_absent(name: str, device: str) -> str | None:
    """Why a peer cannot be timed at all here."""
    module = _MODULES.get(name)
    if module and find_spec(module) is None:
        return "not installed"
    if module:
        try:
            import_module(module)
        except (ImportError, OSError, RuntimeError) as error:
            return f"cannot be imported: {str(error).splitlines()[0]}"
    compilers = filter(None, (os.environ.get("CXX"), "g++", "clang++", "c++"))
    if name == "compiled" and device == "cpu" and not any(map(shutil.which, compilers)):
        return "no C++ compiler"
    return None
