"""Padded batches: what is real is the unpadded batch, what is not touches nothing, and shapes are few."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from gnnlab.data import GraphDataModule, GraphLoader, GraphStore, TaskSpec, batching, datamodule
from gnnlab.data.padding import Buckets, assemble_padded
from gnnlab.errors import ConfigError
from gnnlab.ops import CSR


def graphs(sizes: list[int], **attributes) -> list[Data]:
    torch.manual_seed(len(sizes))
    made = []
    for i, size in enumerate(sizes):
        source = torch.arange(size)
        ring = torch.stack([source, (source + 1) % size])
        graph = Data(x=torch.randn(size, 2), edge_index=torch.cat([ring, torch.randint(size, (2, i % 5))], 1))
        graph.kind = torch.randint(3, (size, 1))
        graph.edge_attr = torch.randn(graph.num_edges, 3)
        graph.train_mask = torch.ones(size, dtype=torch.bool)
        graph.pair_index = torch.cartesian_prod(source, source).t()
        graph.y = torch.tensor([float(i)])
        for name, value in attributes.items():
            graph[name] = value(size)
        made.append(graph)
    return made


@pytest.fixture(scope="module")
def store() -> GraphStore:
    return GraphStore.from_data_list(graphs([2 + i * 5 % 9 for i in range(40)]))


@given(data=st.data())
def test_real_rows_are_the_unpadded_batch_and_the_rest_is_apart(store: GraphStore, data: st.DataObject) -> None:
    index = torch.tensor(data.draw(st.lists(st.integers(0, 39), min_size=1, max_size=12)))
    buckets = Buckets.plan(store, torch.arange(40), 12)
    plain, padded = store[index], assemble_padded(store, index, buckets)
    real = {name: plain[name].size(0) for name in ("x", "edge_attr", "y")}
    nodes, edges, graphs_ = real.values()
    for name, rows in {**real, "kind": nodes, "train_mask": nodes, "batch": nodes}.items():
        assert torch.equal(padded[name][:rows], plain[name])
        assert padded[name].dtype == plain[name].dtype
    assert torch.equal(padded.edge_index[:, :edges], plain.edge_index)
    assert torch.equal(padded.ptr[: graphs_ + 1], plain.ptr)
    # Dummies are loops on padding nodes, and pairs of them.
    assert torch.equal(padded.edge_index[0, edges:], padded.edge_index[1, edges:])
    assert (padded.edge_index[:, edges:] >= nodes).all()
    assert (padded.pair_index[:, plain.pair_index.size(1) :] >= nodes).all()
    assert int(padded.pair_index.max()) < padded.num_nodes
    # The adjacency is the one of the edges, both ways.
    built = CSR.from_edge_index(padded.edge_index, padded.num_nodes)
    assert all(torch.equal(getattr(built, name), getattr(padded.adj, name)) for name in ("ptr", "src", "ptr_t", "dst"))
    assert torch.equal(built.eid_t, padded.adj.eid_t)
    # Graphs: consistent in every form.
    assert padded.num_graphs == padded.ptr.numel() - 1 == padded.y.size(0) > graphs_
    assert torch.equal(padded.ptr.diff(), torch.bincount(padded.batch, minlength=padded.num_graphs))
    assert int(padded.ptr[-1]) == padded.num_nodes == padded.x.size(0)
    assert padded.y[graphs_:].isnan().all()
    assert not padded.train_mask[nodes:].any()
    # What is real.
    lengths = (padded.num_nodes, padded.num_edges, padded.num_graphs, padded.pair_index.size(1))
    counts = (nodes, edges, graphs_, plain.pair_index.size(1))
    assert {length: int(count) for length, count in padded.padding.items()} == dict(zip(lengths, counts, strict=True))


def test_no_padding_node_is_a_hub_and_no_dummy_graph_large(store: GraphStore) -> None:
    for batch in GraphLoader(store, 12, shuffle=True, pad=True):
        real = int(batch.padding[batch.num_nodes])
        degree, natural = batch.adj.degree, batch.num_edges / batch.num_nodes
        assert int(degree[real:].max()) <= 4 * natural + 8
        dummies = batch.ptr.diff()[int(batch.padding[batch.num_graphs]) :]
        assert int(dummies.max()) - int(dummies.min()) <= 1


@pytest.mark.parametrize("dtype", [torch.long, torch.float])
def test_padded_targets_of_nodes_are_unlabelled(dtype: torch.dtype) -> None:
    store = GraphStore.from_data_list(graphs([3, 4, 5], y=lambda size: torch.ones(size, dtype=dtype)))
    batch = next(iter(GraphLoader(store, 3, pad=True)))
    padding = batch.y[12:]
    assert len(padding)
    assert padding.isnan().all() if dtype == torch.float else (padding == -1).all()


def test_targets_without_an_unlabelled_value_are_refused() -> None:
    store = GraphStore.from_data_list(graphs([3, 4], y=lambda size: torch.ones(size, dtype=torch.bool)))
    with pytest.raises(ConfigError, match="boolean targets"):
        next(iter(GraphLoader(store, 2, pad=True)))


def test_few_shapes_little_waste() -> None:
    torch.manual_seed(0)
    sizes = (torch.randn(3000) * 4.5 + 23).clamp(9, 37).long()
    edges = (2.15 * sizes).long()
    source = torch.cat([torch.arange(n) for n in edges.tolist()]) % sizes.repeat_interleave(edges)
    store = GraphStore.from_tensors(
        num_nodes=sizes,
        num_edges=edges,
        edge_index=torch.stack([source, source]),
        node={"x": torch.ones(sizes.sum(), 1)},
    )
    loader = GraphLoader(store, 128, shuffle=True, pad=True)
    shapes, real, padded = set(), 0, 0
    for batch in loader:
        shapes.add((batch.num_nodes, batch.num_edges, batch.num_graphs))
        real, padded = real + int(batch.padding[batch.num_nodes]), padded + batch.num_nodes
    assert len(shapes) < 8
    assert 1 - real / padded < 0.05


def test_lengths_tell_their_level() -> None:
    # As many edges as nodes, and as many nodes as graphs.
    store = GraphStore.from_data_list([Data(x=torch.ones(1, 1), edge_index=torch.zeros(2, 1, dtype=torch.long))] * 16)
    for size in (1, 4, 7, 16):
        batch = next(iter(GraphLoader(store, size, pad=True)))
        assert len({batch.num_nodes, batch.num_edges, batch.num_graphs}) == 3
        assert sorted(batch.padding) == sorted([batch.num_nodes, batch.num_edges, batch.num_graphs])


def test_degenerate_graphs() -> None:
    empty = torch.zeros(2, 0, dtype=torch.long)
    store = GraphStore.from_data_list([Data(x=torch.ones(n, 1), edge_index=empty) for n in (1, 0, 2)])
    for size in (1, 3):
        for batch in GraphLoader(store, size, pad=True):
            assert batch.adj.num_edges == batch.num_edges
            assert batch.num_graphs == 8


def test_the_programs_of_any_device_agree(store: GraphStore, monkeypatch: pytest.MonkeyPatch) -> None:
    buckets, index = Buckets.plan(store, torch.arange(40), 12), torch.arange(5, 17)
    compiled = assemble_padded(store, index, buckets)
    monkeypatch.setattr(batching, "_gather_for", lambda device: batching._gather_torch)
    tensors = assemble_padded(store, index, buckets)
    for key, value in compiled.to_dict().items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(value, tensors[key], equal_nan=True, rtol=0, atol=0)


def test_assembly_never_waits(store: GraphStore) -> None:
    # On the meta device there are no values to wait for: whoever asks for one fails.
    buckets, index = Buckets.plan(store, torch.arange(40), 12), torch.arange(5, 17)
    shapes, expected = assemble_padded(store.to("meta"), index, buckets), assemble_padded(store, index, buckets)
    for key, value in expected.to_dict().items():
        if isinstance(value, torch.Tensor):
            assert shapes[key].device.type == "meta"
            assert (shapes[key].shape, shapes[key].dtype) == (value.shape, value.dtype)
    assert shapes.adj.num_edges == expected.num_edges
    assert list(shapes.padding) == list(expected.padding)


def test_a_single_graph_stays_as_it_is() -> None:
    store = GraphStore.from_data_list(graphs([7]))
    assert "padding" not in next(iter(GraphLoader(store, 1, pad=True)))


@pytest.mark.parametrize(("capture", "pad", "padded"), [(True, None, True), (False, None, False), (False, True, True)])
def test_the_data_module_pads_for_a_captured_task(store: GraphStore, monkeypatch, capture, pad, padded) -> None:
    parts = {"train": torch.arange(30), "val": torch.arange(30, 40)}
    monkeypatch.setattr(datamodule, "load_dataset", lambda name, **options: store.replace(splits=parts))
    data = GraphDataModule("ours", batch_size=10, pad=pad)

    class Trainer:
        global_rank, world_size = 0, 1
        lightning_module = type("Task", (), {"capture": capture})

    data.trainer = Trainer
    assert ("padding" in next(iter(data.train_dataloader()))) == padded
    assert "padding" not in next(iter(data.val_dataloader()))


def test_evaluation_batches_are_larger_where_nothing_depends_on_them(store: GraphStore, monkeypatch) -> None:
    def size(task: TaskSpec, **options) -> int:
        kept = store.replace(splits={"val": torch.arange(40)}, task=task)
        monkeypatch.setattr(datamodule, "load_dataset", lambda name, **_: kept)
        return GraphDataModule("ours", **options).val_dataloader().batch_size

    regression = TaskSpec("graph", 1, "l1", "mae", False)
    assert size(regression, batch_size=4) == 32
    assert size(regression, batch_size=4, eval_batch_size=3) == 3
    assert size(TaskSpec("node", 2, "weighted_cross_entropy", "macro_f1"), batch_size=4) == 4
    assert size(TaskSpec("link", 2, "bce", "mrr"), batch_size=4) == 4
    monkeypatch.setattr(datamodule, "_EVAL_ROWS", 1)
    assert size(regression, batch_size=4) == 4
