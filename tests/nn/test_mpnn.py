"""MPNN: its equations, its switches, what it can and cannot tell apart."""

from __future__ import annotations

import math
import pickle
from functools import partial

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from lightning import LightningDataModule
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from gnnlab.data import GraphLoader, GraphStore
from gnnlab.data.card import card
from gnnlab.errors import ConfigError, GraphError
from gnnlab.metrics import CHEMICAL_ACCURACY
from gnnlab.nn import (
    MPNN,
    AtomEncoder,
    BondEncoder,
    EdgeNetworkMessage,
    FeatureEncoder,
    GatedSum,
    GINConv,
    MatmulMessage,
    PairMessage,
    Set2Set,
)
from gnnlab.ops import CSR
from gnnlab.rewiring import BondTypes, CompleteDistances, DistanceBins, FullyAdjacent
from gnnlab.training import GraphTask, train_and_evaluate
from gnnlab.transform import Compose

NETWORK = partial(EdgeNetworkMessage, edge_channels=5, network_channels=6)
MOLECULE = partial(FeatureEncoder, node=AtomEncoder, edge=BondEncoder)


def molecule(n: int, seed: int = 0, chords: int = 1) -> Data:
    """A ring of atoms with random features, one-hot bonds and coordinates in float64."""
    generator = torch.Generator().manual_seed(seed)
    ends = torch.arange(n - 1) if n > 1 else torch.empty(0, dtype=torch.long)
    one_way = torch.stack([ends, ends + 1])
    if n > 3:
        one_way = torch.cat([one_way, torch.tensor([[0], [n - 1]])], 1)
    kinds = torch.randint(4, (one_way.size(1),), generator=generator)
    return Data(
        x=torch.randn(n, 3, generator=generator, dtype=torch.double),
        pos=2 * torch.randn(n, 3, generator=generator, dtype=torch.double),
        edge_index=torch.cat([one_way, one_way.flip(0)], 1),
        edge_attr=nn.functional.one_hot(torch.cat([kinds, kinds]), 4).double(),
    )


def model_of(out_channels: int = 2, hidden_channels: int = 8, **settings) -> MPNN:
    settings = {"message": NETWORK, "in_channels": 3} | settings
    return MPNN(out_channels, hidden_channels, **settings).double().eval()


def gru(cell: nn.GRUCell, message: Tensor, state: Tensor) -> Tensor:
    """The published equations of the gated recurrent unit, in the convention of torch."""
    (ir, iz, inew), (hr, hz, hnew) = (
        (rows @ weight.t() + bias).chunk(3, -1)
        for rows, weight, bias in ((message, cell.weight_ih, cell.bias_ih), (state, cell.weight_hh, cell.bias_hh))
    )
    reset, keep = (ir + hr).sigmoid(), (iz + hz).sigmoid()
    return (1 - keep) * (inew + reset * hnew).tanh() + keep * state


def test_the_equations_of_the_paper():
    """Edge by edge and step by step, on a directed graph, with a master node."""
    data = molecule(5)
    data.edge_index = data.edge_index[:, :7]
    data.edge_attr = torch.rand(7, 5, dtype=torch.double)
    model = model_of(num_steps=3, master_channels=4)
    incoming, outgoing = model.towers[0].messages
    h = nn.functional.pad(data.x, (0, 5))
    master = torch.zeros(4, dtype=torch.double)
    seen = [h]

    def matrices(message: EdgeNetworkMessage) -> Tensor:
        features = torch.cat([message.network(data.edge_attr), torch.ones(7, 1).double()], 1)
        return torch.einsum("er,rio->eio", features, message.weight.view(7, 8, 8))

    first, second = matrices(incoming), matrices(outgoing)
    for _ in range(3):
        m = (model.master.to_nodes.weight @ master).expand(5, -1).clone()
        for e, (u, v) in enumerate(data.edge_index.t().tolist()):
            m[v, :8] += h[u] @ first[e]
            m[u, 8:] += h[v] @ second[e]
        to_master = model.master.to_master.weight @ h.sum(0)
        h, master = gru(model.towers[0].update, m, h), gru(model.master.update, to_master[None], master[None])[0]
        seen.append(h)
    for actual, expected in zip(model.states(data), seen, strict=True):
        torch.testing.assert_close(actual, expected)
    expected = model.head(model.readout(h, torch.tensor([0, 5]), seen[0]))
    torch.testing.assert_close(model(data), expected)


VARIANTS = {
    "enn-s2s": {},
    "factored": {"message": partial(NETWORK, factored=True), "master_channels": 3},
    "materialised": {"message": partial(NETWORK, factored=False, reduce="mean")},
    "gg-nn": {"message": partial(MatmulMessage, num_types=14), "readout": GatedSum, "init": "linear"},
    "pair": {"message": partial(PairMessage, edge_channels=5), "directed": False},
    "towers": {"towers": 4, "message": partial(MatmulMessage, num_types=14), "master_channels": 6},
    "towers of edge networks": {"towers": 2, "master_channels": 3, "readout": GatedSum},
    "any convolution": {"message": GINConv, "readout": None, "pool": "mean"},
    "node": {"level": "node"},
}


def prepared(name: str) -> DistanceBins | CompleteDistances:
    bins = "num_types" in getattr(VARIANTS[name].get("message"), "keywords", {})
    return DistanceBins() if bins else CompleteDistances()


@pytest.mark.parametrize("name", VARIANTS)
def test_batch_equals_single_and_everything_trains(name):
    model, prepare = model_of(3, **VARIANTS[name]), prepared(name)
    graphs = [prepare(molecule(n, n)) for n in (6, 1, 4, 9)]
    batch = prepare(Batch.from_data_list([molecule(n, n) for n in (6, 1, 4, 9)]))
    out = model(batch)
    assert out.shape == (batch.num_nodes if name == "node" else 4, 3)
    torch.testing.assert_close(torch.cat([model(graph) for graph in graphs]), out)
    batch.adj = CSR.from_edge_index(batch.edge_index, batch.num_nodes)
    torch.testing.assert_close(model(batch), out)
    assert len(model.states(batch)) == 4
    model.train()
    model(batch).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    pickle.loads(pickle.dumps(model.readout))
    model.reset_parameters()


@pytest.mark.parametrize("name", VARIANTS)
def test_numbering_of_nodes_and_order_of_edges_do_not_matter(name):
    model, data = model_of(**VARIANTS[name]), prepared(name)(molecule(8, 1))
    order, edge_order = torch.randperm(8), torch.randperm(data.edge_index.size(1))
    columns = {key: data[key][edge_order] for key in ("edge_attr", "edge_type")}
    moved = Data(x=data.x[order], edge_index=order.argsort()[data.edge_index][:, edge_order], **columns)
    expected = model(data)
    torch.testing.assert_close(model(moved), expected[order] if name == "node" else expected)


@pytest.mark.parametrize("init", ["pad", "linear"])
def test_first_states(init):
    model, data = model_of(init=init), CompleteDistances()(molecule(5))
    expected = (
        nn.functional.pad(data.x, (0, 5)) if init == "pad" else data.x @ model.first.weight.t() + model.first.bias
    )
    torch.testing.assert_close(model.states(data)[0], expected)


def test_directions_have_message_functions_of_their_own():
    """Edges turned round are the other direction; without directions only incoming edges count."""
    data = molecule(6)
    data.edge_index, data.edge_attr = data.edge_index[:, :5], torch.rand(5, 5, dtype=torch.double)
    turned = data.clone()
    turned.edge_index = data.edge_index.flip(0)
    model, other = model_of(num_steps=2), model_of(num_steps=2)
    weights = model.state_dict()
    swap = {"messages.0": "messages.1", "messages.1": "messages.0"}
    weights = {key[:9] + swap.get(key[9:19], key[9:19]) + key[19:]: value for key, value in weights.items()}
    weights["towers.0.update.weight_ih"] = model.towers[0].update.weight_ih.roll(8, dims=1)
    other.load_state_dict(weights)
    torch.testing.assert_close(other(turned), model(data))
    assert not torch.allclose(model(turned), model(data))

    def heard(directed: bool) -> list[bool]:
        """Whether the ends of the edge 0 -> 1 hear each other in one step."""
        model = model_of(num_steps=1, directed=directed)
        edge = Data(x=data.x[:2], edge_index=torch.tensor([[0], [1]]), edge_attr=data.edge_attr[:1])
        rows = torch.autograd.functional.jacobian(lambda x: _last(model, edge, x), edge.x)
        return [bool(rows[1, :, 0].any()), bool(rows[0, :, 1].any())]

    assert heard(directed=False) == [True, False]
    assert heard(directed=True) == [True, True]


def _last(model: MPNN, data: Data, x: Tensor) -> Tensor:
    changed = data.clone()
    changed.x = x
    return model.states(changed)[-1]


def test_virtual_edges_and_a_master_node_reach_far():
    """On a path of seven atoms the last one hears the first after six steps, one, or two."""
    data, types = BondTypes()(molecule(7)), partial(MatmulMessage, num_types=5)
    path = [*range(6), *range(7, 13)]  # without the bonds that close the ring
    data.edge_index, data.edge_type = data.edge_index[:, path], data.edge_type[path]

    def hears(steps: int, prepare: object = None, **settings: object) -> bool:
        graph = data if prepare is None else prepare(data)
        model = model_of(message=types, num_steps=steps, **settings)
        rows = torch.autograd.functional.jacobian(lambda x: _last(model, graph, x), graph.x)
        return bool(rows[6, :, 0].any())

    assert not hears(5)
    assert hears(6)
    assert hears(1, FullyAdjacent(relation=4))
    assert not hears(1, master_channels=3)
    assert hears(2, master_channels=3)


@pytest.mark.parametrize("prepare", [CompleteDistances(), DistanceBins()])
def test_rigid_motions_and_reflections_do_not_matter(prepare):
    message = NETWORK if isinstance(prepare, CompleteDistances) else partial(MatmulMessage, num_types=14)
    model, data = model_of(message=message), molecule(7, 3)
    expected = model(prepare(data))
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.double)).Q
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=torch.double))
    for motion in (rotation, mirror, rotation @ mirror):
        moved = data.clone()
        moved.pos = data.pos @ motion.t() + torch.tensor([1.0, -2.0, 0.5], dtype=torch.double)
        torch.testing.assert_close(model(prepare(moved)), expected)
    moved = data.clone()
    moved.pos = 1.7 * data.pos
    assert not torch.allclose(model(prepare(moved)), expected)


@pytest.mark.parametrize("directed", [True, False])
def test_a_master_node_of_zero_weights_is_none(directed):
    data = CompleteDistances()(molecule(6))
    model, plain = model_of(master_channels=5, directed=directed), model_of(directed=directed)
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("master.")})
    assert not torch.allclose(model(data), plain(data))
    nn.init.zeros_(model.master.to_nodes.weight)
    assert torch.equal(model(data), plain(data))


def test_one_tower_is_the_plain_model_and_unmixed_towers_are_models_side_by_side():
    data = CompleteDistances()(molecule(6))
    plain = model_of(towers=1, mix=lambda i, o: pytest.fail("a single tower is not mixed"))
    assert plain.mix is None
    encoder = lambda width: _Slice(slice(0, 8))  # noqa: E731
    both = model_of(towers=2, mix=lambda i, o: nn.Identity(), encoder=encoder, level="node")
    data.x = torch.randn(6, 8, dtype=torch.double)
    for tower in range(2):
        half = model_of(2, 4, encoder=lambda width, t=tower: _Slice(slice(4 * t, 4 * t + 4)), level="node")
        half.towers[0].load_state_dict(both.towers[tower].state_dict())
        for whole, part in zip(both.states(data), half.states(data), strict=True):
            torch.testing.assert_close(whole[:, 4 * tower : 4 * tower + 4], part)


class _Slice(nn.Module):
    def __init__(self, columns: slice) -> None:
        super().__init__()
        self.columns = columns

    def forward(self, batch: Data) -> tuple[Tensor, Tensor]:
        return batch.x[:, self.columns], batch.edge_attr


def test_weights_are_tied_over_the_steps():
    assert len({model_of(num_steps=steps).num_parameters for steps in (1, 3, 8)}) == 1


def test_edges_are_encoded_once_for_all_steps(monkeypatch):
    calls = []
    encode = EdgeNetworkMessage.encode_edges
    monkeypatch.setattr(EdgeNetworkMessage, "encode_edges", lambda *args: calls.append(1) or encode(*args))
    model_of(num_steps=5)(CompleteDistances()(molecule(5)))
    assert len(calls) == 2  # one per direction


def rings(*sizes: int) -> Data:
    """Rings of carbon atoms with constant features, drawn as regular polygons of side 1, far apart."""
    edges, pos, start = [], [], 0
    for index, n in enumerate(sizes):
        edges += [(start + i, start + (i + 1) % n) for i in range(n)]
        radius = 0.5 / math.sin(math.pi / n)
        turn = [2 * math.pi * i / n for i in range(n)]
        pos += [(radius * math.cos(a) + 3 * index, radius * math.sin(a), 0.0) for a in turn]
        start += n
    one_way = torch.tensor(edges).t()
    return Data(
        x=torch.ones(start, 3, dtype=torch.double),
        pos=torch.tensor(pos, dtype=torch.double),
        edge_index=torch.cat([one_way, one_way.flip(0)], 1),
        edge_attr=torch.tensor([[1.0, 0, 0, 0]]).double().repeat(2 * one_way.size(1), 1),
    )


@pytest.mark.parametrize("readout", [Set2Set, GatedSum])
@pytest.mark.parametrize("master", [None, 3])
def test_a_hexagon_and_two_triangles(readout, master):
    """Every node has two bonded and three other nodes, so only distances tell them apart."""
    settings = {"readout": readout, "master_channels": master, "num_steps": 4}
    hexagon, triangles = rings(6), rings(3, 3)
    types = partial(MatmulMessage, num_types=5)
    for prepare in (BondTypes(), Compose((BondTypes(), FullyAdjacent(relation=4)))):
        model = model_of(message=types, **settings)
        torch.testing.assert_close(model(prepare(hexagon)), model(prepare(triangles)))
    for prepare, message in (
        (CompleteDistances(), NETWORK),
        (DistanceBins(first=1.2), partial(MatmulMessage, num_types=14)),
    ):
        model = model_of(message=message, **settings)
        assert not torch.allclose(model(prepare(hexagon)), model(prepare(triangles)), atol=1e-6)


def test_set2set_is_blind_to_copies_and_the_gated_sum_is_not():
    """A molecule, and two copies of it taken as one graph."""
    once = BondTypes()(molecule(6))
    columns = {"x": torch.cat([once.x, once.x]), "edge_type": once.edge_type.repeat(2)}
    twice = Data(edge_index=torch.cat([once.edge_index, once.edge_index + 6], 1), **columns)
    types, head = partial(MatmulMessage, num_types=4), lambda i, o: nn.Identity()
    for readout, factor in ((Set2Set, 1), (GatedSum, 2)):
        model = model_of(message=types, readout=readout, head=head)
        torch.testing.assert_close(model(twice), factor * model(once))


MESSAGES = {
    "edge network": NETWORK,
    "factored": partial(NETWORK, factored=True),
    "materialised": partial(NETWORK, factored=False),
    "matmul": partial(MatmulMessage, num_types=4),
    "pair": partial(PairMessage, edge_channels=5),
}


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("readout", [Set2Set, GatedSum])
def test_without_edges_the_states_update_on_messages_of_zero(name, readout):
    """A single atom, atoms without bonds, and both beside a molecule."""
    model = model_of(message=MESSAGES[name], readout=readout, num_steps=2)
    none = {"edge_index": torch.empty(2, 0, dtype=torch.long), "edge_attr": torch.empty(0, 5, dtype=torch.double)}
    atoms = [Data(x=torch.randn(n, 3, dtype=torch.double), **none) for n in (1, 4)]
    for data in atoms:
        h = nn.functional.pad(data.x, (0, 5))
        for state in model.states(data)[1:]:
            h = gru(model.towers[0].update, h.new_zeros(data.num_nodes, 16), h)
            torch.testing.assert_close(state, h)
        model(data).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    whole = molecule(5)
    whole.edge_attr = torch.rand(10, 5, dtype=torch.double)
    batch = Batch.from_data_list([atoms[0], whole, atoms[1]])
    torch.testing.assert_close(model(batch), torch.cat([model(data) for data in batch.to_data_list()]))


def test_thirteen_targets_of_qm9(tmp_path):
    """Standardised one by one, and judged by chemical accuracy in their own units."""
    task = card("qm9-13").task
    graphs = []
    for n in range(3, 15):
        graph = molecule(n, n)
        graph.x, graph.pos, graph.edge_attr = graph.x.float(), graph.pos.float(), graph.edge_attr.float()
        graph.y = 10.0 ** torch.arange(-3, 10) * (1 + torch.randn(1, 13))
        graphs.append(CompleteDistances()(graph))
    parts = dict(zip(("train", "val", "test"), torch.arange(12).split([6, 3, 3]), strict=True))
    store = GraphStore.from_data_list(graphs, name="molecules").replace(folds={"own": [parts]}).with_fold("own", 0)
    module = GraphTask(MPNN(13, 8, message=NETWORK, in_channels=3), task, standardise=True)
    result = train_and_evaluate(module, _Stored(store), tmp_path, max_epochs=2, accelerator="cpu")
    module.load_state_dict(torch.load(result.checkpoint, weights_only=True)["state_dict"])
    batch = store[parts["test"]]
    errors = (module.eval().predict_step(batch) - batch.y).abs().mean(0)
    accuracy = torch.tensor([CHEMICAL_ACCURACY[target].value for target in card("qm9-13").options["targets"]])
    assert result.test == pytest.approx(float((errors / accuracy).mean()), rel=1e-4)
    torch.testing.assert_close(module.scaling.mean, store.column("y")[:6].mean(0))


class _Stored(LightningDataModule):
    def __init__(self, store: GraphStore) -> None:
        super().__init__()
        self.store = store

    def train_dataloader(self) -> GraphLoader:
        return GraphLoader(self.store, 3, index=self.store.splits["train"], shuffle=True)

    def val_dataloader(self) -> GraphLoader:
        return GraphLoader(self.store, 3, index=self.store.splits["val"])

    def test_dataloader(self) -> GraphLoader:
        return GraphLoader(self.store, 3, index=self.store.splits["test"])


def test_categorical_molecules(molecules):
    model, batch = MPNN(3, 16, encoder=MOLECULE, towers=1).eval(), molecules((6, 1, 4))
    torch.testing.assert_close(torch.cat([model(graph) for graph in batch.to_data_list()]), model(batch))


def test_degenerate_graphs():
    model = model_of(master_channels=3)
    for size in (0, 1, 3):
        none = torch.empty(2, 0, dtype=torch.long)
        x = torch.randn(size, 3, dtype=torch.double)
        data = Data(x=x, edge_index=none, edge_attr=torch.empty(0, 5, dtype=torch.double))
        assert model(data).isfinite().all()
    loops = torch.tensor([[0, 0, 0, 1], [0, 0, 1, 1]])
    data = Data(x=torch.randn(3, 3).double(), edge_index=loops, edge_attr=torch.rand(4, 5).double())
    assert model(data).isfinite().all()


def test_half_precision_runs():
    data = CompleteDistances()(molecule(6))
    data.x, data.edge_attr = data.x.float(), data.edge_attr.float()
    model = model_of(2, 16).float()
    with torch.autocast("cpu", torch.bfloat16):
        out = model(data)
    torch.testing.assert_close(out.float(), model(data), rtol=0.2, atol=0.1)


def test_settings_that_do_not_fit_are_named():
    for name in ("num_steps", "towers", "master_channels"):
        with pytest.raises(ConfigError, match=f"MPNN: {name} must be at least 1, got 0"):
            model_of(**{name: 0})
    with pytest.raises(ConfigError, match="8 channels cannot be split into 3 towers"):
        model_of(towers=3)
    with pytest.raises(ConfigError, match="cannot be padded to hidden_channels=8"):
        model_of(in_channels=11)
    with pytest.raises(ConfigError, match="neither an encoder nor in_channels"):
        model_of(in_channels=None)
    with pytest.raises(ConfigError, match="did you mean 'pad'"):
        model_of(init="padd")
    with pytest.raises(ConfigError, match="_Wrong returned 5 channels"):
        model_of(message=lambda i, o: _Wrong())(CompleteDistances()(molecule(3)))
    with pytest.raises(GraphError, match="edge features"):
        model_of()(molecule(3))


class _Wrong(nn.Identity):
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return x[:, :5]


YAML = """
class_path: gnnlab.nn.MPNN
init_args:
  out_channels: 2
  hidden_channels: 16
  num_steps: 2
  message:
    class_path: gnnlab.nn.EdgeNetworkMessage
    init_args: {edge_channels: 5, network_channels: 8}
  in_channels: 3
  init: linear
  master_channels: 4
  readout:
    class_path: gnnlab.nn.Set2Set
    init_args: {num_steps: 2}
  head:
    class_path: gnnlab.nn.MLPHead
    init_args: {num_layers: 2}
"""


def test_built_from_yaml():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=nn.Module)
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    model = instantiate(parser.parse_object({"model": yaml.safe_load(YAML)})).model
    assert isinstance(model, MPNN)
    assert model.towers[0].messages[1].rank == 9
    data = CompleteDistances()(molecule(4))
    assert model.double()(data).shape == (1, 2)
