"""GraphStore against PyG's own batching, on random graphs, degenerate graphs and custom attributes."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data, InMemoryDataset

from gnnlab.data import GraphStore, _gather_torch, batching
from gnnlab.errors import ConfigError, DataError, GnnlabError, IntegrityError
from gnnlab.ops import CSR
from gnnlab.transform import Transform


def random_graph(num_nodes: int, num_edges: int, seed: int) -> Data:
    generator = torch.Generator().manual_seed(seed)
    high = max(num_nodes, 1)
    edges = torch.randint(high, (2, num_edges if num_nodes else 0), generator=generator)
    return Data(
        x=torch.randint(-3, 200, (num_nodes, 2), generator=generator),
        edge_index=edges,
        edge_attr=torch.randn(edges.size(1), 3, generator=generator),
        pos=torch.randn(num_nodes, 3, generator=generator),
        y=torch.randn(1, 4, generator=generator),
    )


sizes = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 12)), min_size=1, max_size=6)


def edge_rows(data: Data) -> list[tuple[float, ...]]:
    """Edges with their features, in an order of their own."""
    return sorted(map(tuple, torch.cat([data.edge_index.t().double(), data.edge_attr.double()], 1).tolist()))


def assert_same_graphs(ours: Data, theirs: Data) -> None:
    for key in ("x", "pos", "y"):
        assert torch.equal(ours[key], theirs[key]), key
        assert ours[key].dtype == theirs[key].dtype
    assert edge_rows(ours) == edge_rows(theirs)


@pytest.mark.parametrize("compiled", [True, False])
@settings(deadline=None, max_examples=40)
@given(sizes=sizes, data=st.data())
def test_batch_equals_pyg(compiled: bool, sizes: list[tuple[int, int]], data: st.DataObject) -> None:
    graphs = [random_graph(n, e, seed) for seed, (n, e) in enumerate(sizes)]
    store = GraphStore.from_data_list(graphs)
    index = data.draw(st.lists(st.integers(0, len(graphs) - 1), max_size=8))
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(batching, "_gather_for", lambda device: _gather_torch)
        batch = store[torch.tensor(index, dtype=torch.long)]
    if not index:
        assert batch.num_graphs == 0
        assert batch.x.shape == (0, 2)
        return
    reference = Batch.from_data_list([graphs[i] for i in index])
    assert_same_graphs(batch, reference)
    assert torch.equal(batch.batch, reference.batch)
    assert torch.equal(batch.ptr, reference.ptr)
    expected = CSR.from_edge_index(batch.edge_index, batch.num_nodes)
    for name in ("ptr", "src", "ptr_t", "dst", "eid_t"):
        assert torch.equal(getattr(batch.adj, name), getattr(expected, name)), name
    assert torch.equal(batch.adj.edge_index, batch.edge_index)
    for ours, i in zip(batch.to_data_list(), index, strict=True):
        assert_same_graphs(ours, graphs[i])
        assert_same_graphs(store[i], graphs[i])


class _Toy(InMemoryDataset):
    def __init__(self, graphs: list[Data]) -> None:
        super().__init__()
        self.data, self.slices = self.collate(graphs)


def test_a_pyg_dataset_becomes_a_store() -> None:
    graphs = [random_graph(n, 2 * n, n) for n in (3, 1, 4)]
    store = GraphStore.from_data_list(_Toy(graphs)[[2, 0]])
    assert_same_graphs(store[[0, 1]], Batch.from_data_list([graphs[2], graphs[0]]))


def test_edges_come_in_destination_order() -> None:
    store = GraphStore.from_data_list([random_graph(5, 20, 1), random_graph(4, 9, 2)])
    destination = store[[1, 0]].edge_index[1]
    assert torch.equal(destination, destination.sort().values)


class _Pairs(Data):
    """Custom joining rules: ``pair`` counts the rows of ``other``; ``code`` is stacked as a new dimension."""

    def __inc__(self, key, value, *args, **kwargs):
        if key == "pair":
            return torch.tensor([[self.num_nodes], [self.other.size(0)]])
        return super().__inc__(key, value, *args, **kwargs)

    def __cat_dim__(self, key, value, *args, **kwargs):
        if key == "pair":
            return 1
        return None if key == "code" else super().__cat_dim__(key, value, *args, **kwargs)


def test_custom_increments_and_dimensions() -> None:
    graphs = [
        _Pairs(
            x=torch.ones(n, 1),
            edge_index=torch.tensor([[0], [n - 1]]),
            other=torch.arange(n + 2.0),
            pair=torch.tensor([[0, n - 1, 0], [n + 1, 0, 1]]),
            code=torch.tensor([n, 2 * n]),
            tag=f"g{n}",
            weight=0.5 * n,
        )
        for n in (2, 5, 3)
    ]
    batch = GraphStore.from_data_list(graphs)[[2, 0, 1]]
    reference = Batch.from_data_list([graphs[2], graphs[0], graphs[1]])
    for key in ("pair", "code", "other", "weight", "edge_index"):
        assert torch.equal(batch[key], reference[key]), key
    assert batch.tag == reference.tag
    assert batch.to_data_list()[1].pair.tolist() == graphs[0].pair.tolist()


def test_attributes_that_count_edges_follow_the_sort() -> None:
    class Line(Data):
        def __inc__(self, key, value, *args, **kwargs):
            return self.num_edges if key == "edge_choice" else super().__inc__(key, value, *args, **kwargs)

    edges = torch.tensor([[0, 1, 2], [2, 0, 1]])
    graph = Line(x=torch.ones(3, 1), edge_index=edges, edge_choice=torch.tensor([0, 2]))
    batch = GraphStore.from_data_list([graph, graph])[[0, 1]]
    chosen = batch.edge_index[:, batch.edge_choice].t().tolist()
    assert chosen == [[0, 2], [2, 1], [3, 5], [5, 4]]


def test_save_and_load_round_trip(tmp_path) -> None:
    store = GraphStore.from_data_list(
        [random_graph(n, 2 * n, n) for n in (4, 1, 0, 6)],
        name="toy",
        splits={"train": torch.tensor([0, 3]), "val": torch.tensor([1])},
        folds={"cv": [{"train": torch.tensor([0])}, {"train": torch.tensor([2])}]},
        meta={"note": "kept"},
    )
    store.save(tmp_path / "toy")
    loaded = GraphStore.load(tmp_path / "toy")
    assert_same_graphs(loaded[[3, 0, 2]], store[[3, 0, 2]])
    assert loaded.splits["train"].tolist() == [0, 3]
    assert loaded.with_fold("cv", 1).splits["train"].tolist() == [2]
    assert loaded.meta == {"note": "kept"}


@pytest.mark.parametrize("damage", ["truncate", "flip", "manifest"])
def test_damaged_store_is_refused(tmp_path, damage: str) -> None:
    GraphStore.from_data_list([random_graph(4, 8, 0)]).save(tmp_path / "s")
    tensors, manifest = tmp_path / "s" / "columns.safetensors", tmp_path / "s" / "store.json"
    content = bytearray(tensors.read_bytes())
    if damage == "truncate":
        tensors.write_bytes(content[:-5])
    elif damage == "flip":
        content[-3] ^= 1
        tensors.write_bytes(content)
    else:
        manifest.write_text(manifest.read_text()[:-20])
    with pytest.raises(IntegrityError, match="rebuilt"):
        GraphStore.load(tmp_path / "s")


@dataclass(frozen=True)
class _Rewire(Transform):
    """Drops self-loops and adds an encoding, edge features and a new level."""

    def forward(self, data: Data) -> Data:
        keep = data.edge_index[0] != data.edge_index[1]
        data.edge_index = data.edge_index[:, keep].flip(1)
        data.edge_attr = data.edge_attr[keep].flip(0)
        data.pe_size = torch.bincount(data.batch, minlength=data.num_graphs)[data.batch].float().unsqueeze(1)
        data.path_1 = data.edge_index.t()
        return data


def test_map_equals_transforming_every_graph_alone() -> None:
    graphs = [random_graph(n, 3 * n, n) for n in (5, 1, 0, 7, 2)]
    store = GraphStore.from_data_list(graphs)
    whole, chunked = store.map(_Rewire()), store.map(_Rewire(), chunk_nodes=6)
    for mapped in (whole, chunked):
        for i, graph in enumerate(graphs):
            got, keep = mapped[[i]], graph.edge_index[0] != graph.edge_index[1]
            kept = Data(edge_index=graph.edge_index[:, keep], edge_attr=graph.edge_attr[keep])
            assert edge_rows(got) == edge_rows(kept)
            assert got.pe_size.tolist() == [[float(graph.num_nodes)]] * graph.num_nodes
            assert sorted(got.path_1.tolist()) == sorted(got.edge_index.t().tolist())
    assert torch.equal(whole[[3, 0]].path_1, chunked[[3, 0]].path_1)
    assert "pe_size" not in store.columns


def test_subset_keeps_graphs_and_adjacency() -> None:
    store = GraphStore.from_data_list([random_graph(n, 2 * n, n) for n in (3, 6, 2, 5)])
    chosen = store.subset([3, 1])
    assert len(chosen) == 2
    assert_same_graphs(chosen[[1, 0]], store[[1, 3]])
    assert torch.equal(chosen[[1, 0]].adj.dst, store[[1, 3]].adj.dst)


def test_node_split_becomes_masks() -> None:
    from gnnlab.data import TaskSpec

    task = TaskSpec("node", 2, "cross_entropy", "accuracy")
    folds = {"public": [{"train": torch.tensor([0, 2]), "test": torch.tensor([4])}]}
    store = GraphStore.from_data_list([random_graph(5, 4, 0)], task=task, folds=folds).with_fold("public")
    assert store[[0]].train_mask.tolist() == [True, False, True, False, False]
    assert store.splits == {}


def _broken(**changes) -> list[Data]:
    graphs = [random_graph(4, 6, 0), random_graph(3, 5, 1)]
    for key, value in changes.items():
        graphs[1][key] = value
    return graphs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"edge_index": torch.tensor([[0], [3]]), "edge_attr": torch.zeros(1, 3)},
            r"graph 1.*edge_index.*3 rows",
        ),
        ({"edge_index": torch.tensor([[-1], [0]]), "edge_attr": torch.zeros(1, 3)}, "graph 1.*edge_index"),
        ({"pos": torch.tensor([[0.0, 0, 0], [0, float("nan"), 0], [0, 0, 0]])}, r"graph 1.*pos.*row 1"),
        ({"pos": torch.tensor([[0.0, 0, 0], [0, float("inf"), 0], [0, 0, 0]])}, r"graph 1.*pos"),
        ({"y": torch.zeros(1, 3)}, r"graph 1.*'y'.*shape \[1, 3\]"),
        ({"extra": torch.ones(1)}, "graph 1.*'extra'"),
        ({"x": torch.zeros(3, 2)}, "dtypes"),
    ],
)
def test_the_border_refuses(changes: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        GraphStore.from_data_list(_broken(**changes), name="broken")


def test_clear_errors_inside() -> None:
    store = GraphStore.from_data_list([random_graph(4, 6, 0)], name="one")
    with pytest.raises(IndexError, match="1 graphs"):
        store[[1]]
    with pytest.raises(ConfigError, match="did you mean 'node'"):
        store.sizes("nodes")
    with pytest.raises(ConfigError, match="unknown split 'public'"):
        store.with_fold("public")
    with pytest.raises(DataError, match="split 'val' holds graph 7"):
        store.replace(splits={"val": torch.tensor([7])})
    with pytest.raises(GnnlabError, match="no graphs"):
        GraphStore.from_data_list([])


def test_integer_columns_are_stored_narrow_and_delivered_wide() -> None:
    store = GraphStore.from_data_list([random_graph(30, 60, 0)])
    assert store.columns["edge_index"].data.dtype == torch.uint8
    assert store[[0]].edge_index.dtype == torch.long
    assert store[[0]].x.dtype == torch.long
