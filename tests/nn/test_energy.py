"""Energies of graphs: convex, whatever the parameters, and not when a sign constraint is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn._message_passing import Edges
from gnnlab.nn.edge_table import EdgeTable
from gnnlab.nn.implicit import PICNN, BoundEnergy, BoundPICNN, GraphEnergy, PositiveLinear
from gnnlab.ops import CSR

KINDS = ("node", "edge", "attention")
BETA = 0.1
NODES, STATE = 5, 3
EDGES = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 4, 0, 4, 2, 0, 0], [1, 0, 2, 1, 3, 2, 4, 3, 4, 0, 2, 1, 2]])


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.double)


def scrambled(module: nn.Module, seed: int = 0) -> nn.Module:
    """Parameters far from the initial ones, so that nothing holds by initialisation alone."""
    module.double()
    for number, parameter in enumerate(module.parameters()):
        parameter.data = random(*parameter.shape, seed=1000 * seed + number)
    return module


def bound(kind: str, seed: int = 0, features: Tensor | None = None) -> BoundEnergy:
    """An energy of five nodes with a self-loop, a duplicate edge and an edge in one direction."""
    edge_channels = 0 if kind == "node" else 2
    energy = GraphEnergy(STATE, 4, edge_channels, kind, BETA, message_channels=3, picnn_channels=4)
    x = random(NODES, 4, seed=seed + 50) if features is None else features
    attr = random(EDGES.size(1), 2, seed=seed + 60)
    adj = CSR.from_edge_index(EDGES, NODES)
    return scrambled(energy, seed).bind(x, Edges(adj, EDGES, attr)).detach()


def smallest_curvature(energy: Callable[[Tensor], Tensor], points: int = 4) -> float:
    """Smallest eigenvalue of the Hessian at some points."""
    return min(
        float(torch.linalg.eigvalsh(_hessian(energy, random(NODES, STATE, seed=seed)))[0]) for seed in range(points)
    )


def _hessian(energy: Callable[[Tensor], Tensor], h: Tensor) -> Tensor:
    hessian = torch.autograd.functional.hessian(lambda h: energy(h).sum(), h)
    return hessian.reshape(h.numel(), h.numel())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_curvature_is_at_least_beta(kind, seed):
    assert smallest_curvature(bound(kind, seed)) >= BETA - 1e-8


@pytest.mark.parametrize("kind", KINDS)
def test_energy_lies_below_its_chords(kind):
    energy = bound(kind)
    for seed in range(20):
        a, b = 3 * random(NODES, STATE, seed=seed), 3 * random(NODES, STATE, seed=seed + 100)
        share = float(torch.rand((), generator=generator(seed)))
        between = energy(share * a + (1 - share) * b).sum()
        gap = BETA / 2 * share * (1 - share) * (a - b).square().sum()
        assert between <= share * energy(a).sum() + (1 - share) * energy(b).sum() - gap + 1e-9


def altered(network: BoundPICNN, layer: int, **changes: Callable[[Tensor], Tensor]) -> BoundPICNN:
    layers = list(network.layers)
    layers[layer] = replace(
        layers[layer], **{name: change(getattr(layers[layer], name)) for name, change in changes.items()}
    )
    return BoundPICNN(tuple(layers))


def first_three(sign: float) -> Callable[[Tensor], Tensor]:
    """Message columns of what the update reads."""
    return lambda tensor: torch.cat([sign * tensor[:, :3], tensor[:, 3:]], 1)


BROKEN = {
    "hidden weights of the message": lambda e: replace(e, message=altered(e.message, 2, hidden_weight=torch.neg)),
    "hidden gates of the message": lambda e: replace(e, message=altered(e.message, 2, hidden_gate=torch.neg)),
    "hidden weights of the update": lambda e: replace(e, update=altered(e.update, 2, hidden_weight=torch.neg)),
    "hidden gates of the update": lambda e: replace(e, update=altered(e.update, 2, hidden_gate=torch.neg)),
    "monotone weights, first layer": lambda e: replace(e, update=altered(e.update, 0, weight=first_three(-9))),
    "monotone weights, last layer": lambda e: replace(e, update=altered(e.update, 2, weight=first_three(-9))),
    "monotone gates": lambda e: replace(e, update=altered(e.update, 0, gate=first_three(-9))),
    "weights of the messages": lambda e: replace(e, weight=-torch.ones(EDGES.size(1), dtype=torch.double)),
    "beta": lambda e: replace(e, beta=-BETA),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("kind", KINDS)
def test_every_sign_constraint_is_needed(name, kind):
    """The same check finds each of them broken, so it can fail."""
    assert any(smallest_curvature(BROKEN[name](bound(kind, seed))) < BETA - 1e-8 for seed in range(12))


def test_picnn_is_convex_in_y_and_rises_where_it_is_monotone():
    network = scrambled(PICNN(5, 3, 2, hidden_channels=6, monotone=2))
    context = random(40, 3)
    a, b = random(40, 5, seed=1), random(40, 5, seed=2)
    middle = network((a + b) / 2, context)
    assert (middle <= (network(a, context) + network(b, context)) / 2 + 1e-12).all()
    higher = a + torch.cat([random(40, 2, seed=3).abs(), torch.zeros(40, 3)], 1)
    assert (network(higher, context) >= network(a, context) - 1e-12).all()
    lower_elsewhere = network(a + torch.tensor([0.0, 0, 1, 0, 0]), context) - network(a, context)
    assert (lower_elsewhere < 0).any()
    # The context is free.
    assert not (
        network(a, (context + context.flip(0)) / 2) <= (network(a, context) + network(a, context.flip(0))) / 2
    ).all()


def test_picnn_formula():
    network = scrambled(PICNN(3, 2, 1, hidden_channels=4, num_layers=2, monotone=1))
    y, s = random(6, 3), random(6, 2, seed=1)
    first, last = network.layers

    def inner(layer: nn.Module, s: Tensor) -> Tensor:
        gate = layer.gate(s)
        gate[:, 0] = gate[:, 0].relu()
        weight = torch.cat([layer.rising.raw.exp().log1p(), layer.free.weight], 1)
        return (y * gate) @ weight.t() + layer.shift(s)

    z = inner(first, s).exp().log1p()
    s2 = network.context[0](s).relu()
    hidden = (z * last.hidden_gate(s2).relu()) @ last.hidden.raw.exp().log1p().t()
    torch.testing.assert_close(network(y, s), hidden + inner(last, s2))


def test_positive_weights_begin_as_a_mean():
    weight = PositiveLinear(50, 30).weight
    assert (weight > 0).all()
    torch.testing.assert_close(weight.sum(1), torch.ones(30), atol=0.2, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_energy_formula(kind):
    """Node by node, with the networks themselves."""
    edge_channels = 0 if kind == "node" else 2
    energy = scrambled(GraphEnergy(STATE, 4, edge_channels, kind, BETA, message_channels=3))
    x, attr, h = random(NODES, 4), random(EDGES.size(1), 2, seed=1), random(NODES, STATE, seed=2)
    weight = random(EDGES.size(1), seed=3).abs()
    expected = []
    for i in range(NODES):
        incoming = [e for e in range(EDGES.size(1)) if EDGES[1, e] == i]
        messages, scores = [], []
        for e in incoming:
            j = int(EDGES[0, e])
            y = h[j] if kind == "node" else torch.cat([h[j], h[i]])
            context = x[j] if kind == "node" else torch.cat([x[j], x[i], attr[e]])
            messages.append(weight[e] * energy.message(y[None], context[None])[0])
            if kind == "attention":
                scores.append(energy.attention(context))
        m = torch.stack(messages)
        if kind == "attention":
            m = torch.stack(scores).softmax(0) * m
        out = energy.update(torch.cat([m.sum(0), h[i]])[None], x[i][None])[0, 0]
        expected.append(out + BETA / 2 * h[i].square().sum())
    edges = Edges(CSR.from_edge_index(EDGES, NODES), EDGES, attr, weight)
    bound = energy.bind(x, edges)
    torch.testing.assert_close(bound(h), torch.stack(expected))
    torch.testing.assert_close(bound.local(h[EDGES[0]], h), bound(h))


def test_energy_reads_edge_tables():
    energy = GraphEnergy(STATE, 4, 2, "edge")
    rows, index = torch.randn(3, 2), torch.arange(EDGES.size(1)) % 3
    adj, x, h = CSR.from_edge_index(EDGES, NODES), torch.randn(NODES, 4), torch.randn(NODES, STATE)
    torch.testing.assert_close(
        energy.bind(x, Edges(adj, EDGES, EdgeTable(rows, index)))(h), energy.bind(x, Edges(adj, EDGES, rows[index]))(h)
    )


def test_nothing_inside_is_random_or_depends_on_the_batch():
    refused = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase)
    for kind in KINDS:
        energy = GraphEnergy(STATE, 4, 0, kind).train()
        assert not any(isinstance(module, refused) or "ropout" in type(module).__name__ for module in energy.modules())
        x, h = torch.randn(NODES, 4), torch.randn(NODES, STATE)
        edges = Edges(CSR.from_edge_index(EDGES, NODES))
        assert torch.equal(energy.bind(x, edges)(h), energy.eval().bind(x, edges)(h))


class _Signed(GraphEnergy):
    """Attention that forgets its softmax."""

    def weights(self, context: Tensor, adj: CSR) -> Tensor:
        return self.attention(context).squeeze(1) - 1


def test_negative_weights_are_refused():
    x, adj = torch.randn(NODES, 4), CSR.from_edge_index(EDGES, NODES)
    with pytest.raises(GraphError, match="attention weights must be non-negative"):
        _Signed(STATE, 4, 0, "attention").bind(x, Edges(adj))
    weight = torch.ones(EDGES.size(1))
    for bad in (-0.5, torch.nan):
        weight[2] = bad
        with pytest.raises(GraphError, match="edge weights must be non-negative"):
            GraphEnergy(STATE, 4, 0, "node").bind(x, Edges(adj, weight=weight))


def test_settings_that_do_not_fit_are_named():
    with pytest.raises(ConfigError, match="did you mean 'attention'"):
        GraphEnergy(3, 4, 0, "atention")
    for beta in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="beta must be positive"):
            GraphEnergy(3, 4, beta=beta)
    with pytest.raises(ConfigError, match="kind node depend on the sender alone"):
        GraphEnergy(3, 4, 2, "node")
    with pytest.raises(ConfigError, match="num_layers must be at least 1"):
        PICNN(3, 4, 1, num_layers=0)
    with pytest.raises(GraphError, match="edge features of width 2, the encoder or the batch gives none"):
        GraphEnergy(3, 4, 2, "edge").bind(torch.randn(NODES, 4), Edges(CSR.from_edge_index(EDGES, NODES)))
