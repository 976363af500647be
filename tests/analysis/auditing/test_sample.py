"""What an audit looks at: splits, samples, hidden labels, and balls cut out of large graphs."""

import networkx as nx
import pytest
import torch
from torch_geometric.data import Batch, Data

from gnnlab.analysis.auditing import audit_sample
from gnnlab.analysis.auditing.sample import union_of
from gnnlab.data import GraphStore, TaskSpec
from gnnlab.errors import ConfigError, DataError


def path(nodes: int, **attributes) -> Data:
    steps = torch.arange(nodes - 1)
    one_way = torch.stack([steps, steps + 1])
    return Data(edge_index=torch.cat([one_way, one_way.flip(0)], 1), num_nodes=nodes, **attributes)


def paths(count: int = 20) -> GraphStore:
    graphs = [path(2 + place, y=torch.tensor([place])) for place in range(count)]
    splits = {"train": torch.arange(0, count, 2), "test": torch.arange(1, count, 2)}
    return GraphStore.from_data_list(graphs, splits=splits, name="paths")


def test_a_split_and_a_sample_keep_track_of_where_graphs_come_from():
    chosen = audit_sample(paths(), split="train", sample=4, seed=1)
    assert len(chosen.store) == 4
    assert chosen.available == 10
    assert (chosen.index % 2 == 0).all()
    assert (chosen.index.diff() > 0).all()
    assert torch.equal(chosen.store.column("y"), chosen.index)
    assert torch.equal(chosen.store.splits["train"], torch.arange(4))
    assert "test" not in chosen.store.splits
    assert chosen.subject == "4 of the 10 graphs of the split train, drawn at random (seed 1)."
    again = audit_sample(paths(), split="train", sample=4, seed=1)
    assert torch.equal(again.index, chosen.index)
    assert not torch.equal(audit_sample(paths(), sample=10, seed=2).index, audit_sample(paths(), sample=10).index)


def test_splits_follow_the_sample():
    chosen = audit_sample(paths(), sample=9)
    for name, members in chosen.store.splits.items():
        assert torch.equal(chosen.index[members] % 2, torch.full_like(members, int(name == "test")))


def test_all_graphs_are_the_store_itself():
    store = paths()
    assert audit_sample(store).store is store
    assert audit_sample(store).subject == "All 20 graphs of the dataset."


@pytest.mark.parametrize("form", ["list", "batch", "graph"])
def test_graphs_without_a_store(form):
    graphs = [path(3), path(5)]
    given = {"list": graphs, "batch": Batch.from_data_list(graphs), "graph": graphs[1]}[form]
    chosen = audit_sample(given)
    assert chosen.store.sizes("node").tolist() == ([5] if form == "graph" else [3, 5])
    assert chosen.level is None
    assert chosen.name == "unnamed"


@pytest.mark.parametrize("dtype", [torch.long, torch.float32])
def test_the_split_of_a_node_task_hides_the_other_labels(dtype):
    mask = torch.tensor([True, False, True, False])
    task = TaskSpec("node", 2, "cross_entropy", "accuracy")
    graph = path(4, y=torch.tensor([0, 1, 1, 0]).to(dtype), train_mask=mask)
    store = GraphStore.from_data_list([graph], task=task)
    shown = audit_sample(store, split="train").store.column("y")
    assert torch.equal(shown[mask], graph.y[mask])
    assert (shown[~mask].isnan() if dtype.is_floating_point else shown[~mask] == -1).all()
    assert torch.equal(store.column("y"), graph.y)


def test_what_cannot_be_looked_at_is_refused():
    with pytest.raises(DataError, match="no graphs"):
        audit_sample([])
    with pytest.raises(DataError, match="no graphs"):
        audit_sample(paths().subset(torch.tensor([], dtype=torch.long)))
    with pytest.raises(DataError, match="holds no graphs"):
        audit_sample(paths().replace(splits={"val": torch.tensor([], dtype=torch.long)}), split="val")
    with pytest.raises(ConfigError, match="positive"):
        audit_sample(paths(), sample=0)
    with pytest.raises(ConfigError, match="did you mean 'train'"):
        audit_sample(paths(), split="trian")


def test_too_many_nodes_are_sampled_by_graphs():
    chosen = audit_sample(paths(), largest=50)
    assert 1 < len(chosen.store) < 20
    assert chosen.store.num_nodes <= 50
    assert chosen.available == 20
    assert len(audit_sample(paths(), largest=1).store) == 1


def test_an_excerpt_cuts_balls_out_of_large_graphs():
    lattice = nx.convert_node_labels_to_integers(nx.grid_2d_graph(20, 20))
    one_way = torch.tensor(sorted(lattice.edges)).t()
    weight = torch.arange(one_way.size(1)).repeat(2)
    large = Data(
        x=torch.arange(403)[:, None].float(),
        edge_index=torch.cat([one_way, one_way.flip(0)], 1),
        edge_attr=weight[:, None].float(),
        y=torch.tensor([7]),
    )
    small = path(3, x=torch.zeros(3, 1), edge_attr=torch.ones(4, 1), y=torch.tensor([8]))
    chosen = audit_sample([small, large, small])
    part = chosen.excerpt(3, nodes=50)
    assert part.cut.tolist() == [False, True, False]
    assert not part.whole
    assert part.store.sizes("node").tolist() == [3, 50, 3]
    assert part.store.column("y").tolist() == [8, 7, 8]
    ball = part.store[1]
    members = ball.x.flatten().long()
    assert members.max() < 400, "not the isolated nodes"
    wanted = lattice.subgraph(members.tolist())
    assert nx.is_connected(wanted)
    assert wanted.number_of_edges() == ball.num_edges // 2
    for (source, target), value in zip(members[ball.edge_index].t().tolist(), ball.edge_attr.flatten(), strict=True):
        assert set(one_way[:, int(value)].tolist()) == {source, target}
    assert torch.equal(chosen.excerpt(3, nodes=50).store.column("x"), part.store.column("x"))
    assert chosen.excerpt(3, nodes=403).whole


def test_union_counts_nodes_through():
    edges, ptr = union_of(GraphStore.from_data_list([path(2), path(3)]))
    assert ptr.tolist() == [0, 2, 5]
    assert {tuple(edge) for edge in edges.t().tolist()} == {(0, 1), (1, 0), (2, 3), (3, 2), (3, 4), (4, 3)}
