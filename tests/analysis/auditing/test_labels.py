"""Labels: balance, constant answers, copies of graphs, homophily; and targets that are missing, many or of links."""

import pytest
import torch
from torch_geometric.data import Data

from gnnlab.analysis.auditing import audit_sample
from gnnlab.analysis.auditing.labels import labels_section
from gnnlab.data import GraphStore, TaskSpec, load_dataset

NAN = float("nan")
PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
RING = torch.tensor([[0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]])


def stored(targets: list, edges: torch.Tensor = PATH, task: TaskSpec | None = None, **kwargs) -> GraphStore:
    graphs = [Data(edge_index=edges, num_nodes=3, y=torch.as_tensor(target)) for target in targets]
    return GraphStore.from_data_list(graphs, task=task, **kwargs)


def labelled(store: GraphStore, **kwargs) -> dict:
    section = labels_section(audit_sample(store, **kwargs))
    for picture in section.pictures:
        assert picture.draw().axes
        assert picture.text
    assert section.tables
    return section.values


def test_classes_of_graphs_and_their_copies():
    task = TaskSpec("graph", 2, "cross_entropy", "accuracy")
    splits = {"train": torch.tensor([0, 1]), "test": torch.tensor([2, 3])}
    graphs = [Data(edge_index=edges, num_nodes=3, y=torch.tensor([y])) for edges, y in ((PATH, 0), (PATH, 1))]
    graphs += [Data(edge_index=RING, num_nodes=3, y=torch.tensor([1])), graphs[1].clone()]
    values = labelled(GraphStore.from_data_list(graphs, task=task, splits=splits))
    assert values["labelled"] == 4
    assert values["balance"] == [0.25, 0.75]
    assert values["majority"] == values["baseline"] == 0.75
    assert [values[name] for name in ("duplicates", "conflicting", "noise_floor")] == [3, 3, 0.75]
    assert [values[name] for name in ("tested", "leaked")] == [2, 1]
    assert values["homophily"] is None


def test_unlabelled_graphs_do_not_count():
    task = TaskSpec("graph", 2, "cross_entropy", "accuracy")
    values = labelled(stored([[0], [-1], [1], [1]], task=task))
    assert values["labelled"] == 3
    assert values["unlabelled_share"] == 0.25
    assert values["baseline"] == pytest.approx(2 / 3)


def test_several_labels_some_of_them_missing():
    task = TaskSpec("graph", 3, "bce", "ap")
    values = labelled(stored([[[NAN, 1.0, 0.0]], [[1.0, 0.0, NAN]], [[NAN, 0.0, 0.0]], [[NAN] * 3]], task=task))
    assert values["kind"] == "labels"
    assert values["labelled"] == 3
    assert values["missing_share"] == pytest.approx(6 / 12)
    assert values["balance"] == pytest.approx([1, 1 / 3, 0])
    assert values["baseline"] == pytest.approx(1 / 3), "the only label with both answers"


def test_many_numbers():
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(50, 30, generator=generator)
    targets[3, 4] = NAN
    values = labelled(stored(list(targets[:, None]), task=TaskSpec("graph", 30, "l1", "mae", False)))
    assert values["targets"] == 30
    errors = (targets - targets.nanmedian(0).values).abs()
    assert values["baseline"] == pytest.approx(float(errors.nanmean()), abs=2e-3)
    assert values["target_std"] == pytest.approx(1, abs=0.1)
    assert values["duplicates"] == values["conflicting"] == 50
    assert values["noise_floor"] == pytest.approx(values["baseline"], abs=2e-3)


def test_root_mean_square_is_judged_by_the_mean():
    values = labelled(stored([[0.0], [0.0], [3.0]], task=TaskSpec("graph", 1, "mse", "rmse", False)))
    assert values["baseline"] == pytest.approx(2**0.5)


def test_homophily_of_two_cliques():
    """Barbell K4-K4 labelled by clique: the values of the literature's definitions by hand."""
    one_way = [(a + s, b + s) for s in (0, 4) for a in range(4) for b in range(a)] + [(3, 4)]
    edges = torch.tensor(one_way).t()
    y = torch.tensor([0] * 4 + [1] * 4)
    graph = Data(edge_index=torch.cat([edges, edges.flip(0)], 1), num_nodes=8, y=y)
    values = labelled(GraphStore.from_data_list([graph], task=TaskSpec("node", 2, "cross_entropy", "accuracy")))
    assert values["homophily"]["edge"] == pytest.approx(12 / 13)
    assert values["homophily"]["node"] == pytest.approx(0.9375)
    assert values["homophily"]["adjusted"] == pytest.approx(0.846154, abs=1e-6)
    assert values["homophily"]["label_informativeness"] == pytest.approx(0.608756, abs=1e-6)
    assert values["homophily_by_distance"] == [pytest.approx(12 / 13), 0, 0, None, None]
    assert values["chance"] == 0.5
    assert values["similarity_within"] > 0.9 > 0.5 > values["similarity_between"]


def test_one_logit_and_any_names_of_classes():
    edges = torch.cat([PATH, PATH.flip(0)], 1)
    graph = Data(edge_index=edges, num_nodes=3, y=torch.tensor([[0.0], [1.0], [NAN]]))
    task = TaskSpec("node", 1, "bce", "rocauc")
    values = labelled(GraphStore.from_data_list([graph], task=task))
    assert values["kind"] == "classes"
    assert values["baseline"] == 0.5
    assert values["homophily"]["edge"] == 0, "one edge between labelled nodes, of different labels"


@pytest.mark.parametrize("y", [torch.rand(3, 2), torch.tensor([[0, 1], [1, 1], [0, 0]])])
def test_nodes_without_one_class_each_have_no_homophily(y):
    values = labelled(GraphStore.from_data_list([Data(edge_index=PATH, num_nodes=3, y=y)]))
    assert values["homophily"] is None
    assert values["labelled"] == 3


def test_a_split_of_nodes_counts_its_labels_alone():
    mask = torch.tensor([True, True, False])
    graph = Data(edge_index=PATH, num_nodes=3, y=torch.tensor([0, 0, 1]), train_mask=mask)
    store = GraphStore.from_data_list([graph], task=TaskSpec("node", 2, "cross_entropy", "accuracy"))
    assert labelled(store)["homophily"]["edge"] == 0.5
    values = labelled(store, split="train")
    assert values["labelled"] == 2
    assert values["homophily"]["edge"] == 1


@pytest.mark.parametrize("case", ["none", "missing", "links"])
def test_without_labels_the_section_says_so(case):
    graphs = {
        "none": GraphStore.from_data_list([Data(edge_index=PATH, num_nodes=3)]),
        "missing": stored([[[NAN, NAN]]]),
        "links": stored([[1.0]], task=TaskSpec("link", 8, "bce", "mrr")),
    }
    section = labels_section(audit_sample(graphs[case]))
    assert section.values["labelled"] == 0
    assert section.text[0].startswith("Not measured, because")


def test_real_classes(mirror):
    values = labelled(load_dataset("mutag", progress=False))
    assert values["majority"] == pytest.approx(125 / 188)
    assert values["conflicting"] == 0
    cora = labelled(load_dataset("cora", progress=False))
    assert cora["homophily"]["edge"] == pytest.approx(0.81, abs=5e-3)
    assert cora["homophily"]["adjusted"] == pytest.approx(0.771, abs=5e-3)
