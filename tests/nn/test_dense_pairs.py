"""PPGN and the 2-IGN: against dense tensors and a brute-force basis, the graphs they separate, and memory."""

from __future__ import annotations

from functools import partial
from itertools import product

import networkx as nx
import pytest
import torch
from jsonargparse import ArgumentParser
from torch import nn
from torch_geometric.data import Batch, Data

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.nn import IGN2, PPGN, BatchNorm, LinearEncoder
from gnnlab.nn._dense_pairs import DensePairs
from gnnlab.nn.linear import Linear
from gnnlab.nn.models.ign import EquivariantLinear
from gnnlab.testing import check_model

PTR = torch.tensor([0, 3, 3, 4, 9, 11])


def graph(nx_graph: nx.Graph, channels: int = 4) -> Data:
    nx_graph = nx.convert_node_labels_to_integers(nx_graph)
    edges = torch.tensor(list(nx_graph.edges), dtype=torch.long).view(-1, 2).t()
    x = torch.ones(nx_graph.number_of_nodes(), channels, dtype=torch.double)
    return Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], 1))


def rook() -> nx.Graph:
    return nx.line_graph(nx.complete_bipartite_graph(4, 4))


def shrikhande() -> nx.Graph:
    steps = ((1, 0), (0, 1), (1, 1))
    cells = list(product(range(4), repeat=2))
    return nx.Graph([((i, j), ((i + a) % 4, (j + b) % 4)) for i, j in cells for a, b in steps])


PAIRS = {
    "C6": (nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))),
    "CSL": (nx.circulant_graph(11, [1, 2]), nx.circulant_graph(11, [1, 3])),
    "prism": (nx.complete_bipartite_graph(3, 3), nx.circular_ladder_graph(3)),
    "Rook": (rook(), shrikhande()),
}


def gap(model: nn.Module, first: nx.Graph, second: nx.Graph) -> float:
    """Relative difference of the outputs for two graphs."""
    a, b = model.double()(Batch.from_data_list([graph(first), graph(second)]))
    a, b = a.detach(), b.detach()
    return float((a - b).norm() / (a.norm() + b.norm()))


def blocks(pairs: DensePairs, h: torch.Tensor) -> list[torch.Tensor]:
    """The rows of every graph as a tensor [n, n, d]."""
    sizes = pairs.ptr.diff().tolist()
    parts = h.split([n * n for n in sizes])
    return [part.view(n, n, h.size(1)) for part, n in zip(parts, sizes, strict=True)]


def brute_force_basis(n: int) -> list[torch.Tensor]:
    """Sums over the orbits of permutations on quadruples of nodes: tensors [n, n, n, n], output first."""
    found: dict[tuple[int, ...], torch.Tensor] = {}
    for cell in product(range(n), repeat=4):
        kind = tuple(cell.index(node) for node in cell)
        found.setdefault(kind, torch.zeros(n, n, n, n, dtype=torch.double))[cell] = 1
    return list(found.values())


def test_products_are_those_of_matrices():
    pairs = DensePairs.of(PTR)
    a, b = torch.randn(2, pairs.root.numel(), 3, dtype=torch.double)
    expected = [torch.einsum("uwd,wvd->uvd", x, y) for x, y in zip(blocks(pairs, a), blocks(pairs, b), strict=True)]
    torch.testing.assert_close(blocks(pairs, pairs.matmul(a, b)), expected)
    torch.testing.assert_close(blocks(pairs, a[pairs.transpose]), [x.transpose(0, 1) for x in blocks(pairs, a)])


def test_the_layer_spans_the_invariant_tensors():
    n = 4
    pairs, layer = DensePairs.of(torch.tensor([0, n])), EquivariantLinear(1, 1).double()
    unit = torch.eye(n * n, dtype=torch.double)
    maps = []
    for k in range(15):
        with torch.no_grad():
            layer.weight.zero_()[k] = 1
            maps.append(torch.cat([layer(column[:, None], pairs) for column in unit], 1).flatten())
    basis = torch.stack([tensor.flatten() for tensor in brute_force_basis(n)])
    ours = torch.stack(maps)
    assert len(basis) == 15
    assert torch.linalg.matrix_rank(ours) == 15
    assert torch.linalg.matrix_rank(torch.cat([ours, basis])) == 15


def test_normalised_sums_are_means():
    pairs = DensePairs.of(torch.tensor([0, 5]))
    layer = EquivariantLinear(2, 3, normalise=True).double()
    h = torch.ones(25, 2, dtype=torch.double)
    off = pairs.root != pairs.node
    everywhere = layer.weight[[0, 1, 2, 3, 4, 5, 6, 7, 11, 12]].sum((0, 1))
    torch.testing.assert_close(layer(h, pairs)[off], everywhere.expand(20, 3))


def weighted() -> Data:
    """A directed triangle with a double edge and a tail, and a node without edges."""
    edge_index = torch.tensor([[0, 1, 2, 2, 2], [1, 2, 0, 0, 3]])
    weight = torch.tensor([1.0, 2.0, 3.0, 0.5, 4.0], dtype=torch.double)
    return Data(x=torch.randn(5, 4, dtype=torch.double), edge_index=edge_index, edge_weight=weight)


@pytest.mark.parametrize("adjacency", ["plain", "normalised"])
def test_the_first_states_are_the_input_tensor(adjacency):
    torch.manual_seed(0)
    model, data = IGN2(2, 3, 1, in_channels=4, adjacency=adjacency).double(), weighted()
    dense = torch.zeros(5, 5, dtype=torch.double).index_put(tuple(data.edge_index), data.edge_weight, accumulate=True)
    if adjacency == "normalised":
        degree = dense.sum(0)
        scale = torch.diag(torch.where(degree > 0, degree.pow(-0.5), 0))
        dense = scale @ dense @ scale
    given = torch.stack([dense, torch.eye(5, dtype=torch.double)], 2)
    expected = model.input.relation(given) + torch.diag_embed(model.input.x(data.x).t()).permute(1, 2, 0)
    torch.testing.assert_close(model.states(data)[0].view(5, 5, 3), expected)


@pytest.mark.parametrize("rectified", [False, True])
def test_a_block_and_its_heads_are_the_formula(rectified):
    torch.manual_seed(0)
    options = {"skip_activation": nn.ReLU} if rectified else {}
    model, data = PPGN(2, 3, 2, in_channels=4, **options).double(), weighted()
    first, *rest = (h.view(5, 5, 3) for h in model.states(data))
    assert [type(layer) for layer in model.blocks[0].left] == [Linear, nn.ReLU, Linear, nn.ReLU]
    off, scores = ~torch.eye(5, dtype=torch.bool), 0
    for block, head, found in zip(model.blocks, model.heads, rest, strict=True):
        product = torch.einsum("uwd,wvd->uvd", block.left(first), block.right(first))
        first = block.skip(torch.cat([first, product], 2))
        first = first.relu() if rectified else first
        torch.testing.assert_close(found, first)
        (layer,) = head
        pooled = torch.cat([first.diagonal().sum(1), first[off].sum(0)])
        scores = scores + layer(pooled)
    torch.testing.assert_close(model(data)[0], scores)


@pytest.mark.parametrize("name", PAIRS)
def test_what_ppgn_separates(name):
    torch.manual_seed(0)
    difference = gap(PPGN(8, 16, 3, in_channels=4), *PAIRS[name])
    assert difference < 1e-12 if name == "Rook" else difference > 1e-9


@pytest.mark.parametrize("name", PAIRS)
def test_2_ign_separates_no_regular_graphs_of_one_degree(name):
    torch.manual_seed(0)
    assert gap(IGN2(8, 16, 3, in_channels=4, normalise=True), *PAIRS[name]) < 1e-12


@pytest.mark.parametrize("model", [PPGN, IGN2])
def test_graphs_of_other_degrees_are_separated(model):
    torch.manual_seed(0)
    assert gap(model(8, 16, 3, in_channels=4), nx.path_graph(4), nx.star_graph(3)) > 1e-9


@pytest.mark.parametrize(
    "options",
    [{"level": "node"}, {"norm": BatchNorm, "pool": "max"}, {"edge_channels": 2}, {"adjacency": "normalised"}],
)
@pytest.mark.parametrize("model", [PPGN, IGN2])
def test_options_are_correct_models(model, options):
    factory = partial(model, hidden_channels=4, num_layers=2, in_channels=4, **options)
    check_model(factory, edge_channels=options.get("edge_channels"), level=options.get("level", "graph"))


def test_the_last_block_alone():
    check_model(partial(PPGN, hidden_channels=4, num_layers=2, in_channels=4, suffix="last"))


@pytest.mark.parametrize("model", [PPGN, IGN2])
def test_too_many_pairs_are_refused(model):
    large = Data(x=torch.zeros(100_000, 4), edge_index=torch.zeros(2, 0, dtype=torch.long))
    with pytest.raises(
        BudgetError, match=r"10,000,000,000 pairs of nodes take about .* GiB, more than max_gigabytes=8"
    ):
        model(2, in_channels=4)(large)


def test_bad_settings():
    with pytest.raises(ConfigError, match="did you mean 'every'"):
        PPGN(2, in_channels=4, suffix="evry")
    with pytest.raises(ConfigError, match="did you mean 'normalised'"):
        IGN2(2, in_channels=4, adjacency="normalized")
    with pytest.raises(ConfigError, match="at least 1"):
        IGN2(2, in_channels=4, num_layers=0)
    with pytest.raises(ConfigError, match="width of x"):
        PPGN(2)
    with pytest.raises(GraphError, match="no edge features"):
        PPGN(2, in_channels=4, edge_channels=2).double()(graph(nx.path_graph(2)))


@pytest.mark.parametrize("name", ["PPGN", "IGN2"])
def test_from_a_configuration(name):
    parser = ArgumentParser()
    parser.add_subclass_arguments(nn.Module, "model")
    settings = {
        "out_channels": 2,
        "hidden_channels": 4,
        "encoder": {
            "class_path": "gnnlab.nn.FeatureEncoder",
            "init_args": {"node": {"class_path": "gnnlab.nn.LinearEncoder", "init_args": {"in_channels": 4}}},
        },
        "norm": {"class_path": "gnnlab.nn.BatchNorm"},
    }
    config = parser.parse_object({"model": {"class_path": f"gnnlab.nn.{name}", "init_args": settings}})
    model = parser.instantiate_classes(config).model
    assert isinstance(model.input.encoder.node, LinearEncoder)
    assert model.double()(graph(nx.path_graph(3))).shape == (1, 2)
