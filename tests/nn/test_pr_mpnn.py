"""Learned rewiring: against explicitly rewired graphs, by property, and on a task that needs it."""

from __future__ import annotations

import copy
import pickle
from functools import partial

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from lightning import Trainer
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError, GraphError
from gnnlab.lifting import CandidatePairs
from gnnlab.nn import (
    GNN,
    PRMPNN,
    FeatureEncoder,
    GATConv,
    GatedGCNConv,
    GCNConv,
    GINConv,
    GINEConv,
    LinearEncoder,
    RelationalConv,
    SAGEConv,
)
from gnnlab.nn.models._edge_choice import _divergence
from gnnlab.ops import CSR
from gnnlab.testing._transform_views import renumber
from gnnlab.training import GraphTask, quiet_lightning

ENCODER = partial(
    FeatureEncoder, node=partial(LinearEncoder, in_channels=5), edge=partial(LinearEncoder, in_channels=2)
)
SETTINGS = {
    "additions": {"num_added": 3},
    "removals": {"num_added": 0, "num_removed": 2},
    "merged": {"num_added": 3, "num_removed": 2, "num_priors": 2},
    "separate": {"num_added": 3, "num_removed": 2, "num_priors": 2, "separate": True, "include_original": True},
    "concatenated": {"num_added": 2, "num_removed": 1, "num_priors": 3, "include_original": True, "combine": "cat"},
    "sampled": {"num_added": 3, "num_removed": 2, "num_priors": 2, "eval_sampling": "sample", "num_eval_samples": 3},
    "gumbel": {"num_added": 3, "sampler": "gumbel", "eval_sampling": "sample", "num_eval_samples": 2},
    "released": {"num_added": 3, "num_removed": 1, "train_edges": "marginal", "num_samples": 2},
    "gcn": {"num_added": 3, "num_removed": 1, "conv": GCNConv},
}


def build(name: str = "additions", seed: int = 0, **changes) -> PRMPNN:
    torch.manual_seed(seed)
    options = {"hidden_channels": 8, "num_layers": 2, "encoder": ENCODER, **SETTINGS[name], **changes}
    return PRMPNN(2, **options).double()


def graph(num_nodes: int, seed: int = 0, pool_size: int = 12) -> Data:
    """A ring with chords, features in float64, and its pool."""
    generator = torch.Generator().manual_seed(seed)
    ring = torch.arange(num_nodes)
    edges = torch.cat(
        [torch.stack([ring, (ring + 1) % num_nodes]), torch.randint(num_nodes, (2, 3), generator=generator)], 1
    )
    edges = torch.cat([edges, edges.flip(0)], 1)
    attr = torch.randn(edges.size(1) // 2, 2, generator=generator).double().repeat(2, 1)
    x = torch.randn(num_nodes, 5, generator=generator).double()
    return CandidatePairs(pool_size)(Data(x=x, edge_index=edges, edge_attr=attr))


def bare(num_nodes: int, edges: list[tuple[int, int]], pairs: list[tuple[int, int]]) -> Data:
    edge_index, pool = (torch.tensor(rows, dtype=torch.long).reshape(-1, 2).t() for rows in (edges, pairs))
    attr = torch.ones(edge_index.size(1), 2).double()
    return Data(x=torch.randn(num_nodes, 5).double(), edge_index=edge_index, edge_attr=attr, candidate_index=pool)


def explicitly_rewired(model: PRMPNN, data: Data, added: Tensor, removed: Tensor) -> Data:
    """The graph [one Data] with the chosen pairs joined and the chosen edges gone, encoded."""
    x, attr = model.encoder(data)
    low, high = data.edge_index.aminmax(dim=0)
    gone = ((low[:, None] == removed[0]) & (high[:, None] == removed[1])).any(1)
    edge_index = torch.cat([data.edge_index[:, ~gone], added, added.flip(0)], 1)
    new_edge = torch.zeros(8).double() if model.new_edge is None else model.new_edge
    attr = torch.cat([attr[~gone], new_edge.expand(2 * added.size(1), -1)])
    return Data(x=x, edge_index=edge_index, edge_attr=attr)


@pytest.mark.parametrize("conv", [GINEConv, GatedGCNConv, GCNConv, GINConv])
def test_evaluation_is_the_downstream_network_on_the_most_likely_graph(conv):
    model = build("merged", num_priors=1, conv=conv).eval()
    assert (model.new_edge is not None) == (conv in (GINEConv, GatedGCNConv))
    data = graph(9)
    probability = model.edge_probabilities(data)
    edges = torch.stack(data.edge_index.aminmax(dim=0))
    edges = edges[:, edges[0] < edges[1]].unique(dim=1)
    added = data.candidate_index[:, probability["added"][0].topk(3).indices]
    removed = edges[:, probability["removed"][0].topk(2).indices]
    expected = model.head(model.downstream(explicitly_rewired(model, data, added, removed)))
    torch.testing.assert_close(model(data), expected)


def test_samples_and_priors_are_graphs_of_their_own():
    """Three priors, each choosing its own edges, and the original: one by one."""
    model, data = build("concatenated").eval(), graph(8)
    probability = model.edge_probabilities(data)
    edges = torch.stack(data.edge_index.aminmax(dim=0))
    edges = edges[:, edges[0] < edges[1]].unique(dim=1)
    parts = [model.downstream(explicitly_rewired(model, data, edges[:, :0], edges[:, :0]))]
    for prior in range(3):
        added = data.candidate_index[:, probability["added"][prior].topk(2).indices]
        removed = edges[:, probability["removed"][prior].topk(1).indices]
        parts.append(model.downstream(explicitly_rewired(model, data, added, removed)))
    torch.testing.assert_close(model(data), model.head(torch.cat(parts, 1)))


def test_released_training_weights_all_candidates_by_their_marginals():
    model, data = build("additions", train_edges="marginal", norm=None), graph(9)
    for module in model.scorer.modules():
        module.train(False)
    marginals = model.edge_probabilities(data)["added"][0]
    expanded = explicitly_rewired(model, data, data.candidate_index, data.candidate_index[:, :0])
    expanded.edge_weight = torch.cat([marginals.new_ones(data.num_edges), marginals, marginals])
    expected = model.head(model.downstream(expanded))
    model.training = model.added.training = True
    torch.testing.assert_close(model(data), expected)


@pytest.mark.parametrize("level", ["graph", "node"])
@pytest.mark.parametrize("name", SETTINGS)
def test_batch_equals_single(name, level):
    model, graphs = build(name, level=level).eval(), [graph(n, seed=n) for n in (7, 9, 6)]
    graphs.append(bare(3, [(0, 1), (1, 0)], []))
    state = torch.get_rng_state()
    out = model(Batch.from_data_list(graphs))
    assert out.shape == ((4 if level == "graph" else 25), 2)
    torch.testing.assert_close(torch.cat([model(data) for data in graphs]), out)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["merged", "separate", "concatenated", "gcn"])
def test_the_most_likely_graph_does_not_depend_on_the_numbering(name):
    model, data = build(name, level="node").eval(), graph(9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    moved = renumber(data, order)
    # Ends and order of pairs do not matter either.
    moved.candidate_index = moved.candidate_index.flip(0, 1)
    torch.testing.assert_close(model(moved), model(data)[order])


@pytest.mark.parametrize("name", SETTINGS)
def test_degenerate_graphs(name):
    model = build(name)
    cases = {
        "no candidates": bare(3, [(0, 1), (1, 0), (1, 2), (2, 1)], []),
        "fewer candidates than k": bare(3, [(0, 1), (1, 0), (1, 2), (2, 1)], [(0, 2)]),
        "no edges": bare(4, [], []),
        "one node": bare(1, [], []),
        "only a loop": bare(1, [(0, 0)], []),
        "no nodes": bare(0, [], []),
        "one direction": bare(3, [(0, 1), (1, 2)], [(0, 2)]),
    }
    batch = Batch.from_data_list(list(cases.values()))
    for training in (False, True):
        model.train(training)
        assert model(batch).isfinite().all()
    for case, data in cases.items():
        assert model.eval()(data).isfinite().all(), case


@pytest.mark.parametrize("name", SETTINGS)
def test_gradients_reach_every_parameter(name):
    model, batch = build(name), Batch.from_data_list([graph(n, seed=n) for n in (7, 9)])
    out = model(batch)
    (out * torch.randn_like(out)).sum().backward()
    # GCN reads no edge features.
    used = {key: p for key, p in model.named_parameters() if not (name == "gcn" and key.startswith("encoder.edge."))}
    for key, parameter in used.items():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    for chosen in (model.added, model.removed):
        if chosen is not None:
            # A constant added to all logits changes nothing, so the last bias has no gradient.
            assert all(bool((p.grad.abs() > 1e-9).any()) for p in list(chosen.score.parameters())[:-1])
    assert any(bool((p.grad.abs() > 1e-9).any()) for p in model.scorer.parameters())
    model.reset_parameters()


def test_training_draws_like_dropout_and_evaluation_never():
    model, data = build("sampled"), graph(9)
    first, second, other = (_seeded(model, data, seed) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    model.eval()
    assert torch.equal(_seeded(model, data, 1), _seeded(model, data, 2))
    reseeded = build("sampled", seed=0)
    reseeded.load_state_dict(model.state_dict())
    sampling = build("sampled").added.sampling
    for chosen in (reseeded.added, reseeded.removed):
        chosen.sampling = type(sampling)(**{**vars(sampling), "seed": 5})
    assert not torch.equal(_seeded(reseeded.eval(), data, 1), _seeded(model, data, 1))


def _seeded(model: PRMPNN, data: Data, seed: int) -> Tensor:
    state = copy.deepcopy(model.state_dict())
    torch.manual_seed(seed)
    out = model(data)
    model.load_state_dict(state)  # running statistics of the normalisation
    return out.detach()


def test_what_the_store_delivers_and_what_pyg_delivers_agree():
    model, data = build("merged").eval(), graph(9)
    with_adj = data.clone()
    with_adj.adj = CSR.from_edge_index(data.edge_index, 9)
    torch.testing.assert_close(model(with_adj), model(data))


def test_added_edges_have_a_relation_of_their_own():
    conv = partial(RelationalConv, conv=GINConv, num_relations=3)
    model, data = build("additions", conv=conv, relation=2).eval(), graph(9)
    data.edge_type = torch.arange(data.num_edges) % 2
    added = data.candidate_index[:, model.edge_probabilities(data)["added"][0].topk(3).indices]
    rewired = explicitly_rewired(model, data, added, added[:, :0])
    rewired.edge_type = torch.cat([data.edge_type, torch.full((6,), 2)])
    torch.testing.assert_close(model(data), model.head(model.downstream(rewired)))


def test_divergence_is_the_symmetric_kl_of_softmaxed_choices():
    chosen = torch.randint(2, (2, 3, 4, 5), generator=torch.Generator().manual_seed(0)).double()
    mask = torch.arange(5) < torch.tensor([[5], [3], [1], [0]])
    chosen = chosen * mask
    total, count = 0.0, 0
    for sample in chosen:
        for first in range(3):
            for second in range(first + 1, 3):
                for row in range(4):
                    p, q = (sample[e, row, mask[row]].softmax(-1) for e in (first, second))
                    total += float((p * (p / q).log()).sum() + (q * (q / p).log()).sum())
                    count += 1
    torch.testing.assert_close(_divergence(chosen, mask), torch.tensor(total / count).double())


def test_the_task_adds_the_auxiliary_loss_in_training_only():
    data = graph(9)
    data.y = torch.zeros(1, dtype=torch.long)
    spec = TaskSpec("graph", 2, "cross_entropy", "accuracy")
    model = build("merged", divergence_weight=0.5)
    task = GraphTask(model, spec)
    batch = Batch.from_data_list([data])
    torch.manual_seed(3)
    loss, _ = task._loss(batch, 0, "train")
    torch.manual_seed(3)
    out = model(batch)
    term = model.auxiliary_loss()
    assert float(term) < 0
    assert model.auxiliary_loss() is None  # handed out once
    torch.testing.assert_close(loss, nn.functional.cross_entropy(out, data.y) + term)
    task.eval()
    loss, _ = task._loss(batch, 0, "val")
    torch.testing.assert_close(loss, nn.functional.cross_entropy(model(batch), data.y))


def test_a_run_with_an_auxiliary_loss():
    items = [graph(n, seed=n) for n in (6, 7, 8, 9)]
    for i, item in enumerate(items):
        item.y = torch.tensor([i % 2])
    task = GraphTask(build("merged", divergence_weight=0.5).float(), TaskSpec("graph", 2, "cross_entropy", "accuracy"))
    loader = DataLoader([item.apply(lambda v: v.float() if v.is_floating_point() else v) for item in items], 2)
    with quiet_lightning():
        trainer = Trainer(
            max_epochs=2,
            logger=False,
            enable_checkpointing=False,
            accelerator="cpu",
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(task, loader, loader)
    assert trainer.callback_metrics["val/accuracy"] >= 0


def test_survives_copying_after_a_training_step():
    model, data = build("merged", divergence_weight=1.0), graph(9)
    model(data)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin.eval()(data), model.eval()(data))
        model.train()


def hidden_source(num_nodes: int, generator: torch.Generator) -> Data:
    """A ring where one node (marked) has to know the class of another one (marked), at least two hops away."""
    ring = torch.arange(num_nodes)
    edges = torch.stack([ring, (ring + 1) % num_nodes])
    target, source = (2 * torch.randperm(num_nodes // 2, generator=generator)[:2]).tolist()
    label = int(torch.randint(4, (1,), generator=generator))
    x, y = torch.zeros(num_nodes, 6), torch.full((num_nodes,), -1)
    x[target, 0] = x[source, 1] = x[source, 2 + label] = 1
    y[target] = label
    return Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], 1), y=y)


def test_one_layer_learns_to_look_where_the_answer_is():
    generator = torch.Generator().manual_seed(0)
    batch = CandidatePairs(None)(Batch.from_data_list([hidden_source(8, generator) for _ in range(64)]))
    labelled = batch.y >= 0

    def accuracy(model: nn.Module) -> float:
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
        for _ in range(200):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(batch), batch.y, ignore_index=-1).backward()
            optimizer.step()
        return float((model.eval()(batch).argmax(1) == batch.y)[labelled].float().mean())

    torch.manual_seed(0)
    common = {"hidden_channels": 16, "num_layers": 1, "in_channels": 6, "level": "node"}
    scorer = partial(GNN, **common)
    rewired = PRMPNN(4, **common, scorer=scorer, num_added=3, num_samples=2, norm=None)
    assert accuracy(GNN(4, **common, conv=GINEConv)) < 0.5
    assert accuracy(rewired) > 0.75
    target, source = (batch.x[:, i] == 1 for i in (0, 1))
    u, v = batch.candidate_index
    right = (target[u] & source[v]) | (source[u] & target[v])
    assert int(right.sum()) == 64
    assert float(rewired.edge_probabilities(batch)["added"][0, right].mean()) > 2 * 3 / 20


CONFIGURATION = """
class_path: gnnlab.nn.PRMPNN
init_args:
  out_channels: 3
  hidden_channels: 16
  num_layers: 2
  num_added: 4
  num_removed: 2
  num_priors: 2
  train_edges: marginal
  sampler: gumbel
  conv:
    class_path: gnnlab.nn.GINEConv
    init_args: {train_eps: true}
  encoder:
    class_path: gnnlab.nn.FeatureEncoder
    init_args:
      node: gnnlab.nn.AtomEncoder
      edge: gnnlab.nn.BondEncoder
  score:
    class_path: gnnlab.nn.MLPHead
    init_args: {num_layers: 4, activation: torch.nn.ReLU}
  scorer:
    class_path: gnnlab.nn.GNN
    init_args:
      hidden_channels: 12
      num_layers: 3
      level: node
      encoder:
        class_path: gnnlab.nn.FeatureEncoder
        init_args: {node: gnnlab.nn.AtomEncoder}
"""


def test_from_yaml(molecules):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--model", type=nn.Module)
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    model = instantiate(parser.parse_object({"model": yaml.safe_load(CONFIGURATION)})).model
    assert len(model.scorer.layers) == 3
    assert model.scorer.layers[0].out_channels == 12
    assert len(model.added.score) == 10
    assert model.num_parameters == sum(p.numel() for p in model.parameters())
    batch = CandidatePairs(20)(molecules())
    assert model(batch).shape == model.eval()(batch).shape == (3, 3)


def test_settings_and_batches_that_do_not_fit_are_named(molecules):
    with pytest.raises(ConfigError, match="did you mean 'marginal'"):
        build(train_edges="marginals")
    with pytest.raises(ConfigError, match="did you mean 'exact'"):
        build(sampler="exactly")
    for conv in (GATConv, SAGEConv, partial(SAGEConv, reduce="max")):
        with pytest.raises(ConfigError, match="weight 0 is still an edge"):
            build(conv=conv)
    with pytest.raises(ConfigError, match="nothing to choose"):
        build(num_added=0)
    with pytest.raises(ConfigError, match="at least 1"):
        build(num_samples=0)
    data = graph(9)
    del data.candidate_index
    with pytest.raises(GraphError, match="no 'candidate_index'"):
        build()(data)
    with pytest.raises(GraphError, match="level: node"):
        build(scorer=partial(GNN, in_channels=5))(graph(9))
    nodes_only = partial(FeatureEncoder, node=partial(LinearEncoder, in_channels=5))
    model = build(encoder=nodes_only, scorer=partial(GNN, in_channels=5, level="node"))
    with pytest.raises(GraphError, match="edge= of the FeatureEncoder"):
        model(graph(9))
