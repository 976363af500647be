"""Subgraph networks: layers against loops over marked copies, the pairs of graphs they separate, published sizes."""

from __future__ import annotations

from functools import partial

import networkx as nx
import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from gnnlab.data import load_dataset
from gnnlab.errors import ConfigError, GraphError
from gnnlab.lifting import NodePairs
from gnnlab.nn import (
    MLP,
    CategoricalEncoder,
    EdgeTable,
    FeatureEncoder,
    GCNConv,
    GINEConv,
    Recipe,
    SubgraphConv,
    SubgraphGNN,
)
from gnnlab.nn._tuple_store import Tuples
from gnnlab.nn.models._subgraph_recipes import RECIPES
from gnnlab.ops import CSR
from gnnlab.testing import check_model

PLAIN = {"update": MLP, "norm": None}


def graph(nx_graph: nx.Graph, channels: int = 4) -> Data:
    nx_graph = nx.convert_node_labels_to_integers(nx_graph)
    edges = torch.tensor(list(nx_graph.edges), dtype=torch.long).view(-1, 2).t()
    x = torch.ones(nx_graph.number_of_nodes(), channels)
    return Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], 1))


def prepared(recipe: Recipe) -> NodePairs:
    return NodePairs(recipe.policy, hops=recipe.hops, marking=recipe.marking)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_a_correct_model(name):
    factory = partial(SubgraphGNN, hidden_channels=4, num_layers=2, recipe=name, in_channels=4)
    check_model(factory, edge_channels=4, transform=prepared(RECIPES[name]), reads=("x",))


@pytest.mark.parametrize("options", [{"level": "node"}, {"readout": "pairs", "pool": "mean"}, {"residual": True}])
@pytest.mark.parametrize("name", ["swl-sv", "sswl+"])
def test_every_option_is_a_correct_model(name, options):
    factory = partial(SubgraphGNN, hidden_channels=4, num_layers=2, recipe=name, in_channels=4, **options)
    check_model(factory, transform=prepared(RECIPES[name]), level=options.get("level", "graph"))


def test_a_base_convolution_is_a_correct_model():
    factory = partial(SubgraphGNN, hidden_channels=4, num_layers=2, recipe="sswl", in_channels=4, conv=GCNConv)
    check_model(factory, transform=prepared(RECIPES["sswl"]))


def random_pairs() -> tuple[Data, CSR, Tuples, Tensor]:
    generator = torch.Generator().manual_seed(0)
    data = Batch.from_data_list([graph(nx.gnp_random_graph(n, 0.4, seed=n)) for n in (6, 1, 4)])
    data = NodePairs()(data)
    adj = CSR.from_edge_index(data.edge_index, data.num_nodes)
    rows = Tuples.of(*data.pair_index, data.num_nodes, data.ptr)
    h = torch.randn(rows.num_rows, 4, dtype=torch.double, generator=generator)
    return data, adj, rows, h


@pytest.mark.parametrize("as_table", [False, True])
def test_inside_is_the_base_network_on_every_marked_copy(as_table):
    """The union of one copy of the graph for every root, with a convolution on it."""
    data, adj, rows, h = random_pairs()
    attr = torch.randn(data.num_edges, 4, dtype=torch.double)
    given = EdgeTable(attr, torch.arange(data.num_edges)) if as_table else attr
    torch.manual_seed(0)
    layer = SubgraphConv(4, 4, ("uL",), **PLAIN, activation=None, eps=0.5).double()
    base = GINEConv(4, 4, eps=0.5, train_eps=True).double()
    base.update.load_state_dict(layer.terms[0].update.state_dict())
    out = layer(h, rows, adj, given)
    u, v = data.pair_index
    for root in range(data.num_nodes):
        mine = (u == root).nonzero().flatten()
        first, last = int(v[mine[0]]), int(v[mine[-1]])
        inside = (data.edge_index[0] >= first) & (data.edge_index[0] <= last)
        expected = base(h[mine], data.edge_index[:, inside] - first, attr[inside])
        torch.testing.assert_close(out[mine], expected, rtol=0, atol=1e-12)


def test_across_is_inside_between_two_transpositions():
    _, adj, rows, h = random_pairs()
    torch.manual_seed(0)
    inside = SubgraphConv(4, 4, ("uL",), **PLAIN).double()
    across = SubgraphConv(4, 4, ("vL",), **PLAIN).double()
    across.load_state_dict(inside.state_dict())
    swap = rows.transpose.src.long()
    torch.testing.assert_close(across(h, rows, adj), inside(h[swap], rows, adj)[swap], rtol=0, atol=1e-12)


def test_every_aggregation_is_its_formula():
    data, adj, rows, h = random_pairs()
    u, v = data.pair_index
    place = {pair: i for i, pair in enumerate(zip(u.tolist(), v.tolist(), strict=True))}
    s = torch.zeros(data.num_nodes, 4, dtype=torch.double).index_add_(0, v, h)
    near = torch.zeros_like(s).index_add_(0, data.edge_index[1], s.relu()[data.edge_index[0]])
    expected = {
        "vu": h + h[[place[b, a] for a, b in place]],
        "uu": h + h[[place[a, a] for a, b in place]],
        "vv": h + h[[place[b, b] for a, b in place]],
        "uG": h + torch.zeros_like(s).index_add_(0, u, h)[u],
        "vG": h + s[v],
        "vGL": (s + near)[v],
    }
    for name, value in expected.items():
        layer = SubgraphConv(4, 4, (name,), update=lambda i, o: nn.Identity(), norm=None, activation=None).double()
        torch.testing.assert_close(layer(h, rows, adj), value)


def test_the_diagonal_has_weights_of_its_own():
    data, adj, rows, h = random_pairs()
    layer = SubgraphConv(4, 4, ("uL",), **PLAIN, diagonal=True).double()
    before = layer(h, rows, adj)
    with torch.no_grad():
        layer.terms[0].update_diagonal[-2].bias.add_(1)
    changed = (layer(h, rows, adj) != before).any(1)
    assert not bool(changed[data.pair_index[0] != data.pair_index[1]].any())
    assert bool(changed.any())


DECALIN = nx.Graph([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0), (4, 6), (6, 7), (7, 8), (8, 9), (9, 5)])
PENTAGONS = nx.Graph([*nx.cycle_graph(5).edges, *[(5 + i, 5 + (i + 1) % 5) for i in range(5)], (0, 5)])
TRIANGLES = nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
SEPARATED = {
    "C6": (nx.cycle_graph(6), TRIANGLES),
    "C8": (nx.cycle_graph(8), nx.disjoint_union(nx.cycle_graph(4), nx.cycle_graph(4))),
    "C7": (nx.cycle_graph(7), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(4))),
    "decalin": (DECALIN, PENTAGONS),
    "K33": (nx.complete_bipartite_graph(3, 3), nx.circular_ladder_graph(3)),
    "CSL 41": (nx.circulant_graph(41, [1, 2]), nx.circulant_graph(41, [1, 3])),
    "CSL 11": (nx.circulant_graph(11, [1, 2]), nx.circulant_graph(11, [1, 3])),
    "Petersen": (nx.petersen_graph(), nx.circular_ladder_graph(5)),
    "dodecahedron": (nx.dodecahedral_graph(), nx.desargues_graph()),
}
ROOK = nx.line_graph(nx.complete_bipartite_graph(4, 4))
SHRIKHANDE = nx.Graph(
    ((i, j), ((i + a) % 4, (j + b) % 4)) for i in range(4) for j in range(4) for a, b in ((0, 1), (1, 0), (1, 1))
)


def gap(name: str, first: nx.Graph, second: nx.Graph, hops: int = 5) -> float:
    """Largest distance of the embeddings by a random network in float64, among a few draws, relative to their size."""
    recipe, found = RECIPES[name], 0.0
    recipe = Recipe(**{**vars(recipe), "hops": hops})
    batch = prepared(recipe)(Batch.from_data_list([graph(first), graph(second)]))
    batch = batch.apply(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)
    for seed in range(3):
        torch.manual_seed(seed)
        options = {"recipe": recipe, "in_channels": 4, "norm": None, "pool": "mean", "head": nn.Identity}
        update = partial(MLP, activation=nn.Tanh)
        model = SubgraphGNN(8, 16, 5, update=update, activation=nn.Tanh, **options).double().eval()
        a, b = model(batch)
        found = max(found, float((a - b).detach().norm()))
    return found


@pytest.mark.parametrize("pair", SEPARATED)
@pytest.mark.parametrize("name", ["swl-vs", "swl-sv", "pswl-vs", "pswl-sv", "gswl", "sswl", "sswl+"])
def test_every_class_separates_what_it_must(name, pair):
    assert gap(name, *SEPARATED[pair]) > 1e-9


@pytest.mark.parametrize("name", ["ngnn", "ds-gnn", "dss-gnn", "id-gnn", "gnn-ak", "gnn-ak+", "sun", "reign2"])
def test_every_member_separates_the_hexagon_from_triangles(name):
    assert gap(name, *SEPARATED["C6"]) > 1e-9


@pytest.mark.parametrize("pair", ["K33", "CSL 11", "Petersen"])
def test_balls_without_marks_that_are_whole_graphs_add_nothing(pair):
    """GNN-AK has no marks: with balls of all nodes, every subgraph is the same regular graph."""
    assert gap("gnn-ak", *SEPARATED[pair]) < 1e-12
    assert gap("gnn-ak+", *SEPARATED[pair]) > 1e-9


def test_smaller_balls_tell_more_without_marks():
    assert gap("gnn-ak", *SEPARATED["K33"], hops=1) > 1e-9


def test_roots_have_weights_of_their_own_in_the_shared_part():
    """SUN: the mean over subgraphs goes through one network for roots and another for all other rows."""
    n, adjacency = 5, torch.tensor(nx.to_numpy_array(nx.house_graph())).double()
    rows = Tuples.of(*torch.cartesian_prod(torch.arange(n), torch.arange(n)).T, n, torch.tensor([0, n]))
    options = {"diagonal": True, "norm": None, "activation": None}
    conv = SubgraphConv(3, 4, ("vGL", "uG"), torch.nn.Linear, means=("vGL",), **options).double()
    h = torch.randn(n, n, 3, dtype=torch.float64)
    out = conv(h.view(-1, 3), rows, CSR.from_edge_index(adjacency.nonzero().T, n)).view(n, n, 4)
    shared, whole = conv.terms
    nodes = h.mean(0)
    z = nodes + adjacency @ nodes.relu()
    sums = h + h.sum(1, keepdim=True)
    expected = shared.update(z).expand(n, n, 4) + whole.update(sums)
    at_root = shared.update_diagonal(z) + whole.update_diagonal(sums.diagonal().T)
    same = torch.eye(n, dtype=torch.bool).unsqueeze(-1)
    torch.testing.assert_close(out, torch.where(same, at_root.unsqueeze(1), expected))


@pytest.mark.parametrize("name", RECIPES)
def test_no_class_separates_what_three_wl_cannot(name):
    assert gap(name, ROOK, SHRIKHANDE) < 1e-12


def zinc_model(recipe: str, **options) -> SubgraphGNN:
    """With 30 atoms, 5 bonds and 6 distances, as in the released code."""
    return SubgraphGNN(
        1,
        recipe=recipe,
        unreachable=False,
        encoder=partial(FeatureEncoder, node=partial(CategoricalEncoder, num_categories=[30])),
        edge_encoder=partial(CategoricalEncoder, num_categories=[5]),
        readout="pairs",
        pool="mean",
        **options,
    )


def test_parameters_of_the_published_models():
    assert zinc_model("sswl").num_parameters == 273_997
    assert zinc_model("sswl+").num_parameters == 386_881 + 3 * 6  # and three epsilons in every layer


@pytest.mark.mirror
def test_a_step_on_zinc():
    batch = NodePairs(marking="distance")(load_dataset("zinc-12k")[torch.arange(32)])
    model = zinc_model("sswl+", hidden_channels=16, num_layers=2)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(5):
        loss = (model(batch) - batch.y.view(-1, 1)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0]


def test_refusals_say_what_to_add():
    data = graph(nx.cycle_graph(4))
    model = SubgraphGNN(1, 4, 1, in_channels=4)
    with pytest.raises(GraphError, match=r"NodePairs\(marking='distance'\)"):
        model(data)
    with pytest.raises(GraphError, match="pair_mark"):
        model(NodePairs(marking="none")(data))
    with pytest.raises(GraphError, match="does not have all pairs"):
        model(NodePairs("ego", hops=1, marking="distance")(data))
    far = NodePairs(marking="distance", max_distance=9)(graph(nx.path_graph(9)))
    with pytest.raises(GraphError, match=r"pair_mark holds 8, .* 7 marks"):
        model(far)
    with pytest.raises(GraphError, match="adds edge features"):
        model(NodePairs(marking="distance")(Data(**data, edge_attr=torch.ones(8, 3))))
    for bad in ({"recipe": "sswl++"}, {"num_layers": 0}, {"readout": "root"}, {"pool": "max"}, {"in_channels": None}):
        with pytest.raises(ConfigError):
            SubgraphGNN(**{"out_channels": 1, "in_channels": 4, **bad})
    for bad in ({"aggregations": ()}, {"aggregations": ("uL", "uL")}, {"aggregations": ("uv",)}, {"pool": "SS"}):
        with pytest.raises(ConfigError):
            Recipe(**bad)
    for means in (("vG",), ("uL",), ("uG", "mean")):
        with pytest.raises(ConfigError, match="means names"):
            SubgraphConv(4, 4, ("uL", "uG"), means=means)
        with pytest.raises(ConfigError, match="means names"):
            Recipe(("uL", "uG"), means=means)


YAML = """
class_path: gnnlab.nn.SubgraphGNN
init_args:
  out_channels: 1
  hidden_channels: 12
  num_layers: 2
  recipe: {recipe}
  readout: pairs
  pool: mean
  encoder:
    class_path: gnnlab.nn.FeatureEncoder
    init_args:
      node: {{class_path: gnnlab.nn.CategoricalEncoder, init_args: {{num_categories: [28]}}}}
  edge_encoder: {{class_path: gnnlab.nn.CategoricalEncoder, init_args: {{num_categories: [4]}}}}
"""


@pytest.mark.parametrize("recipe", ["sswl+", "{aggregations: [uL, vG], pool: SV, policy: ego}"])
def test_models_are_built_from_yaml(recipe):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=nn.Module)
    config = parser.parse_string(
        "model:\n" + "".join(f"  {line}\n" for line in YAML.format(recipe=recipe).splitlines())
    )
    model = parser.instantiate_classes(config).model
    data = graph(nx.cycle_graph(5))
    data.x, data.edge_attr = torch.zeros(5, 1, dtype=torch.long), torch.zeros(10, 1, dtype=torch.long)
    assert model(NodePairs(marking="distance")(data)).shape == (1, 1)
    again = parser.parse_string(parser.dump(config))
    assert parser.dump(again) == parser.dump(config)
