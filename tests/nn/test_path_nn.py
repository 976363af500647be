"""PathNN and PathConv: against torch.nn.LSTM over all paths, and by property."""

from __future__ import annotations

import pickle
from functools import partial

import networkx as nx
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import Sequential

from gnnlab.data import GraphStore
from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import enumerate_paths, path_distances, path_edges
from gnnlab.lifting import Paths
from gnnlab.nn import (
    GNN,
    AtomEncoder,
    BatchNorm,
    BondEncoder,
    CategoricalEncoder,
    EdgeTable,
    FeatureEncoder,
    MLPEncoder,
    PathConv,
    PathNN,
)
from gnnlab.nn._path_lstm import EdgeInput, PathLSTM
from gnnlab.testing import check_conv
from gnnlab.testing._transform_views import renumber
from gnnlab.transform import Transform

MOLECULE = partial(FeatureEncoder, node=AtomEncoder, edge=BondEncoder)
EVERYTHING = {"distances": True, "edges": True}
SETTINGS = {
    "tu": {},
    "simple": {"distances": True},
    "molecules": {"edges": True, "update_layers": 2, "dropout": 0.2},
    "mean": {"distances": True, "edges": True, "path_reduce": "mean", "update_layers": 2, "sum_norm": False},
    "synthetic": {"norm": None, "normalise": True},
    "released": {"distances": True, "edges": True, "dropout": 0.3, "dropout_inputs": "step"},
    "plain": {"residual": False, "level": "node", "activation": nn.GELU},
    "small": {"distances": True, "edges": True, "max_gigabytes": 1e-5},
}


def build(name: str = "tu", **changes) -> PathNN:
    return PathNN(2, 8, **{"encoder": MOLECULE, **SETTINGS[name], **changes}).double()


def lifted(batch: Batch, kind: str = "simple", length: int = 3) -> Data:
    return Paths(length, kind, **EVERYTHING)(batch)


def materialised(lstm: PathLSTM, x: Tensor, paths: Tensor, distance, edges) -> Tensor:
    """[P, d] of torch.nn.LSTM over the inputs of every step, far end first."""
    peer = nn.LSTM(sum(lstm.widths), lstm.out_channels, batch_first=True).to(x.dtype)
    parts = [x[paths]]
    if distance is not None:
        parts.append(distance[0][distance[1]])
    if edges is not None:
        attr = edges.attr.dense() if isinstance(edges.attr, EdgeTable) else edges.attr
        parts.append(torch.cat([attr[edges.taken], attr.new_zeros(len(paths), 1, attr.size(1))], 1))
    weights = dict(lstm.named_parameters())
    _, (state, _) = torch.func.functional_call(peer, weights, (torch.cat(parts, -1).flip(1),))
    return state[0]


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("max_gigabytes", [2.0, 3e-5])
@pytest.mark.parametrize(("distance_channels", "edge_channels"), [(0, 0), (3, 0), (0, 2), (3, 2)])
def test_is_torch_lstm(distance_channels, edge_channels, max_gigabytes, share, reduce):
    graph = nx.petersen_graph()
    edge_index = torch.tensor(list(graph.to_directed().edges)).t()
    paths = enumerate_paths(edge_index.flip(0), 10, 4, "simple")[-1]
    lstm = PathLSTM(5, 4, distance_channels, edge_channels, max_gigabytes, share=share).double()
    given = [torch.randn(10, 5), torch.randn(5, distance_channels), torch.randn(30, edge_channels)]
    x, embedding, attr = (part.double().requires_grad_() for part in given)
    distance = (embedding, path_distances(paths, edge_index, torch.tensor([0, 10]))) if distance_channels else None
    taken = path_edges(paths, edge_index.flip(0), 10)
    edges = EdgeInput(attr, edge_index[1], taken) if edge_channels else None
    expected = torch.zeros(10, 4).double().index_add(0, paths[:, 0], materialised(lstm, x, paths, distance, edges))
    if reduce == "mean":
        expected = expected / torch.bincount(paths[:, 0])[:, None]
    actual = lstm(x, paths, reduce, distance, edges)
    torch.testing.assert_close(actual, expected)
    inputs = [x, *([embedding] if distance_channels else []), *([attr] if edge_channels else []), *lstm.parameters()]
    weight = torch.randn_like(actual)
    gradients = torch.autograd.grad((actual * weight).sum(), inputs)
    for ours, theirs in zip(gradients, torch.autograd.grad((expected * weight).sum(), inputs), strict=True):
        torch.testing.assert_close(ours, theirs)
    if edge_channels:
        rows, index = attr.detach().unique(dim=0, return_inverse=True)
        torch.testing.assert_close(
            lstm(x, paths, reduce, distance, edges._replace(attr=EdgeTable(rows, index))), actual
        )


def test_second_derivatives():
    square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
    paths = enumerate_paths(square, 4, 2, "simple")[-1]
    lstm, taken = PathLSTM(3, 2, 2, 2).double(), path_edges(paths, square, 4)
    places = path_distances(paths, square, torch.tensor([0, 4]))
    given = [torch.randn(*size, dtype=torch.double, requires_grad=True) for size in ((4, 3), (3, 2), (8, 2))]

    def read(x, embedding, attr):
        return lstm(x, paths, "sum", (embedding, places), EdgeInput(attr, square[1], taken))

    assert torch.autograd.gradgradcheck(read, given)


@pytest.mark.parametrize("kind", ["shortest", "all_shortest", "simple"])
def test_the_equations(molecules, kind):
    """Layer by layer as the paper has it."""
    batch = lifted(molecules((6, 1, 5)), kind)
    model = build("mean", path_reduce="sum", sum_norm=True, residual=True).eval()
    for module in model.modules():
        if isinstance(module, BatchNorm):
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.weight)
    h, attr = model.encoder(batch)
    for length, update in enumerate(model.updates, start=1):
        paths, places, taken = (batch[f"path_{length}{name}"] for name in ("", "_distance", "_edge"))
        edges = EdgeInput(attr, batch.edge_index[1], taken)
        z = materialised(model.lstm, h, paths, (model.distance.weight, places), edges)
        h = h.index_add(0, paths[:, 0], z)
        _, first, norm, _, second, last, _ = update.layers
        h = last(second(norm(first(update.norm(h))).relu())).relu()
    torch.testing.assert_close(model.states(batch)[-1], h)
    pooled = torch.zeros(3, 8).double().index_add(0, batch.batch, h)
    head = model.readout.head
    torch.testing.assert_close(model(batch), head[3](head[0](pooled).relu()))


@pytest.mark.parametrize("name", SETTINGS)
def test_batch_equals_single_and_everything_trains(name, molecules):
    model, batch = build(name).eval(), lifted(molecules((6, 1, 4, 5)))
    out = model(batch)
    graphs = [lifted(data) for data in molecules((6, 1, 4, 5)).to_data_list()]
    torch.testing.assert_close(torch.cat([model(data) for data in graphs]), out)
    store = GraphStore.from_data_list(molecules((6, 1, 4, 5)).to_data_list()).map(Paths(3, "simple", **EVERYTHING))
    torch.testing.assert_close(model(store[[0, 1, 2, 3]]), out)
    model.train()
    model(batch).square().sum().backward()
    idle = {key for key, p in model.named_parameters() if p.grad is None}
    assert all(key.startswith("encoder.edge") for key in idle)
    assert not (idle and model.reads_edges)
    pickle.loads(pickle.dumps(model))
    before = model.lstm.weight_hh_l0.clone()
    model.reset_parameters()
    assert not torch.equal(before, model.lstm.weight_hh_l0)


@pytest.mark.parametrize("kind", ["all_shortest", "simple"])
def test_invariant_to_the_numbering(molecules, kind):
    model, data = build("mean").eval(), molecules((9,)).to_data_list()[0]
    order = torch.randperm(9)
    torch.testing.assert_close(model(lifted(renumber(data, order), kind)), model(lifted(data, kind)), rtol=0, atol=1e-6)


def test_one_shortest_path_depends_on_the_numbering():
    square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
    data = Data(x=torch.randn(4, 8).double(), edge_index=square)
    moved = renumber(data, torch.tensor([0, 3, 2, 1]))
    model = PathNN(2, 8, 2, in_channels=8).double().eval()
    for kind, same in (("shortest", False), ("all_shortest", True), ("simple", True)):
        lift = Paths(2, kind)
        assert torch.allclose(model(lift(data.clone())), model(lift(moved.clone())), atol=1e-9) == same


PAIRS = {
    "C6": ("all_shortest", False, 2, nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))),
    "C8": ("simple", False, 4, nx.cycle_graph(8), nx.disjoint_union(nx.cycle_graph(4), nx.cycle_graph(4))),
    "CSL": ("simple", True, 2, nx.circulant_graph(11, [1, 2]), nx.circulant_graph(11, [1, 3])),
    "dodecahedron": ("all_shortest", False, 3, nx.dodecahedral_graph(), nx.desargues_graph()),
}


@pytest.mark.parametrize("name", PAIRS)
def test_random_weights_separate_at_the_depth_of_the_scheme(name):
    kind, distances, depth, *graphs = PAIRS[name]
    data = []
    for graph in graphs:
        edge_index = torch.tensor(list(graph.to_directed().edges)).t()
        data.append(Paths(depth, kind, distances)(Data(x=torch.ones(len(graph), 1).double(), edge_index=edge_index)))
    for length in (depth - 1, depth):
        encoder = partial(FeatureEncoder, node=partial(MLPEncoder, in_channels=1, norm=None))
        options = {"norm": None, "normalise": True, "head": nn.Identity, "encoder": encoder}
        model = PathNN(1, 16, length, distances, **options).double().eval()
        # Wide weights, so that nothing that differs is too small to be seen.
        for parameter in model.lstm.parameters():
            nn.init.normal_(parameter, std=0.7)
        gap = float((model(data[0]) - model(data[1])).detach().norm())
        assert gap > 1e-5 if length == depth else gap < 1e-9


def test_longer_than_any_path_and_no_paths_at_all():
    for edges, nodes in (([[0, 1], [1, 0]], 3), ([[], []], 3), ([[], []], 1), ([[], []], 0)):
        data = Data(x=torch.randn(nodes, 8), edge_index=torch.tensor(edges, dtype=torch.long))
        model = PathNN(2, 8, 5, distances=True, in_channels=8)
        out = model(Paths(5, "simple", distances=True)(data))
        assert out.isfinite().all()
        out.sum().backward()
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


def test_norms_see_all_nodes_where_there_are_no_paths():
    data = Paths(3)(Data(x=torch.randn(6, 8), edge_index=torch.zeros(2, 0, dtype=torch.long)))
    model = PathNN(2, 8, in_channels=8)
    model(data)
    torch.testing.assert_close(model.updates[0].norm.running_mean, 0.1 * data.x.mean(0))


def test_layers_beyond_the_longest_path_only_update():
    """Layer l is phi(h) where no path is that long, for the nodes of every graph, and the norm counts all nodes."""
    path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    data = Paths(4)(Data(x=torch.randn(4, 8).double(), edge_index=path, num_nodes=4))
    model = PathNN(2, 8, 4, in_channels=8).double()
    states = model.states(data)
    norm = model.updates[2].norm
    torch.testing.assert_close(norm.running_mean, 0.1 * states[2].mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * states[2].var(0))
    model.eval()
    states = model.states(data)
    assert not torch.equal(states[2], model.updates[1](states[1]))
    for length in (2, 3):
        torch.testing.assert_close(states[length + 1], model.updates[length](states[length]))


def test_dropout_of_inputs(molecules):
    """Per step, what is dropped of a node differs between its paths; in evaluation nothing is dropped."""
    batch = lifted(molecules((6, 5)))
    for name in ("node", "step"):
        model = build("released", dropout_inputs=name)
        first, second = model(batch), model(batch)
        assert not torch.allclose(first, second)
        same = build("released", dropout=0.0).eval()
        same.load_state_dict(model.state_dict())
        torch.testing.assert_close(model.eval()(batch), same(batch))
    x, paths = torch.ones(3, 4), torch.tensor([[0, 1], [2, 1]])
    lstm = PathLSTM(4, 4, dropout=0.5)
    out = lstm(x, paths)
    assert not torch.allclose(out[0], out[2])
    out = lstm.eval()(x, paths)
    torch.testing.assert_close(out[0], out[2])


def test_parameter_counts():
    """Those of the authors' logs, but for 4 d in which the released code differs from them."""
    for features, classes in ((21, 6), (3, 2), (37, 2), (82, 2), (65, 2)):
        encoder = partial(FeatureEncoder, node=partial(MLPEncoder, in_channels=features))
        for length in (1, 2, 3):
            assert 42_000 <= PathNN(classes, 64, length, encoder=encoder).num_parameters <= 48_000
            if length > 1:
                assert 58_900 <= PathNN(classes, 64, length, True, encoder=encoder).num_parameters <= 64_500
    zinc = partial(
        FeatureEncoder,
        node=partial(CategoricalEncoder, num_categories=[28]),
        edge=partial(CategoricalEncoder, num_categories=[4]),
    )
    molecular = {"edges": True, "update_layers": 2}
    assert PathNN(1, 152, 4, encoder=zinc, **molecular).num_parameters == 497_041 - 4 * 152
    assert PathNN(1, 140, 4, True, encoder=zinc, **molecular).num_parameters == 501_621 - 4 * 140
    # OGB's atoms have got one more category since.
    assert PathNN(10, 128, 8, encoder=MOLECULE, **molecular).num_parameters == 510_090 - 3 * 128
    assert PathNN(1, 128, 2, encoder=MOLECULE, **molecular).num_parameters == 306_177 - 3 * 128


@pytest.mark.parametrize(
    "options",
    [{}, {"kind": "simple", "length": 3, "distances": True}, {"aggr": "mean", "root_weight": False, "length": 1}],
)
@pytest.mark.parametrize("edge_dim", [None, 3])
def test_conv_keeps_the_contract(options, edge_dim):
    check_conv(partial(PathConv, edge_dim=edge_dim, **options), edge_dim=edge_dim)


def test_conv_of_length_one_reads_edges():
    x, edge_index = torch.randn(4, 3).double(), torch.tensor([[0, 1, 3, 1], [1, 0, 1, 2]])
    conv = PathConv(3, 3, length=1).double()
    expected = x.index_add(0, edge_index[1], materialised(conv.lstm, x, edge_index.flip(0).t(), None, None))
    torch.testing.assert_close(conv(x, edge_index), expected)


def test_conv_in_a_model(molecules):
    model = GNN(2, 8, 2, partial(PathConv, kind="simple", edge_dim=8), MOLECULE).double().eval()
    batch = molecules()
    torch.testing.assert_close(torch.cat([model(data) for data in batch.to_data_list()]), model(batch))


def test_conv_with_paths_longer_than_any_and_with_none():
    conv = PathConv(3, 3, 5, "simple").double()
    x, edge_index = torch.randn(3, 3).double(), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    short = PathConv(3, 3, 2, "simple").double()
    short.load_state_dict(conv.state_dict())
    torch.testing.assert_close(conv(x, edge_index), short(x, edge_index))
    assert torch.equal(conv(x, edge_index[:, :0]), x)
    assert conv(x[:0], edge_index[:, :0]).shape == (0, 3)


def test_conv_in_sequential():
    x, edge_index = torch.randn(3, 3), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    conv = PathConv(3, 8)
    model = Sequential("x, edge_index", [(conv, "x, edge_index -> x"), nn.ReLU(), (nn.Linear(8, 2), "x -> x")])
    torch.testing.assert_close(model(x, edge_index), model[2](conv(x, edge_index).relu()))


def test_conv_refuses_more_paths_than_fit():
    complete = torch.combinations(torch.arange(12), 2).t()
    edge_index, x = torch.cat([complete, complete.flip(0)], 1), torch.randn(12, 3)
    with pytest.raises(BudgetError, match=r"14,520 candidates for paths of length 3") as error:
        PathConv(3, 3, 4, "simple", max_gigabytes=1e-4)(x, edge_index)
    assert "max_gigabytes" in str(error.value)
    assert PathConv(3, 3, 3, "simple", max_gigabytes=1e-3)(x, edge_index).isfinite().all()


REWIRED_AND_ENCODED = """
- {class_path: gnnlab.rewiring.RandomEdges, init_args: {num_edges: 2}}
- {class_path: gnnlab.encodings.RandomWalkPE, init_args: {walk_length: 4}}
- {class_path: gnnlab.lifting.Paths, init_args: {length: 2, kind: KIND, distances: true}}
"""
ENCODED_MODELS = {
    "model": """
    class_path: gnnlab.nn.PathNN
    init_args:
      out_channels: 3
      hidden_channels: 16
      length: 2
      distances: true
      ENCODER
    """,
    "conv": """
    class_path: gnnlab.nn.GNN
    init_args:
      out_channels: 3
      hidden_channels: 16
      num_layers: 2
      conv: {class_path: gnnlab.nn.PathConv, init_args: {length: 2, kind: KIND, distances: true}}
      ENCODER
    """,
}
ENCODER = """encoder:
        class_path: gnnlab.nn.FeatureEncoder
        init_args:
          node: gnnlab.nn.AtomEncoder
          encodings:
          - {class_path: gnnlab.nn.LinearPEEncoder, init_args: {attribute: pe_rwse, in_channels: 4, out_channels: 6}}
"""


@pytest.mark.parametrize("kind", ["shortest", "all_shortest", "simple"])
@pytest.mark.parametrize("name", ENCODED_MODELS)
def test_with_a_rewiring_and_an_encoding_from_yaml(name, kind, molecules):
    text = ENCODED_MODELS[name].replace("ENCODER", ENCODER).replace("KIND", kind)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=nn.Module)
    parser.add_argument("--transforms", type=list[Transform])
    transforms = yaml.safe_load(REWIRED_AND_ENCODED.replace("KIND", kind))
    config = parser.parse_object({"model": yaml.safe_load(text), "transforms": transforms})
    built = (getattr(parser, "instantiate", None) or parser.instantiate_classes)(config)
    model = built.model.double().eval()
    store = GraphStore.from_data_list(molecules((6, 1, 5)).to_data_list())
    plain = store.map(built.transforms[1]).map(built.transforms[2])
    for transform in built.transforms:
        store = store.map(transform)
    batch = _double(store[[0, 1, 2]])
    torch.testing.assert_close(torch.cat([model(_double(store[[i]])) for i in range(3)]), model(batch))
    assert not torch.allclose(model(batch), model(_double(plain[[0, 1, 2]])))  # the new edges make new paths
    model.train()
    model(batch).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_from_yaml(molecules):
    text = """
    class_path: gnnlab.nn.PathNN
    init_args:
      out_channels: 10
      hidden_channels: 16
      length: 2
      edges: true
      update_layers: 2
      dropout: 0.1
      encoder:
        class_path: gnnlab.nn.FeatureEncoder
        init_args: {node: gnnlab.nn.AtomEncoder, edge: gnnlab.nn.BondEncoder}
      head: {class_path: gnnlab.nn.MLPHead, init_args: {num_layers: 3}}
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=nn.Module)
    config = parser.parse_object({"model": yaml.safe_load(text)})
    model = (getattr(parser, "instantiate", None) or parser.instantiate_classes)(config).model
    assert model(lifted(molecules())).shape == (3, 10)


def test_settings_that_do_not_fit_are_named(molecules):
    with pytest.raises(ConfigError, match="length must be at least 1"):
        PathNN(2, 4, 0, in_channels=4)
    with pytest.raises(ConfigError, match=r"unknown path_reduce 'max'"):
        PathNN(2, 4, path_reduce="max", in_channels=4)
    with pytest.raises(ConfigError, match=r"in_channels \(None\) must be hidden_channels \(4\)"):
        PathNN(2, 4)
    with pytest.raises(ConfigError, match="max_gigabytes must be positive"):
        PathNN(2, 4, in_channels=4, max_gigabytes=0)
    batch = molecules()
    with pytest.raises(GraphError, match="'path_1'") as error:
        build()(batch)
    assert "Paths(length=3)" in str(error.value)
    with pytest.raises(GraphError, match="'path_1_distance'"):
        build("simple")(Paths(3)(batch))
    with pytest.raises(GraphError, match="'path_1_edge'"):
        build("molecules")(Paths(3)(batch))
    with pytest.raises(GraphError, match="needs edge features"):
        build("molecules", encoder=partial(FeatureEncoder, node=AtomEncoder))(_without_edges(lifted(batch)))
    with pytest.raises(ConfigError, match="aggr must be sum or mean"):
        PathConv(4, 4, aggr="max")
    with pytest.raises(ConfigError, match="unknown kind 'simpel'") as error:
        PathConv(4, 4, kind="simpel")
    assert "simple" in str(error.value)
    with pytest.raises(GraphError, match="needs edge features"):
        PathConv(4, 4, edge_dim=2)(torch.ones(2, 4), torch.tensor([[0], [1]]))


def _without_edges(batch: Data) -> Data:
    del batch.edge_attr
    return batch


def _double(batch: Data) -> Data:
    batch.pe_rwse = batch.pe_rwse.double()
    return batch
