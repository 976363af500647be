"""The operations ``gnnlab bench ops`` times: what a byte floor is, and that every peer computes the same."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from gnnlab.benchmark.speed import _outcome, _peers
from gnnlab.benchmark.speed._operations import OPERATIONS, inputs_of
from gnnlab.benchmark.speed._shapes import Shape, make_shape


@pytest.mark.parametrize("peer", [name for name in _peers.PEERS if name != "compiled"])
@pytest.mark.parametrize("op", OPERATIONS)
def test_every_peer_computes_the_same(op, peer):
    if why := _peers.why_absent(peer, "cpu"):
        pytest.skip(f"{peer}: {why}")
    assert verdict_on(op, peer) in (None, "ok")


@pytest.mark.slow
def test_a_compiled_peer_computes_the_same():
    if why := _peers.why_absent("compiled", "cpu"):
        pytest.skip(why)
    assert verdict_on("gine", "compiled") == "ok"


def verdict_on(op: str, peer: str) -> str | None:
    """Verdict on a peer, ``None`` where it has no such operation."""
    edge_index = torch.randint(27, (2, 120))
    order = torch.sort(edge_index[1], stable=True).indices
    shape, operation = Shape("tiny", edge_index[:, order], 30, ""), OPERATIONS[op]
    inputs = inputs_of(operation, shape, 8, torch.float32, 0, learn=True)
    call, grads = _peers.PEERS[peer](op, shape, inputs), operation.cotangents(inputs, 1)
    if call is None:
        return None
    wanted = operation.reference(inputs, grads, shape.adjacency())
    return _outcome.check(operation, partial(operation.run, call, inputs, grads), wanted, torch.float32).verdict


@pytest.mark.parametrize("block", [1, 3, 100])
def test_the_reference_in_blocks_of_columns_is_the_whole(monkeypatch, block):
    shape, operation = make_shape("zinc", generated=True), OPERATIONS["gatedgcn"]
    inputs = inputs_of(operation, shape, 7, torch.float64, 0, learn=True)
    grads = operation.cotangents(inputs, 1)
    whole = operation.reference(inputs, grads, shape.adjacency())
    monkeypatch.setattr("gnnlab.benchmark.speed._operations._REFERENCE_BYTES", 64 * shape.num_edges * block)
    parts = operation.reference(inputs, grads, shape.adjacency())
    for left, right in zip((*whole.outputs, *whole.grads), (*parts.outputs, *parts.grads), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("op", "forward", "both"),
    [
        # 3 nodes, 5 edges, rows of 8 x 4 = 32 bytes, one sweep over the indices = 4 x (5 + 3) = 32.
        ("sum", (5 + 3) * 32 + 32, 2 * ((5 + 3) * 32 + 32)),
        ("weighted", (5 + 3) * 32 + 32 + 5 * 4, 2 * ((5 + 3) * 32 + 32 + 5 * 4)),
        ("max", (5 + 3) * 32 + 32, (5 + 3 + 3 + 3) * 32 + 32 + 2 * 3 * 8 * 4),
        ("gine", (10 + 3) * 32 + 32, (25 + 9) * 32 + 64),
        ("gine-table", (5 + 3) * 32 + 32 + 20, (10 + 9) * 32 + 64 + 40),
        ("gatedgcn", (20 + 6) * 32 + 32, (55 + 27) * 32 + 96),
        ("gat", (5 + 3) * 32 + 32 + 5 * 4 * 4, (15 + 12) * 32 + 96 + 4 * 5 * 4 * 4),
        ("softmax", 10 * 32, 25 * 32),
    ],
)
def test_floor_by_hand(op, forward, both):
    shape = Shape("hand", torch.zeros(2, 5, dtype=torch.long), 3, "")
    assert OPERATIONS[op].floor(shape, 8, 4, both=False) == forward
    assert OPERATIONS[op].floor(shape, 8, 4, both=True) == both


def test_floor_of_the_specification():
    # arxiv, 128 features of single precision: 160 microseconds at 4.3 TB/s.
    shape = Shape("arxiv", torch.zeros(2, 1, dtype=torch.long).expand(2, 1_166_243), 169_343, "")
    assert OPERATIONS["sum"].floor(shape, 128, 4, both=False) / 4.3e12 == pytest.approx(160e-6, rel=0.01)
