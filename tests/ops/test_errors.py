"""Wrong input is refused before a kernel runs, in words."""

from __future__ import annotations

import pytest
import torch

from gnnlab.errors import ConfigError, GraphError
from gnnlab.ops import (
    CSR,
    aggregate,
    attention_aggregate,
    edge_softmax,
    gated_aggregate,
    gated_gcn_aggregate,
    gather,
    gather_source,
    gine_aggregate,
    scatter_reduce,
    sddmm,
    segment_expand,
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
        (lambda: gine_aggregate(_X, _E, _ADJ, torch.tensor([0, 3, 1])), "edge_type holds 3, outside 0 to 2"),
        (lambda: gine_aggregate(_X, _E, _ADJ, torch.tensor([0, 1])), "edge_type has 2 rows"),
        (lambda: gated_gcn_aggregate(_X, _X, torch.ones(3, 1), None, _ADJ), "target .* must have the same width"),
        (lambda: gated_gcn_aggregate(_X, _X, _X, torch.ones(4, 2), _ADJ), "edge_attr has 4 rows"),
        (lambda: attention_aggregate(_X, _ADJ), r"x \[N, H, C\] and scores of H columns"),
        (lambda: attention_aggregate(_X[None].transpose(0, 1), _ADJ, source=_X), "scores of H columns"),
        (lambda: attention_aggregate(_X[:, None], _ADJ, edge=torch.ones(2, 1)), "edge has 2 rows"),
        (lambda: gather_source(torch.ones(4, 2), _ADJ), "x has 4 rows"),
        (lambda: segment_expand(_X, torch.tensor([0, 2, 3]), 3), "x has 3 rows, but ptr has 2 segments"),
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


def broken(**fields: list) -> CSR:
    tensors = {name: getattr(_ADJ, name) for name in ("ptr", "src", "ptr_t", "dst", "eid_t", "eid")}
    return CSR(**tensors | {name: torch.tensor(value, dtype=torch.int32) for name, value in fields.items()})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ptr": [0, 2, 3]}, "ptr_t of a CSR has 4 elements, expected 3"),
        ({"src": [0, 1]}, "dst of a CSR has 3 elements, expected 2"),
        ({"eid_t": [[0, 1, 2]]}, "eid_t of a CSR must be an int32 vector"),
    ],
)
def test_a_csr_has_matching_tensors(fields, message):
    with pytest.raises(GraphError, match=message):
        broken(**fields)
    with pytest.raises(GraphError, match="ptr of a CSR must be an int32 vector, got"):
        CSR(_ADJ.ptr.long(), _ADJ.src, _ADJ.ptr_t, _ADJ.dst, _ADJ.eid_t)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ptr": [0, 3, 2, 3]}, "without descending"),
        ({"ptr_t": [0, 1, 2, 2]}, "from 0 to 3"),
        ({"src": [0, 1, 3]}, "src of a CSR holds an index outside 0 to 2"),
        ({"eid": [0, 1, 1]}, "eid of a CSR must name every edge once"),
    ],
)
def test_debugging_looks_at_every_value(fields, message, monkeypatch):
    broken(**fields)
    monkeypatch.setenv("GNNLAB_DEBUG", "1")
    broken()
    with pytest.raises(GraphError, match=message):
        broken(**fields)


def test_more_than_32_bits_are_refused():
    with pytest.raises(GraphError, match="2147483648 nodes do not fit 32-bit indices"):
        CSR.from_edge_index(torch.empty(2, 0, dtype=torch.long), 2**31)
    with pytest.raises(GraphError, match="do not fit 32-bit indices"):
        scatter_reduce(_X[:0], torch.empty(0, dtype=torch.long), 2**31)


def test_unknown_reduce_suggests_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'mean'"):
        aggregate(_X, _ADJ, "meen")
    with pytest.raises(ConfigError, match="known: max, mean, min, sum"):
        segment_reduce(_X, torch.tensor([0, 3]), "average")
