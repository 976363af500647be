"""What holds for every rewiring, whichever it is: on a graph, a batch, a store and a command line."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch_geometric.data import Batch, Data

import gnnlab.rewiring
from gnnlab.cli.lightning import GnnlabCLI
from gnnlab.data import GraphStore, load_dataset
from gnnlab.data.cache import cached_store
from gnnlab.graph import connected_components
from gnnlab.rewiring import Rewiring
from gnnlab.testing import check_transform
from gnnlab.testing._transform_views import batch_views, view

EVERY = sorted(
    (
        value
        for value in vars(gnnlab.rewiring).values()
        if isinstance(value, type) and issubclass(value, Rewiring) and value is not Rewiring
    ),
    key=lambda each: each.__name__,
)


def any_input(kind: type[Rewiring]) -> Rewiring:
    """A rewiring with its defaults that takes directed graphs too."""
    names = {field.name for field in dataclasses.fields(kind)}
    return kind(symmetrise=True) if "symmetrise" in names else kind()


def molecules(count: int = 12) -> list[Data]:
    """Trees with a ring closure, of 5 to 16 nodes, with categories as edge features."""
    generator = torch.Generator().manual_seed(4)
    graphs = []
    for index in range(count):
        n = 5 + index
        child = torch.arange(1, n)
        parent = (torch.rand(n - 1, generator=generator) * child).long()
        one_way = torch.cat([torch.stack([child, parent]), torch.tensor([[n - 1], [0]])], 1).unique(dim=1)
        edges = torch.cat([one_way, one_way.flip(0)], 1).unique(dim=1)
        bond = edges.sum(0, keepdim=True).t() % 3
        x = torch.randn(n, 2, generator=generator)
        graphs.append(Data(x=x, edge_index=edges, edge_attr=bond, y=torch.ones(1)))
    return graphs


@pytest.mark.parametrize("kind", EVERY)
def test_keeps_the_contract(kind: type[Rewiring]) -> None:
    check_transform(any_input(kind))


@pytest.mark.parametrize("kind", EVERY)
def test_graph_batch_and_store_agree(kind: type[Rewiring]) -> None:
    rewire, graphs = any_input(kind), molecules()
    store = GraphStore.from_data_list(graphs)
    mapped = store.map(rewire, chunk_nodes=40)
    batch = batch_views(rewire(Batch.from_data_list(graphs)))
    for index, graph in enumerate(graphs):
        alone = view(rewire(graph))
        for other in (batch[index], view(mapped[index])):
            assert set(other.nodes) == set(alone.nodes)
            for rows, expected in ((other.nodes, alone.nodes), (other.others, alone.others)):
                for key, value in expected.items():
                    assert torch.allclose(rows[key].double(), value.double(), atol=1e-6), (index, key)


@pytest.mark.parametrize("kind", EVERY)
def test_the_cache_serves_the_second_run(kind: type[Rewiring], tmp_path) -> None:
    store, rewire = GraphStore.from_data_list(molecules(4)), any_input(kind)
    first = cached_store(rewire.key(), lambda: store.map(rewire), tmp_path)
    again = cached_store(rewire.key(), lambda: pytest.fail("built twice"), tmp_path)
    assert torch.equal(first[[0, 1, 2, 3]].edge_index, again[[0, 1, 2, 3]].edge_index)


@pytest.mark.parametrize("kind", EVERY)
def test_one_word_on_the_command_line(kind: type[Rewiring]) -> None:
    word = f"--data.transforms+=gnnlab.rewiring.{kind.__name__}"
    cli = GnnlabCLI(["-c", "lrgb/peptides-func/gcn", word], build=False)
    chosen = cli.config["data"]["transforms"]
    assert [step["class_path"].rpartition(".")[2] for step in chosen] == ["RandomWalkPE", kind.__name__]


@pytest.mark.parametrize("kind", EVERY)
def test_components_are_never_joined_but_by_what_says_so(kind: type[Rewiring]) -> None:
    joins = {"Expander", "FullyAdjacent", "VirtualNode"}
    two = Batch.from_data_list(molecules(2))
    data = Data(x=two.x, edge_index=two.edge_index, edge_attr=two.edge_attr)
    out = any_input(kind)(data)
    count = int(connected_components(out.edge_index, out.num_nodes).max()) + 1
    assert (count == 1) if kind.__name__ in joins else (count >= 2)


@pytest.mark.mirror
@pytest.mark.parametrize("kind", EVERY)
def test_real_molecules(kind: type[Rewiring], mirror) -> None:
    store = load_dataset("mutag", progress=False)
    rewired = store.subset(range(40)).map(any_input(kind))
    assert len(rewired) == 40
    assert rewired.column("edge_type").numel() == rewired.num_edges
    assert rewired[torch.arange(40)].adj.num_edges == rewired.num_edges
