"""Networks on labelled copies: against simpler networks and loops over copies, power, sampling, settings."""

from __future__ import annotations

from functools import partial
from itertools import permutations

import networkx as nx
import pytest
import torch
from jsonargparse import ArgumentParser
from torch import nn
from torch_geometric.data import Batch, Data

from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.lifting import NodePairs, NodeTuples
from gnnlab.nn import GNN, I2GNN, KLGNN, MLP, PPGN, GCNConv, GINEConv, LabelledCopies, SubgraphGNN
from gnnlab.nn.models._tuple_parts import PoolLayer, paper_head
from gnnlab.testing import check_model

PLAIN = {"update": MLP, "norm": None}
ROOK = nx.line_graph(nx.complete_bipartite_graph(4, 4))
SHRIKHANDE = nx.Graph(
    ((i, j), ((i + a) % 4, (j + b) % 4)) for i in range(4) for j in range(4) for a, b in ((0, 1), (1, 0), (1, 1))
)
TRIANGLES = nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
ADJACENT = NodeTuples(kind="adjacent", ordered=True)


def graph(nx_graph: nx.Graph, channels: int = 4) -> Data:
    nx_graph = nx.convert_node_labels_to_integers(nx_graph)
    edges = torch.tensor(list(nx_graph.edges), dtype=torch.long).view(-1, 2).t()
    x = torch.ones(nx_graph.number_of_nodes(), channels, dtype=torch.double)
    return Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], 1))


def random_graphs() -> Batch:
    data = Batch.from_data_list([graph(nx.gnp_random_graph(n, 0.4, seed=n)) for n in (6, 1, 4)])
    data.x = torch.randn(data.x.shape, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    return data


OPTIONS = [
    {"labels": 0},
    {"labels": 1},
    {"labels": 3, "num_layers": 1},
    {"labels": 1, "graph_layers": 1, "global_layers": 1},
    {"labels": 2, "graph_layers": 2, "merge": "concat", "marking": "hadamard"},
    {"labels": 2, "graph_layers": 2, "merge": "add", "residual": True, "node_pool": "mean", "pool": "max"},
    {"labels": 2, "hops": 1, "level": "node"},
    {"labels": 2, "conv": GCNConv},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_every_option_is_a_correct_model(options):
    options = {"hidden_channels": 4, "num_layers": 2, "in_channels": 4} | options
    transform = NodeTuples(options["labels"]) if options["labels"] else None
    check_model(partial(KLGNN, **options), transform=transform, level=options.get("level", "graph"))


@pytest.mark.parametrize(
    "options", [{"hops": None, "marking": "node"}, {"hops": 1, "level": "node"}, {"conv": GINEConv}]
)
def test_every_option_of_i2_is_a_correct_model(options):
    factory = partial(I2GNN, hidden_channels=4, num_layers=2, in_channels=4, **options)
    check_model(factory, transform=ADJACENT, level=options.get("level", "graph"), edge_channels=4)


def test_sampling_is_a_correct_model_but_for_numbering():
    factory = partial(KLGNN, hidden_channels=4, num_layers=1, in_channels=4, rate=0.5)
    check_model(factory, transform=NodeTuples(2), invariant=False)


def test_no_labels_is_the_base_network():
    torch.manual_seed(0)
    model = KLGNN(3, 8, 2, labels=0, conv=GCNConv, in_channels=4, **PLAIN).double()

    def head(i: int, o: int) -> nn.Module:
        return nn.Sequential(PoolLayer(i, MLP, None, nn.ReLU), paper_head(i, o))

    base = GNN(3, 8, 2, conv=GCNConv, in_channels=4, residual=False, pool="sum", head=head).double()
    assert base.num_parameters == model.num_parameters
    for parameter, other in zip(base.parameters(), model.parameters(), strict=True):
        parameter.data.copy_(other)
    data = random_graphs()
    torch.testing.assert_close(model(data), base(data), rtol=0, atol=1e-12)


def test_one_label_is_the_network_on_marked_copies():
    torch.manual_seed(0)
    model = KLGNN(3, 8, 3, labels=1, in_channels=4).double().eval()
    other = SubgraphGNN(3, 8, 3, "ds-gnn", in_channels=4).double().eval()
    states = {name.replace("labelled.layers", "inside.layers"): value for name, value in model.state_dict().items()}
    other.load_state_dict(states)
    data = random_graphs()
    expected = other(NodePairs(marking="node")(data))
    torch.testing.assert_close(model(NodeTuples(1)(data)), expected, rtol=0, atol=1e-6)


def test_two_labels_are_a_loop_over_copies():
    """Every copy a graph of its own, its nodes marked by hand, through the base network."""
    torch.manual_seed(0)
    model = KLGNN(3, 8, 2, labels=2, in_channels=4, **PLAIN).double()
    base = KLGNN(3, 8, 2, labels=0, in_channels=4, head=nn.Identity, **PLAIN).double()
    base.load_state_dict({k: v for k, v in model.state_dict().items() if k.split(".")[0] not in ("mark", "head")})
    base.readout = nn.Identity()
    data = random_graphs().to_data_list()[0]
    total = torch.zeros(1, 8, dtype=torch.double)
    for pair in [(u, v) for u in range(6) for v in range(u)]:
        copies = []
        for order in permutations(pair):
            label = torch.zeros(6, dtype=torch.long)
            label[list(order)] = torch.tensor([1, 2])
            copies.append(base(Data(x=data.x + model.mark(label), edge_index=data.edge_index)))
        total = total + model.readout(torch.stack(copies).mean(0))
    torch.testing.assert_close(model(NodeTuples(2)(data)), model.head(total), rtol=0, atol=1e-12)


def test_copies_through_a_network_are_the_labelled_rows():
    """A GNN on copies that are graphs, against the rows of KLGNN with the same weights."""
    torch.manual_seed(0)
    rows = KLGNN(3, 8, 2, labels=2, conv=GCNConv, in_channels=4, **PLAIN).double()
    plain = {"conv": GCNConv, "in_channels": 4, "residual": False, "pool": "sum", "head": lambda *_: nn.Identity()}
    copies = LabelledCopies(3, partial(GNN, hidden_channels=8, num_layers=2, **plain), 8, 2, in_channels=4).double()
    rows.readout = copies.readout
    assert rows.num_parameters == copies.num_parameters
    for own, other in (("mark", "mark"), ("labelled", "network"), ("head", "head")):
        parameters = zip(getattr(rows, own).parameters(), getattr(copies, other).parameters(), strict=True)
        for parameter, value in parameters:
            parameter.data.copy_(value)
    data = NodeTuples(2)(random_graphs())
    torch.testing.assert_close(copies(data), rows(data), rtol=0, atol=1e-12)


@pytest.mark.parametrize("options", [{"labels": 0}, {"labels": 2, "pool": "mean"}])
def test_copies_of_every_kind_are_a_correct_model(options):
    network = partial(PPGN, hidden_channels=4, num_layers=1, in_channels=4)
    transform = NodeTuples(2) if options["labels"] else None
    factory = partial(LabelledCopies, network=network, hidden_channels=4, in_channels=4, **options)
    check_model(factory, transform=transform)


def test_i2_is_a_loop_over_roots_and_neighbours():
    torch.manual_seed(0)
    model = I2GNN(3, 8, 2, hops=1, marking="node", in_channels=4, **PLAIN).double()
    data = random_graphs().to_data_list()[0]
    plain = nx.empty_graph(6)
    plain.add_edges_from(data.edge_index.t().tolist())
    total = torch.zeros(1, 8, dtype=torch.double)
    base = KLGNN(3, 8, 2, labels=0, in_channels=4, head=nn.Identity, **PLAIN).double()
    base.labelled.load_state_dict(model.inside.state_dict())
    base.readout = nn.Identity()
    for u in range(6):
        ball = sorted({u, *plain[u]})
        neighbours = [v for v in ball if v != u] or [u]
        inside = plain.subgraph(ball)
        edges = [(ball.index(a), ball.index(b)) for a, b in inside.edges for a, b in ((a, b), (b, a))]
        edge_index = torch.tensor(edges, dtype=torch.long).view(-1, 2).t()
        h = torch.zeros(1, 8, dtype=torch.double)
        for v in neighbours:
            first, second = (mark.weight[[int(w == node) for w in ball]] for mark, node in zip(model.marks, (u, v)))
            h = h + model.pools[0](base(Data(x=data.x[ball] + first + second, edge_index=edge_index)))
        total = total + model.pools[1](h)
    torch.testing.assert_close(model(ADJACENT(data)), model.head(total), rtol=0, atol=1e-12)


def gap(build: partial, lift: NodeTuples, first: nx.Graph, second: nx.Graph) -> float:
    """Largest distance of the embeddings by a random network, among a few draws, relative to their size."""
    batch, found = lift(Batch.from_data_list([graph(first), graph(second)])), 0.0
    for seed in range(3):
        torch.manual_seed(seed)
        style = {"update": partial(MLP, activation=nn.Tanh), "activation": nn.Tanh, "norm": None, "pool": "mean"}
        model = build(8, 16, 4, in_channels=4, head=nn.Identity, **style).double().eval()
        a, b = model(batch)
        found = max(found, float((a - b).detach().norm() / a.detach().norm()))
    return found


def copies_gap(labels: int) -> float:
    """Of the Rook and the Shrikhande graph by a random PPGN on labelled copies."""
    torch.manual_seed(0)
    network = partial(PPGN, hidden_channels=16, num_layers=4, in_channels=4, pool="mean")
    model = LabelledCopies(8, network, 8, labels, pool="mean", in_channels=4, head=nn.Identity).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        a, b = model(NodeTuples(1)(Batch.from_data_list([graph(ROOK), graph(SHRIKHANDE)])))
    return float((a - b).norm() / a.norm())


def test_power():
    one, two = partial(KLGNN, labels=1), partial(KLGNN, labels=2)
    hexagon = (nx.cycle_graph(6), TRIANGLES)
    assert gap(partial(KLGNN, labels=0), NodeTuples(1), *hexagon) < 1e-12
    assert gap(one, NodeTuples(1), *hexagon) > 1e-9
    assert gap(one, NodeTuples(1), ROOK, SHRIKHANDE) < 1e-12
    assert gap(two, NodeTuples(2), ROOK, SHRIKHANDE) > 1e-9
    assert copies_gap(1) > 1e-9
    assert copies_gap(0) < 1e-12
    assert gap(partial(I2GNN, marking="node"), ADJACENT, ROOK, SHRIKHANDE) > 1e-9


def test_the_order_of_nodes_in_a_set_makes_no_difference():
    torch.manual_seed(0)
    model = KLGNN(3, 8, 2, labels=3, in_channels=4, **PLAIN).double()
    data = NodeTuples(3)(random_graphs())
    expected = model(data)
    for order in permutations(range(3)):
        data.tuple_index = data.tuple_index[list(order)]
        torch.testing.assert_close(model(data), expected)


def test_many_hops_are_the_whole_graph():
    torch.manual_seed(0)
    data = NodeTuples(2)(graph(nx.path_graph(5)))
    whole = KLGNN(3, 8, 2, in_channels=4, **PLAIN).double()
    local, near = (KLGNN(3, 8, 2, in_channels=4, hops=hops, **PLAIN).double() for hops in (4, 1))
    for model in (local, near):
        model.load_state_dict(whole.state_dict())
    torch.testing.assert_close(local(data), whole(data))
    assert not torch.allclose(near(data), whole(data))


def test_tuples_that_are_as_many_as_nodes_are_no_nodes():
    """Two dense graphs with as many copies as nodes together, but not one by one."""
    torch.manual_seed(0)
    model = KLGNN(3, 8, 2, labels=1, in_channels=4, **PLAIN).double()
    graphs = [graph(nx.complete_graph(n)) for n in (3, 5)]
    graphs[0].tuple_index = torch.tensor([[0, 1, 1, 2, 2]])
    graphs[1].tuple_index = torch.tensor([[0, 3, 3]])
    batch = Batch.from_data_list(graphs)
    torch.testing.assert_close(model(batch), torch.cat([model(one) for one in graphs]))


def test_sums_of_a_sample_are_right_on_average():
    torch.manual_seed(0)
    model = KLGNN(3, 8, 1, in_channels=4, rate=0.3, head=nn.Identity, **PLAIN).double().train()
    data = NodeTuples(2)(random_graphs())
    with torch.no_grad():
        mean = torch.stack([model(data) for _ in range(400)]).mean(0)
        model.rate = 1.0
        expected = model(data)
        assert (mean - expected).norm() < 0.05 * expected.norm()
        weighted = NodeTuples(2, rate=0.5)(data)
        first = model(weighted)
        weighted.tuple_weight = 2 * weighted.tuple_weight
        torch.testing.assert_close(model(weighted), 2 * first)


def test_refusals_say_what_to_do():
    data = graph(nx.cycle_graph(6))
    with pytest.raises(GraphError, match=r"NodeTuples\(size=2\)"):
        KLGNN(1, 4, 1, in_channels=4)(data)
    with pytest.raises(GraphError, match="tuples of 3 nodes"):
        KLGNN(1, 4, 1, in_channels=4)(NodeTuples(3)(data))
    with pytest.raises(GraphError, match="kind='adjacent'"):
        I2GNN(1, 4, 1, in_channels=4)(data)
    with pytest.raises(BudgetError, match=r"(?s)90 rows.*give hops"):
        KLGNN(1, 4, 1, in_channels=4, max_gigabytes=1e-5)(NodeTuples(2)(data))
    for bad in (
        {"labels": -1},
        {"merge": "sum"},
        {"marking": "mul"},
        {"rate": 0},
        {"pool": "max2"},
        {"in_channels": None},
    ):
        with pytest.raises(ConfigError):
            KLGNN(**{"out_channels": 1, "in_channels": 4, **bad})
    for bad in ({"num_layers": 0}, {"marking": "hop"}, {"hops": -1}):
        with pytest.raises(ConfigError):
            I2GNN(**{"out_channels": 1, "in_channels": 4, **bad})


YAML = """
class_path: gnnlab.nn.{name}
init_args:
  out_channels: 1
  hidden_channels: 12
  num_layers: 2
  pool: mean
  encoder:
    class_path: gnnlab.nn.FeatureEncoder
    init_args:
      node: {{class_path: gnnlab.nn.CategoricalEncoder, init_args: {{num_categories: [28]}}}}
  edge_encoder: {{class_path: gnnlab.nn.CategoricalEncoder, init_args: {{num_categories: [4]}}}}
"""


@pytest.mark.parametrize("name", ["KLGNN", "I2GNN"])
def test_models_are_built_from_yaml(name):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=nn.Module)
    config = parser.parse_string("model:\n" + "".join(f"  {line}\n" for line in YAML.format(name=name).splitlines()))
    model = parser.instantiate_classes(config).model
    data = graph(nx.cycle_graph(5))
    data.x, data.edge_attr = torch.zeros(5, 1, dtype=torch.long), torch.zeros(10, 1, dtype=torch.long)
    assert model(ADJACENT(data)).shape == (1, 1)
    again = parser.parse_string(parser.dump(config))
    assert parser.dump(again) == parser.dump(config)


def test_labelled_copies_are_built_from_yaml():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=nn.Module)
    network = "{class_path: gnnlab.nn.PPGN, init_args: {hidden_channels: 8, num_layers: 2, in_channels: 4}}"
    config = parser.parse_string(
        "model: {class_path: gnnlab.nn.LabelledCopies, init_args: {out_channels: 1, labels: 2, in_channels: 4, "
        f"network: {network}}}}}"
    )
    model = parser.instantiate_classes(config).model
    assert model.double()(NodeTuples(2)(graph(nx.cycle_graph(5)))).shape == (1, 1)
    assert parser.dump(parser.parse_string(parser.dump(config))) == parser.dump(config)
