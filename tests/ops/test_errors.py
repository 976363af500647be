"""Wrong input is refused before a kernel runs, in words."""

from __future__ import annotations

import pytest
import torch

from gnnlab.errors import ConfigError, GraphError
from gnnlab.ops import (
    CSR,
    aggregate,
    edge_softmax,
    gated_aggregate,
    gather,
    gine_aggregate,
    scatter_reduce,
    sddmm,
    segment_reduce,
)

_EDGES = torch.tensor([[0, 1, 2], [1, 0, 0]])
_ADJ = CSR.from_edge_index(_EDGES, 3)
_X, _E = torch.ones(3, 2), torch.ones(3, 2)
_ON_META = torch.ones(3, 2, device="meta")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: aggregate(torch.ones(4, 2), _ADJ), "x has 4 rows, but the graph has 3 nodes"),
        (lambda: aggregate(_X, _ADJ, edge_weight=torch.ones(2)), "edge_weight has 2 rows, but the graph has 3 edges"),
        (lambda: aggregate(_X, _ADJ, edge_weight=torch.ones(3, 3)), "does not fit x"),
        (lambda: aggregate(_X, _ADJ, "max", torch.ones(3, 3)), "does not fit x"),
        (
            lambda: aggregate(_X, _ADJ, edge_weight=torch.ones(3).double()),
            "edge_weight is torch.float64, x is torch.float32",
        ),
        (lambda: aggregate(_X.long(), _ADJ), r"x must be a floating tensor, got torch.int64\n  pass x.float\(\)"),
        (lambda: aggregate(_X.to(torch.complex64), _ADJ), "x must be a floating tensor"),
        (lambda: aggregate(torch.tensor(1.0), _ADJ), "got a scalar"),
        (lambda: aggregate(_ON_META, _ADJ), "the graph is on cpu, x on meta"),
        (lambda: aggregate(_X, _ADJ, edge_weight=torch.ones(3, device="meta")), "edge_weight is on meta, x on cpu"),
        (lambda: aggregate(_X, torch.tensor([[0], [3]])), "holds node 3"),
        (lambda: gine_aggregate(_X, torch.ones(3, 3), _ADJ), "differ in width"),
        (lambda: gine_aggregate(_X, torch.ones(2, 2), _ADJ), "edge_attr has 2 rows"),
        (lambda: gated_aggregate(_X, torch.ones(3, 1), _ADJ), "differ in width"),
        (lambda: sddmm(_X, torch.ones(3, 3), _ADJ), "differ in shape"),
        (lambda: sddmm(_X, torch.ones(4, 2), _ADJ), "b has 4 rows"),
        (lambda: edge_softmax(torch.ones(4), _ADJ), "logits has 4 rows"),
        (lambda: edge_softmax(_E, _ADJ, num_nodes=5), "num_nodes is 5"),
        (lambda: edge_softmax(_ON_META, _ADJ), "logits on meta"),
        (lambda: scatter_reduce(_X, torch.tensor([0, 1]), 2), "index has 2 elements, src 3 rows"),
        (lambda: scatter_reduce(_X, torch.tensor([0, 1, 2]), 2), "index holds 2, outside 0 to 1"),
        (lambda: scatter_reduce(_X, torch.ones(3), 2), "index must be a vector of integers"),
        (lambda: gather(_X, torch.tensor([-1])), "index holds -1"),
        (lambda: gather(_X, torch.tensor([[0]])), "index must be a vector"),
        (lambda: segment_reduce(_X, torch.tensor([0, 2])), "ptr must run from 0 to 3"),
        (lambda: segment_reduce(_X, torch.tensor([0, 2, 1, 3])), "ptr must run from 0 to 3"),
        (lambda: segment_reduce(_X, torch.tensor([], dtype=torch.long)), "at least one element"),
        (lambda: segment_reduce(_X, torch.tensor([0, 3], device="meta")), "ptr is on meta"),
    ],
)
def test_refused(call, message):
    with pytest.raises(GraphError, match=message):
        call()


def test_unknown_reduce_suggests_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'mean'"):
        aggregate(_X, _ADJ, "meen")
    with pytest.raises(ConfigError, match="known: max, mean, min, sum"):
        segment_reduce(_X, torch.tensor([0, 3]), "average")
