"""Message functions of MPNN: both forms of the edge network, oracles with a loop over edges, and the layer."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch_geometric.nn as pyg
from hypothesis import given
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn import (
    GNN,
    EdgeNetworkConv,
    EdgeNetworkMessage,
    FeatureEncoder,
    LinearEncoder,
    MatmulMessage,
    PairMessage,
)
from gnnlab.nn._outer_aggregate import outer_aggregate
from gnnlab.ops import CSR
from gnnlab.testing import check_conv
from gnnlab.testing.strategies import unions

N = 9


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.double)


@pytest.mark.parametrize("factored", [True, False, None])
@pytest.mark.parametrize("root", [True, False])
def test_the_layer_is_a_correct_layer(factored, root):
    check_conv(
        partial(EdgeNetworkConv, edge_channels=3, network_channels=5, factored=factored, root=root, bias=root),
        edge_dim=3,
    )


@pytest.mark.parametrize(
    "factory",
    [
        partial(EdgeNetworkMessage, edge_channels=3, network_channels=4, network_layers=3, reduce="mean"),
        partial(PairMessage, edge_channels=3, pair_channels=5),
        partial(PairMessage, edge_channels=3, reduce="mean"),
    ],
)
def test_message_functions_are_correct_layers(factory):
    check_conv(factory, edge_dim=3)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_messages_by_type_are_correct_layers(reduce):
    check_conv(partial(MatmulMessage, num_types=3, reduce=reduce), num_relations=3)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_factored_equals_materialised_and_a_loop_over_edges(edge_index, reduce, weighted):
    message = EdgeNetworkMessage(4, 6, edge_channels=5, network_channels=7, reduce=reduce).double()
    x, edge_attr = double(N, 4), double(edge_index.size(1), 5)
    weight = torch.rand(edge_index.size(1), dtype=torch.double) if weighted else None
    phi = message.network(edge_attr)
    blocks = message.weight.view(8, 4, 6)
    expected = torch.zeros(N, 6, dtype=torch.double)
    for e, (u, v) in enumerate(edge_index.t().tolist()):
        matrix = blocks[7] + sum(phi[e, r] * blocks[r] for r in range(7))
        expected[v] += (1.0 if weight is None else weight[e]) * (x[u] @ matrix)
    if reduce == "mean":
        expected = expected / edge_index[1].bincount(minlength=N).clamp(min=1)[:, None]
    for factored in (True, False):
        message.factored = factored
        for adj in (edge_index, CSR.from_edge_index(edge_index, N)):
            torch.testing.assert_close(message(x, adj, edge_attr, weight), expected)


def test_gradients_of_both_forms_are_equal(edge_index):
    message = EdgeNetworkMessage(4, 6, edge_channels=5, network_channels=7).double()
    x, edge_attr, probe = double(N, 4), double(edge_index.size(1), 5), double(N, 6)
    grads = []
    for factored in (True, False):
        message.factored = factored
        inputs = [x.clone().requires_grad_(), edge_attr.clone().requires_grad_(), *message.parameters()]
        grads.append(torch.autograd.grad((message(*inputs[:1], edge_index, inputs[1]) * probe).sum(), inputs))
    torch.testing.assert_close(grads[0], grads[1])


@given(unions(max_graphs=4))
def test_sums_of_outer_products(batch: Batch) -> None:
    n, m = batch.num_nodes, batch.edge_index.size(1)
    generator = torch.Generator().manual_seed(n + 100 * m)
    x, factors, weight = (
        torch.randn(*shape, generator=generator, dtype=torch.double) for shape in ((n, 3), (m, 2), (6, 4))
    )
    source, target = batch.edge_index
    outer = (factors[:, :, None] * x[source][:, None, :]).flatten(1)
    expected = torch.zeros(n, 6, dtype=torch.double).index_add_(0, target, outer) @ weight
    actual = outer_aggregate(x, factors, weight, CSR.from_edge_index(batch.edge_index, n))
    torch.testing.assert_close(actual, expected)


def test_the_form_is_chosen_by_memory():
    message = EdgeNetworkMessage(4, 6, edge_channels=5, network_channels=11)
    # 12 numbers per node against 6 per edge
    assert message.encode_edges(torch.rand(200, 5), 100).values.shape == (200, 12)
    assert message.encode_edges(torch.rand(199, 5), 100).values.shape == (199, 4, 6)


def test_no_matrix_per_edge_is_built_in_the_factored_form(edge_index):
    message = EdgeNetworkMessage(8, 16, edge_channels=5, network_channels=3, factored=True)
    largest = 0

    def remember(tensor: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, tensor.numel())
        return tensor

    complete = torch.tensor([(u, v) for u in range(20) for v in range(20) if u != v]).t()
    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        message(torch.randn(20, 8), complete, torch.rand(380, 5)).sum().backward()
    # E d = 3040 is the largest; E d d' would be 48640
    assert largest <= 380 * 8


def test_one_hot_types_make_an_edge_network_of_matmul(edge_index):
    """Test 3 of the paper's specification: a network that returns A_k for type k equals one matrix per type."""
    kinds = torch.randint(4, (edge_index.size(1),))
    network = EdgeNetworkMessage(5, 6, edge_channels=4, network_channels=4).double()
    matmul = MatmulMessage(5, 6, num_types=4).double()
    with torch.no_grad():
        network.network[0].weight.copy_(torch.eye(4))
        network.network[0].bias.zero_()
        network.weight[:20] = matmul.weight
        network.weight[20:] = 0
    x, one_hot = double(N, 5), nn.functional.one_hot(kinds, 4).double()
    expected = matmul(x, edge_index, edge_type=kinds)
    for factored in (True, False):
        network.factored = factored
        torch.testing.assert_close(network(x, edge_index, one_hot), expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_pair_messages_equal_a_loop_over_edges(edge_index, weighted):
    message = PairMessage(4, 6, edge_channels=5, pair_channels=7).double()
    nn.init.normal_(message.bias)
    x, edge_attr = double(N, 4), double(edge_index.size(1), 5)
    weight = torch.rand(edge_index.size(1), dtype=torch.double) if weighted else torch.ones(edge_index.size(1)).double()
    expected = torch.zeros(N, 6, dtype=torch.double)
    first = torch.cat([message.source.weight, message.target.weight, message.edge.weight], dim=1)
    for e, (u, v) in enumerate(edge_index.t().tolist()):
        hidden = (first @ torch.cat([x[u], x[v], edge_attr[e]]) + message.edge.bias).relu()
        expected[v] += weight[e] * (message.last.weight @ hidden + message.bias)
    actual = message(x, edge_index, edge_attr, weight if weighted else None)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_the_layer_equals_nnconv_of_pyg(edge_index, reduce):
    ours = EdgeNetworkConv(4, 6, edge_channels=5, network_channels=7, reduce=reduce).double()
    nn.init.normal_(ours.bias)
    inner = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 24)).double()
    theirs = pyg.NNConv(4, 6, inner, aggr=reduce).double()
    with torch.no_grad():
        inner[0].load_state_dict(ours.message.network[0].state_dict())
        blocks = ours.message.weight.view(8, 24)
        inner[2].weight.copy_(blocks[:7].t())
        inner[2].bias.copy_(blocks[7])
        theirs.lin.weight.copy_(ours.root.weight)
        theirs.bias.copy_(ours.bias)
    x, edge_attr = double(N, 4), double(edge_index.size(1), 5)
    torch.testing.assert_close(ours(x, edge_index, edge_attr), theirs(x, edge_index, edge_attr))


def test_drops_into_pyg_and_into_the_stack(edge_index):
    layers = [
        (EdgeNetworkConv(4, 8, edge_channels=5), "x, edge_index, edge_attr -> x"),
        nn.ReLU(),
        (EdgeNetworkConv(8, 2, edge_channels=5), "x, edge_index, edge_attr -> x"),
    ]
    x, edge_attr = torch.randn(N, 4), torch.rand(edge_index.size(1), 5)
    assert pyg.Sequential("x, edge_index, edge_attr", layers)(x, edge_index, edge_attr).shape == (N, 2)
    encoder = partial(
        FeatureEncoder, node=partial(LinearEncoder, in_channels=4), edge=partial(LinearEncoder, in_channels=5)
    )
    stack = GNN(3, 8, 2, EdgeNetworkConv, encoder=encoder)
    out = stack(Data(x=x, edge_index=edge_index, edge_attr=edge_attr))
    out.sum().backward()
    assert out.shape == (1, 3)
    assert all(p.grad is not None for p in stack.parameters())


def test_what_does_not_fit_is_named(edge_index):
    x = torch.randn(N, 4)
    for factory in (EdgeNetworkMessage, PairMessage):
        with pytest.raises(GraphError, match=f"{factory.__name__} reads edge features .E, 5., but there is none"):
            factory(4, 6, edge_channels=5)(x, edge_index)
        with pytest.raises(GraphError, match=r"torch\.int64"):
            factory(4, 6, edge_channels=5)(x, edge_index, torch.ones(edge_index.size(1), 5, dtype=torch.long))
    with pytest.raises(ConfigError, match="network_layers at least 2"):
        EdgeNetworkMessage(4, 6, network_layers=1)
    with pytest.raises(ConfigError, match=r"unknown reduce 'max'"):
        EdgeNetworkConv(4, 6, reduce="max")
    with pytest.raises(ConfigError, match="num_types must be at least 1"):
        MatmulMessage(4, 6, num_types=0)
    with pytest.raises(GraphError, match="relation 4"):
        MatmulMessage(4, 6)(x, edge_index, edge_type=torch.full((edge_index.size(1),), 4))


def test_initial_matrices_have_glorots_scale():
    message = EdgeNetworkMessage(50, 50, edge_channels=3, network_channels=128)
    torch.testing.assert_close(message.weight.var().item() * message.rank, 2 / 100, rtol=0.05, atol=0)
