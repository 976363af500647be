"""check_transform passes what keeps the contract, and names what does not."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest
import torch

from gnnlab.encodings import LaplacianPE, RandomWalkPE
from gnnlab.rewiring import VirtualNode
from gnnlab.rewiring._nodes import add_nodes
from gnnlab.testing import check_transform
from gnnlab.transform import Compose, Transform, graph_ptr


@pytest.mark.parametrize(
    "transform",
    [
        RandomWalkPE(walk_length=6),
        RandomWalkPE(walk_length=3, name="walk", start=2),
        LaplacianPE(k=3),
        LaplacianPE(k=20, normalization="sym"),
        LaplacianPE(k=4, normalization="rw", include_trivial=False),
        LaplacianPE(k=4, eigenvector_norm="wavelength"),
        LaplacianPE(k=4, eigenvector_norm="wavelength-asin"),
        LaplacianPE(k=4, eigenvector_norm="wavelength-soft"),
        LaplacianPE(k=4, eigenvector_norm="l1"),
        Compose(),
        Compose((RandomWalkPE(walk_length=2), LaplacianPE(k=2))),
        Compose((RandomWalkPE(walk_length=2), VirtualNode(), RandomWalkPE(walk_length=4))),
    ],
    ids=repr,
)
def test_keeps_the_contract(transform: Transform) -> None:
    check_transform(transform)


def test_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    check_transform(RandomWalkPE(walk_length=2))
    assert torch.equal(before, torch.get_rng_state())


@dataclass(frozen=True, repr=False)
class Degree(Transform):
    """Correct, and the base of the broken ones."""

    def forward(self, data):
        degree = torch.bincount(data.edge_index[1], minlength=data.num_nodes)
        data.pe_degree = degree[:, None].float()
        return data


@dataclass(frozen=True, repr=False)
class AddsEdge(Transform):
    """Correct and structural: reverses every edge, and carries the edge attribute along."""

    def forward(self, data):
        data.edge_index = torch.cat([data.edge_index, data.edge_index.flip(0)], dim=1)
        data.edge_attr = torch.cat([data.edge_attr, 2 * data.edge_attr])
        return data


@dataclass(frozen=True, repr=False)
class DrawsPrivately(Transform):
    equivariance: ClassVar[str] = "none"
    seed: int = 0

    def forward(self, data):
        generator = torch.Generator().manual_seed(self.seed)
        data.pe_noise = torch.randn(data.num_nodes, 2, generator=generator)
        return data


class NotFrozen(Degree):
    pass


@dataclass(frozen=True, repr=False)
class WritesInput(Transform):
    def forward(self, data):
        data.x.add_(1)
        return data


@dataclass(frozen=True, repr=False)
class DrawsTorch(Transform):
    def forward(self, data):
        data.pe_noise = torch.randn(data.num_nodes, 1)
        return data


@dataclass(frozen=True, repr=False)
class DrawsNumpy(Transform):
    def forward(self, data):
        np.random.rand()
        return data


@dataclass(frozen=True, repr=False)
class DrawsPython(Transform):
    def forward(self, data):
        random.random()
        return data


@dataclass(frozen=True, repr=False)
class Remembers(Transform):
    calls: list = field(default_factory=list, compare=False)

    def forward(self, data):
        data.pe_calls = torch.full((data.num_nodes, 1), float(len(self.calls)))
        self.calls.append(0)
        return data


@dataclass(frozen=True, repr=False)
class KeyByAddress(Degree):
    helper: object = field(default_factory=lambda: _EQUAL)


class _Equal:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Equal)

    __hash__ = None


_EQUAL = _Equal()


@dataclass(frozen=True, repr=False)
class DropsTargets(Transform):
    def forward(self, data):
        del data.y
        return data


@dataclass(frozen=True, repr=False)
class NoNodes(Degree):
    def forward(self, data):
        data.pe_first = data.x - data.x[0]
        return data


@dataclass(frozen=True, repr=False)
class Infinite(Transform):
    def forward(self, data):
        degree = torch.bincount(data.edge_index[1], minlength=data.num_nodes)
        data.pe_inverse = 1 / degree[:, None].float()
        return data


@dataclass(frozen=True, repr=False)
class MixesGraphs(Transform):
    def forward(self, data):
        data.pe_centred = data.x - data.x.sum(0) / max(data.num_nodes, 1)
        return data


@dataclass(frozen=True, repr=False)
class Counts(Transform):
    def forward(self, data):
        ptr = graph_ptr(data)
        graph = torch.searchsorted(ptr, torch.arange(data.num_nodes), right=True) - 1
        data.pe_number = (torch.arange(data.num_nodes) - ptr[graph])[:, None].float()
        return data


@dataclass(frozen=True, repr=False)
class DropsFirstEdge(Transform):
    """Depends on the numbering of the nodes through the edges alone."""

    def forward(self, data):
        keep = torch.ones(data.num_edges, dtype=torch.bool)
        for begin in graph_ptr(data)[:-1]:
            keep &= data.edge_index[0] != begin
        data.edge_index, data.edge_attr = data.edge_index[:, keep], data.edge_attr[keep]
        return data


@dataclass(frozen=True, repr=False)
class Misdeclared(Degree):
    equivariance: ClassVar[str] = "sometimes"


@dataclass(frozen=True, repr=False)
class FlipsSign(LaplacianPE):
    """The sign follows the first node: only right up to sign, but declared exact."""

    equivariance: ClassVar[str] = "exact"

    def forward(self, data):
        data = super().forward(data)
        if data.num_nodes == 0:
            return data
        first = data.pe_lap[graph_ptr(data)[:-1].clamp(max=data.num_nodes - 1)]
        sign = torch.where(first < 0, -1.0, 1.0)
        graph = torch.searchsorted(graph_ptr(data), torch.arange(data.num_nodes), right=True) - 1
        data.pe_lap = data.pe_lap * sign[graph]
        return data


@dataclass(frozen=True, repr=False)
class FlipsSignDeclared(FlipsSign):
    equivariance: ClassVar[str] = "up to sign"


@dataclass(frozen=True, repr=False)
class AddsNode(Transform):
    """Correct, and the base of the broken ones: one more node per graph, without edges."""

    def forward(self, data):
        data, _ = add_nodes(data, torch.ones_like(graph_ptr(data)[1:]))
        data.num_nodes = data.node_type.numel()
        return data


@dataclass(frozen=True, repr=False)
class Unmarked(AddsNode):
    def forward(self, data):
        data = super().forward(data)
        del data.node_type
        return data


@dataclass(frozen=True, repr=False)
class NewNodesFirst(AddsNode):
    def forward(self, data):
        data = super().forward(data)
        for key in ("x", "node_type", "y", "label_mask", "number"):
            if key in data and data[key].size(0) == data.num_nodes:
                data[key] = torch.cat([data[key][-1:], data[key][:-1]])
        return data


@dataclass(frozen=True, repr=False)
class LabelsNewNodes(AddsNode):
    def forward(self, data):
        data = super().forward(data)
        data.y = data.y.nan_to_num(0.0)
        return data


@dataclass(frozen=True, repr=False)
class SplitsNewNodes(AddsNode):
    def forward(self, data):
        data = super().forward(data)
        if "label_mask" in data:
            data.label_mask = torch.ones_like(data.label_mask)
        return data


@dataclass(frozen=True, repr=False)
class ForgetsIndex(AddsNode):
    def forward(self, data):
        anchors = data.get("anchor_index")
        data = super().forward(data)
        if anchors is not None:
            data.anchor_index = anchors
        return data


@dataclass(frozen=True, repr=False)
class TellsNewNodesApart(AddsNode):
    """The value of a new node depends on how the others are numbered."""

    def forward(self, data):
        ptr = graph_ptr(data)
        first = data.x[ptr[:-1].clamp(max=max(data.num_nodes - 1, 0))] if data.num_nodes else data.x.new_zeros(0, 3)
        data, added = add_nodes(data, (ptr.diff() > 0).long())
        data.num_nodes = data.node_type.numel()
        if added.numel():
            data.x = data.x.index_copy(0, added, first[ptr.diff() > 0])
        return data


@dataclass(frozen=True, repr=False)
class DropsNode(Transform):
    def forward(self, data):
        if data.get("ptr") is None and data.num_nodes > 6:
            data.x, data.edge_index = data.x[:-1], data.edge_index[:, :0]
            data.edge_attr = data.edge_attr[:0]
            data.num_nodes = data.x.size(0)
        return data


@pytest.mark.parametrize(
    "transform", [Degree(), AddsEdge(), DrawsPrivately(), FlipsSignDeclared(k=4), AddsNode()], ids=repr
)
def test_passes_correct_transforms(transform: Transform) -> None:
    check_transform(transform)


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (NotFrozen(), "frozen dataclass"),
        (WritesInput(), "purity: writes into 'x'"),
        (DrawsTorch(), "purity: touches the global random state"),
        (DrawsNumpy(), "purity: touches the global random state"),
        (DrawsPython(), "purity: touches the global random state"),
        (Remembers(), "determinism"),
        (KeyByAddress(), "key stability: the key depends on a memory address"),
        (DropsTargets(), "targets"),
        (NoNodes(), "degenerate graphs: no nodes"),
        (Infinite(), "degenerate graphs: one node: 'pe_inverse' is not finite"),
        (MixesGraphs(), "batch equals single: 'pe_centred'"),
        (Counts(), "permutation equivariance: 'pe_number'"),
        (DropsFirstEdge(), "permutation equivariance: 'edge_index"),
        (Misdeclared(), "unknown equivariance 'sometimes'"),
        (FlipsSign(k=4), "permutation equivariance: 'pe_lap'"),
        (Unmarked(), "nodes: adds nodes without 'node_type'"),
        (NewNodesFirst(), "nodes: 'y' does not keep the nodes there were"),
        (LabelsNewNodes(), "nodes: labels the nodes it adds"),
        (SplitsNewNodes(), "nodes: puts the nodes it adds into a split"),
        (ForgetsIndex(), "nodes: 'anchor_index' leads to other nodes"),
        (TellsNewNodesApart(), "permutation equivariance: 'x'"),
        (DropsNode(), "nodes: removes nodes"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Transform) else "",
)
def test_names_what_is_broken(transform: Transform, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_transform(transform)
