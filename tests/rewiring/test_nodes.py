"""Nodes are added, and everything that counts nodes follows: on a graph, a batch, a store, in a training step."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from gnnlab.data import GraphLoader, GraphStore, TaskSpec, load_dataset
from gnnlab.data.padding import Buckets, assemble_padded
from gnnlab.errors import DataError, GraphError
from gnnlab.metrics import Accuracy
from gnnlab.nn import GNN, GINConv
from gnnlab.ops import CSR
from gnnlab.rewiring import Expander, VirtualNode
from gnnlab.rewiring._nodes import add_nodes
from gnnlab.testing.strategies import unions
from gnnlab.training.losses import cross_entropy
from gnnlab.transform import Transform


def graph(num_nodes: int, seed: int = 0) -> Data:
    """Every kind of attribute, on a path with an isolated node at the end."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.arange(max(num_nodes - 2, 0))
    edges = torch.cat([torch.stack([steps, steps + 1]), torch.stack([steps + 1, steps])], 1)
    return Data(
        x=torch.randint(1, 9, (num_nodes, 2), generator=generator),
        edge_index=edges,
        edge_attr=torch.rand(edges.size(1), 1, generator=generator),
        pos=torch.rand(num_nodes, 3, generator=generator),
        pe_walk=torch.rand(num_nodes, 4, generator=generator),
        y=torch.randint(3, (num_nodes,), generator=generator),
        train_mask=torch.ones(num_nodes, dtype=torch.bool),
        pair_index=torch.stack([torch.arange(num_nodes), torch.arange(num_nodes).flip(0)]),
        colour=torch.arange(num_nodes),
        score=torch.rand(1, 2, generator=generator),
    )


def assert_equal(first: Data, second: Data) -> None:
    assert set(first.to_dict()) == set(second.to_dict())
    for key, value in second.to_dict().items():
        assert torch.equal(torch.as_tensor(first[key]), torch.as_tensor(value)), key


def test_new_rows_come_at_the_end_of_each_graph() -> None:
    data = Data(x=torch.arange(1.0, 6)[:, None], edge_index=torch.tensor([[0, 3], [1, 4]]), y=torch.arange(5))
    data.batch, data.ptr = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 3, 5])
    out, added = add_nodes(data.clone(), torch.tensor([1, 2]))
    assert added.tolist() == [3, 6, 7]
    assert out.x.flatten().tolist() == [1, 2, 3, 0, 4, 5, 0, 0]
    assert out.y.tolist() == [0, 1, 2, -1, 3, 4, -1, -1]
    assert out.node_type.tolist() == [0, 0, 0, 1, 0, 0, 1, 1]
    assert out.edge_index.tolist() == [[0, 4], [1, 5]]
    assert out.batch.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert out.ptr.tolist() == [0, 4, 8]


def test_every_attribute_follows() -> None:
    data = graph(4)
    data.path_2 = torch.tensor([[0, 1, 2], [2, 1, 0]])
    out = VirtualNode(num_nodes=2)(data)
    assert out.num_nodes == 6
    for key in ("x", "pos", "pe_walk", "colour"):
        assert torch.equal(out[key][:4], data[key])
        assert not out[key][4:].any()
    assert out.y.tolist() == [*data.y.tolist(), -1, -1]
    assert out.train_mask.tolist() == [True] * 4 + [False] * 2
    assert out.node_type.tolist() == [0, 0, 0, 0, 1, 1]
    for key in ("pair_index", "path_2", "score"):
        assert torch.equal(out[key], data[key])
    assert out.edge_attr.size(0) == out.edge_type.size(0) == out.num_edges == 4 + 16


def test_a_second_rewiring_keeps_the_marks_of_the_first() -> None:
    out = VirtualNode()(VirtualNode()(graph(3)))
    assert out.node_type.tolist() == [0, 0, 0, 1, 1]
    assert out.edge_index[:, -8:].tolist() == [[4, 4, 4, 4, 0, 1, 2, 3], [0, 1, 2, 3, 4, 4, 4, 4]]


def test_a_batch_can_be_taken_apart() -> None:
    graphs = [graph(n, seed=n) for n in (5, 1, 3)]
    for data in graphs:
        data.y = data.y.float()[:, None]
    batch = Batch.from_data_list(graphs)
    batch.adj = CSR.from_edge_index(batch.edge_index, batch.num_nodes)
    out = VirtualNode()(batch)
    assert "adj" not in out
    for got, data in zip(out.to_data_list(), graphs, strict=True):
        expected = VirtualNode()(data)
        # One node and one target: of the node or of the graph, only the batch can know.
        keys = set(expected.to_dict()) - ({"y", "score"} if data.num_nodes == 1 else set())
        for key in keys:
            assert torch.equal(got[key].nan_to_num(-7), expected[key].nan_to_num(-7)), key
    alone = VirtualNode()(graphs[0])
    assert alone.y[-1].isnan().all()


def test_without_features_the_number_of_nodes_is_still_known() -> None:
    graphs = [Data(edge_index=torch.tensor([[0], [1]]), num_nodes=n) for n in (4, 2)]
    out = VirtualNode()(Batch.from_data_list(graphs))
    assert out.num_nodes == 8
    assert [data.num_nodes for data in out.to_data_list()] == [5, 3]


@given(unions(max_graphs=4), st.data())
def test_graphs_stay_contiguous(batch: Batch, data: st.DataObject) -> None:
    sizes = batch.ptr.diff()
    counts = torch.tensor([data.draw(st.integers(0, 3)) for _ in sizes])
    batch.number = torch.arange(batch.num_nodes) + 1
    out, added = add_nodes(batch.clone(), counts)
    assert torch.equal(out.ptr.diff(), sizes + counts)
    assert torch.equal(added, (out.node_type == 1).nonzero().flatten())
    assert torch.equal(out.number[out.node_type == 0], batch.number)
    assert torch.equal(out.number[out.edge_index], batch.number[batch.edge_index])


def test_booleans_have_no_value_for_unlabelled() -> None:
    data = graph(3)
    data.y = data.y > 0
    with pytest.raises(GraphError, match="unlabelled"):
        VirtualNode()(data)


@dataclass(frozen=True)
class _Walks(Transform):
    """The original edges as paths of length 1."""

    def forward(self, data: Data) -> Data:
        kept = data.get("edge_type", torch.zeros_like(data.edge_index[0])) == 0
        data.path_1 = data.edge_index[:, kept].t().contiguous()
        return data


@pytest.mark.parametrize("rewire", [VirtualNode(), VirtualNode(num_nodes=2), Expander(nodes="keep")], ids=repr)
def test_a_store_learns_of_new_nodes(rewire: Transform, tmp_path) -> None:
    graphs = [graph(n, seed=n) for n in (4, 7, 2, 5, 30)]
    store = GraphStore.from_data_list(graphs).map(_Walks())
    mapped = store.map(rewire)
    chunked = store.map(rewire, chunk_nodes=8)
    mapped.save(tmp_path / "store")
    loaded = GraphStore.load(tmp_path / "store")
    expected = GraphStore.from_data_list([rewire(data) for data in graphs]).map(_Walks())
    assert mapped.num_nodes == expected.num_nodes
    for other in (mapped, chunked, loaded):
        for index in range(len(graphs)):
            assert_equal(other[index], expected[index])
        assert_equal_batches(other[[4, 0, 3]], expected[[4, 0, 3]])
    assert store.num_nodes == sum(data.num_nodes for data in graphs)


def assert_equal_batches(first: Batch, second: Batch) -> None:
    for key in ("path_1", "x", "edge_index", "edge_attr", "y", "batch", "ptr", "pair_index", "node_type", "train_mask"):
        assert torch.equal(first[key], second[key]), key
    assert torch.equal(first.adj.ptr, second.adj.ptr)
    assert first.adj.num_nodes == first.num_nodes


def test_loaders_deliver_and_pad_them() -> None:
    store = GraphStore.from_data_list([graph(n, seed=n) for n in (4, 7, 2, 5)]).map(VirtualNode())
    batches = list(GraphLoader(store, batch_size=2))
    assert [batch.num_nodes for batch in batches] == [13, 9]
    padded = assemble_padded(store, torch.arange(3), Buckets.plan(store, torch.arange(4), 3))
    assert padded.node_type.size(0) == padded.x.size(0) == padded.y.size(0)
    assert bool((padded.y[16:] == -1).all())


def test_node_splits_of_a_single_graph_stay_valid() -> None:
    folds = {"public": [{"train": torch.tensor([0, 2]), "test": torch.tensor([4])}]}
    data = graph(5)
    del data.train_mask
    store = GraphStore.from_data_list([data], task=TaskSpec("node", 3, "cross_entropy", "accuracy"), folds=folds)
    split = store.map(VirtualNode()).with_fold("public")
    assert split[[0]].train_mask.tolist() == [True, False, True, False, False, False]
    assert split[[0]].test_mask.tolist() == [False] * 4 + [True, False]


def test_new_nodes_are_neither_learned_nor_scored() -> None:
    store = load_dataset("ring-transfer", progress=False)
    batch = store.map(VirtualNode())[torch.arange(8)]
    plain = store[torch.arange(8)]
    assert batch.y.numel() == plain.y.numel() + 8
    torch.manual_seed(0)
    model = GNN(5, hidden_channels=8, num_layers=2, conv=GINConv, in_channels=plain.x.size(1), level="node")
    loss, labelled = cross_entropy(model(batch), batch.y)
    assert int(labelled) == 8
    loss.backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in model.parameters())
    accuracy = Accuracy()
    accuracy.update(model(batch), batch.y)
    assert int(accuracy.labelled) == 8


@dataclass(frozen=True)
class _DropsLast(Transform):
    def forward(self, data: Data) -> Data:
        del data.pos
        kept = torch.ones(data.num_nodes, dtype=torch.bool)
        kept[data.ptr[1:] - 1] = False
        data.x, data.batch = data.x[kept], data.batch[kept]
        data.ptr = data.ptr - torch.arange(data.ptr.numel())
        data.edge_index = data.edge_index[:, :0]
        return data


@dataclass(frozen=True)
class _ForgetsPtr(Transform):
    def forward(self, data: Data) -> Data:
        data.x = torch.cat([data.x, data.x[:1]])
        return data


@dataclass(frozen=True)
class _ForgetsFeatures(Transform):
    def forward(self, data: Data) -> Data:
        pos = data.pos
        data, _ = add_nodes(data, torch.ones_like(data.ptr[1:]))
        data.pos = pos
        return data


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (_DropsLast(), "removed nodes from graph 0"),
        (_ForgetsPtr(), "gives 8 nodes, but 'ptr' counts 7"),
        (_ForgetsFeatures(), "'pos' has 7 rows, but its level 'node' has 9"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_store_refuses_what_is_no_addition(transform: Transform, message: str) -> None:
    edges = torch.tensor([[0], [1]])
    store = GraphStore.from_data_list(
        [Data(x=torch.ones(n, 1), pos=torch.ones(n, 3), edge_index=edges) for n in (3, 4)]
    )
    with pytest.raises(DataError, match=message):
        store.map(transform)
