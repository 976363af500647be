"""check_model passes correct models and names the property a broken one violates."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import global_add_pool

from gnnlab.errors import ConfigError
from gnnlab.ops import expand_ptr
from gnnlab.testing import check_model


def pointer(batch):
    ptr = batch.get("ptr")
    return torch.tensor([0, batch.num_nodes]) if ptr is None else ptr


def neighbours(batch, messages=None):
    """Sum over the neighbours, along the adjacency where the batch brings one."""
    edge_index = batch.edge_index if batch.get("adj") is None else batch.adj.edge_index
    messages = batch.x[edge_index[0]] if messages is None else messages
    return batch.x.new_zeros(batch.num_nodes, messages.size(1)).index_add(0, edge_index[1], messages)


class Sum(nn.Module):
    """A correct model; the broken ones below differ from it in one place."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.lin, self.head = nn.Linear(4, 5), nn.Linear(5, out_channels)

    def states(self, batch):
        return self.lin(batch.x + neighbours(batch)).tanh()

    def readout(self, states, batch):
        ptr = pointer(batch)
        return self.head(global_add_pool(states, expand_ptr(ptr), ptr.numel() - 1))

    def forward(self, batch):
        return self.readout(self.states(batch), batch)


class Nodes(Sum):
    """Correct, for nodes."""

    def readout(self, states, batch):
        return self.head(states)


class Edges(Sum):
    """Correct, with edge features and a dropout."""

    def __init__(self, out_channels: int) -> None:
        super().__init__(out_channels)
        self.edge, self.dropout = nn.Linear(2, 4), nn.Dropout(0.3)

    def states(self, batch):
        messages = self.edge(batch.edge_attr) * batch.x[batch.edge_index[0]]
        return self.dropout(self.lin(batch.x + neighbours(Data(**self.without_adj(batch)), messages)).tanh())

    @staticmethod
    def without_adj(batch):
        return {"x": batch.x, "edge_index": batch.edge_index}


class WrongWidth(Sum):
    def forward(self, batch):
        return super().forward(batch)[:, :-1]


class WithStates(Sum):
    def forward(self, batch):
        return super().forward(batch), self.states(batch)


class WritesIntoNodes(Sum):
    def forward(self, batch):
        out = super().forward(batch)
        batch.x.data.add_(1.0)
        return out


class LeavesItsStates(Sum):
    def forward(self, batch):
        batch.hidden = self.states(batch)
        return self.readout(batch.hidden, batch)


class WritesInTraining(Sum):
    def forward(self, batch):
        out = super().forward(batch)
        if self.training:
            batch.edge_index = batch.edge_index.flip(0)
        return out


class MeanOfNothing(Sum):
    def states(self, batch):
        degree = torch.bincount(batch.edge_index[1], minlength=batch.num_nodes)
        return self.lin(batch.x + neighbours(batch) / degree[:, None]).tanh()


class MeanOfNoNodes(Sum):
    def readout(self, states, batch):
        return super().readout(states, batch) / pointer(batch).diff()[:, None]


class NeedsANode(Sum):
    def states(self, batch):
        return super().states(batch) + 0 * batch.x.max()


class LengthOfNothing(Sum):
    """The gradient of a square root at 0."""

    def states(self, batch):
        seen = neighbours(batch) @ self.lin.weight.t()
        return self.lin(batch.x).tanh() * seen.square().sum(1, keepdim=True).sqrt()


class SpreadInTraining(Sum):
    """The sample variance of one row."""

    def readout(self, states, batch):
        if self.training:
            spread = [states[a:b].var(0) for a, b in zip(pointer(batch)[:-1], pointer(batch)[1:], strict=True)]
            return self.head(torch.stack(spread))
        return super().readout(states, batch)


class WeighsByNumber(Sum):
    def readout(self, states, batch):
        start = pointer(batch)[:-1][expand_ptr(pointer(batch))]
        return super().readout(states * (torch.arange(batch.num_nodes) - start + 1)[:, None], batch)


class NumbersNodes(Nodes):
    def readout(self, states, batch):
        start = pointer(batch)[:-1][expand_ptr(pointer(batch))]
        return super().readout(states, batch) + (torch.arange(batch.num_nodes) - start)[:, None]


class LastEdgeWins(Sum):
    def states(self, batch):
        kept = torch.zeros_like(batch.x)
        for source, target in batch.edge_index.t().tolist():
            kept = kept.index_copy(0, torch.tensor([target]), batch.x[source][None])
        return self.lin(batch.x + kept).tanh()


class MeanOverTheBatch(Sum):
    def forward(self, batch):
        out = super().forward(batch)
        return out - out.mean(0)


class NextGraphToo(Sum):
    """Pools with pointers that are off by one."""

    def readout(self, states, batch):
        start = pointer(batch)[:-1]
        sums = torch.cat([states.new_zeros(1, 5), states.cumsum(0)])
        return self.head(sums[(pointer(batch)[1:] + 1).clamp(max=batch.num_nodes)] - sums[start])


class TransposedAdjacency(Sum):
    def states(self, batch):
        if batch.get("adj") is None:
            return super().states(batch)
        turned = Data(x=batch.x, edge_index=batch.edge_index.flip(0))
        return super().states(turned)


class CutGradient(Sum):
    def readout(self, states, batch):
        return super().readout(states.detach(), batch)


class CutFeatures(Sum):
    def forward(self, batch):
        rest = {"ptr": pointer(batch), "num_nodes": batch.num_nodes}
        return super().forward(Data(x=batch.x.detach(), edge_index=batch.edge_index, **rest))


class IdleParameter(Sum):
    def __init__(self, out_channels):
        super().__init__(out_channels)
        self.idle = nn.Parameter(torch.ones(1))


class WrongBackward(Sum):
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, grad):
            return grad

    def forward(self, batch):
        return self.Double.apply(super().forward(batch))


class WrongForOneBias(Sum):
    """Half of a gradient, as where only one of two paths is recorded."""

    def states(self, batch):
        bias = self.lin.bias / 2
        return (nn.functional.linear(batch.x + neighbours(batch), self.lin.weight) + bias + bias.detach()).tanh()


class SinglePrecision(Sum):
    def forward(self, batch):
        states = self.states(batch).float().double()
        return self.readout(states, batch)


class Remembers(Sum):
    calls = 0

    def forward(self, batch):
        self.calls += batch.num_nodes == 4
        return super().forward(batch) + self.calls


class RandomInEvaluation(Sum):
    def forward(self, batch):
        return super().forward(batch) + 1e-12 * torch.rand(())


class RandomOfItsOwn(Sum):
    """Numbers that no seed repeats."""

    def __init__(self, out_channels):
        super().__init__(out_channels)
        self.numbers = torch.Generator().manual_seed(0)

    def forward(self, batch):
        return super().forward(batch) * (torch.rand((), generator=self.numbers) if self.training else 1)


class GradientSeeker(Sum):
    """Another result under no_grad, as in validation."""

    def forward(self, batch):
        return super().forward(batch) * (1 if torch.is_grad_enabled() else 2)


class HiddenState(Sum):
    def __init__(self, out_channels):
        super().__init__(out_channels)
        self.scale = torch.rand(())

    def forward(self, batch):
        return self.scale * super().forward(batch)


class KeepsAGraphOfAutograd(Sum):
    def forward(self, batch):
        self.last = super().forward(batch)
        return self.last


class KeepsAFunction(Sum):
    def __init__(self, out_channels):
        super().__init__(out_channels)
        self.activation = lambda x: x.tanh()


class ForgetsTheHead(Sum):
    def reset_parameters(self):
        self.lin.reset_parameters()


class ResetsAll(ForgetsTheHead):
    """Correct."""

    def reset_parameters(self):
        super().reset_parameters()
        self.head.reset_parameters()


BROKEN = {
    "output shape": [WrongWidth, WithStates],
    "inputs unaltered": [WritesIntoNodes, LeavesItsStates, WritesInTraining],
    "degenerate graphs": [MeanOfNothing, MeanOfNoNodes, NeedsANode, LengthOfNothing, SpreadInTraining],
    "permutation": [WeighsByNumber],
    "edge order invariance": [LastEdgeWins],
    "batch equals single": [MeanOverTheBatch, NextGraphToo, TransposedAdjacency],
    "gradients": [CutGradient, CutFeatures, IdleParameter, WrongBackward, WrongForOneBias, SinglePrecision],
    "determinism": [Remembers, RandomInEvaluation, RandomOfItsOwn, GradientSeeker],
    "state_dict round trip": [HiddenState],
    "copies": [KeepsAGraphOfAutograd, KeepsAFunction],
    "reset_parameters": [ForgetsTheHead],
}


@pytest.mark.parametrize(
    ("model", "name"), [(model, name) for name, models in BROKEN.items() for model in models], ids=lambda v: str(v)
)
def test_broken_models_are_caught_by_name(model, name):
    with pytest.raises(AssertionError, match=f"^{model.__name__}: {name}: "):
        check_model(model)


def test_predictions_for_nodes_follow_their_numbers():
    with pytest.raises(AssertionError, match=r"^NumbersNodes: permutation: .*does more than renumber"):
        check_model(NumbersNodes, level="node")
    check_model(NumbersNodes, level="node", invariant=False)
    with pytest.raises(AssertionError, match=r"^Nodes: output shape: expected predictions \[1, 3\] for 1 graphs"):
        check_model(Nodes)
    with pytest.raises(AssertionError, match=r"^Sum: output shape"):
        check_model(Sum, level="node")


def test_correct_models_pass():
    for model in (Sum, ResetsAll, partial(Sum)):
        check_model(model)
    check_model(Sum, out_channels=1, seed=7)
    check_model(Nodes, level="node")
    check_model(Nodes, level="link")
    check_model(Edges, edge_channels=2)


def test_graphs_without_nodes_may_be_left_out():
    check_model(NeedsANode, empty=False)
    with pytest.raises(AssertionError, match="no nodes: raised"):
        check_model(NeedsANode)


def test_unused_parameters_are_those_that_are_named():
    check_model(IdleParameter, unused=["idl*"])
    with pytest.raises(AssertionError, match=r"a gradient reaches 'lin\.bias', which is said to be unused"):
        check_model(IdleParameter, unused=["idle", "*.bias"])


def test_features_that_need_no_gradient_are_not_asked_for():
    check_model(Sum, edge_channels=2, reads=["x"])
    with pytest.raises(AssertionError, match=r"^Sum: gradients: no gradient reaches 'edge_attr'"):
        check_model(Sum, edge_channels=2)


class Chooses(Sum):
    """Straight through, but for the sign of the gradient."""

    def forward(self, batch):
        out = super().forward(batch)
        return (out > 0).double() + (out - out.detach())


def test_choices_are_not_compared_with_differences():
    check_model(Chooses, differentiable=False)
    with pytest.raises(AssertionError, match=r"^Chooses: gradients: raised GradcheckError"):
        check_model(Chooses)


def test_graphs_and_transforms_may_be_given():
    seen = []

    def make_graph(num_nodes, edge_index, generator):
        return Data(x=torch.ones(num_nodes, 2), edge_index=edge_index, sign=torch.ones(num_nodes))

    def transform(data):
        seen.append((data.num_nodes, data.get("ptr") is None))
        data = data.clone()
        data.x = torch.cat([data.x, data.x * data.sign[:, None]], 1)
        return data

    check_model(Sum, make_graph=make_graph, transform=transform)
    assert (0, True) in seen
    assert any(n > 9 and not single for n, single in seen)


def test_an_unknown_level_is_named():
    with pytest.raises(ConfigError, match="did you mean 'node'"):
        check_model(Sum, level="nodes")


def test_the_global_random_state_is_left_alone():
    before = torch.random.get_rng_state()
    check_model(Sum)
    assert torch.equal(torch.random.get_rng_state(), before)
