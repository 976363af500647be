"""Models with attention: built from YAML, trained, never mixing graphs; what they cost in parameters."""

from __future__ import annotations

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from lightning import Trainer
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from gnnlab.data.task import TaskSpec
from gnnlab.encodings import RRWP, RandomWalkPE
from gnnlab.nn import GNN, ExphormerConv, GatedGCNConv, GPSConv, GRITConv, SelfAttention
from gnnlab.rewiring import Expander, VirtualNode
from gnnlab.training import GraphTask, quiet_lightning

ENCODER = """
    class_path: gnnlab.nn.FeatureEncoder
    init_args:
      node: gnnlab.nn.AtomEncoder
      {edges}
      encodings:
      - class_path: gnnlab.nn.LinearPEEncoder
        init_args: {{attribute: {attribute}, in_channels: 5, out_channels: 8}}
"""
MODEL = """
class_path: gnnlab.nn.GNN
init_args:
  out_channels: 2
  hidden_channels: 16
  num_layers: 2
  norm: null
  residual: false
  activation: null
  edges: {level}
  conv:{conv}
  encoder:{encoder}
"""
GPS = """
    class_path: gnnlab.nn.GPSConv
    init_args:
      local:
        class_path: gnnlab.nn.GatedGCNConv
        init_args: {dropout: 0.1}
      local_dropout: 0
      attention:
        class_path: gnnlab.nn.SelfAttention
        init_args: {heads: 2, dropout: 0.5}
      dropout: 0.1
"""
EXPHORMER = """
    class_path: gnnlab.nn.GPSConv
    init_args:
      local: gnnlab.nn.GINEConv
      attention:
        class_path: gnnlab.nn.ExphormerConv
        init_args: {heads: 2, num_relations: 3}
      local_relations: [0]
      activation: torch.nn.GELU
      norm: torch_geometric.nn.GraphNorm
"""
GRIT = """
    class_path: gnnlab.nn.GRITConv
    init_args: {heads: 4, attention_dropout: 0.2}
"""
RWSE = ENCODER.format(edges="edge: gnnlab.nn.BondEncoder", attribute="pe_rwse")
PAIRS = ENCODER.format(
    edges="pair: {class_path: gnnlab.nn.PairEncoder, init_args: {in_channels: 5, edge: gnnlab.nn.BondEncoder}}",
    attribute="pe_rrwp",
)
MODELS = {
    "gps": MODEL.format(level="edge", conv=GPS, encoder=RWSE),
    "exphormer": MODEL.format(level="edge", conv=EXPHORMER, encoder=RWSE),
    "grit": MODEL.format(level="pair", conv=GRIT, encoder=PAIRS),
    "sparse-grit": MODEL.format(level="edge", conv=GRIT, encoder=RWSE),
}
PARAMETERS = {"gps": 2 * 3_680, "exphormer": 2 * 2_832, "grit": 2 * 3_152, "sparse-grit": 2 * 3_152}
"""Of the layers."""


def parser() -> ArgumentParser:
    result = ArgumentParser(exit_on_error=False)
    result.add_argument("--model", type=nn.Module)
    return result


def build(name: str) -> GNN:
    torch.manual_seed(0)
    instantiate = getattr(parser(), "instantiate", None) or parser().instantiate_classes
    return instantiate(parser().parse_object({"model": yaml.safe_load(MODELS[name])})).model


def graphs(sizes: tuple[int, ...] = (6, 2, 9, 5, 3, 1, 4, 7)) -> list[Data]:
    generator, items = torch.Generator().manual_seed(2), []
    for n in sizes:
        one_way = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
        data = Data(
            x=torch.randint(2, (n, 9), generator=generator),
            edge_index=torch.cat([one_way, one_way.flip(0)], 1),
            edge_attr=torch.randint(2, (2 * n - 2, 3), generator=generator),
            y=torch.tensor([n % 2]),
        )
        for transform in (Expander(kind="regular"), VirtualNode(relation=2), RandomWalkPE(5), RRWP(5, pairs="all")):
            data = transform(data)
        items.append(data)
    return items


@pytest.mark.parametrize("name", MODELS)
def test_built_from_yaml_and_every_graph_alone(name):
    model, batch = build(name).eval(), Batch.from_data_list(graphs())
    out = model(batch)
    assert out.shape == (8, 2)
    torch.testing.assert_close(torch.cat([model(graph) for graph in batch.to_data_list()]), out)
    other = batch.clone()
    other.x[: int(batch.ptr[3])] = 1
    torch.testing.assert_close(model(other)[3:], out[3:])


def test_the_settings_of_the_yaml_arrive():
    gps, exphormer, grit = (build(name).layers[1].conv for name in ("gps", "exphormer", "grit"))
    assert isinstance(gps, GPSConv)
    assert isinstance(gps.local.conv, GatedGCNConv)
    assert isinstance(gps.attention.conv, SelfAttention)
    assert gps.attention.conv.dropout == 0.5
    assert (gps.local.residual.dropout.p, gps.attention.residual.dropout.p) == (0, 0.1)
    assert isinstance(exphormer.attention.conv, ExphormerConv)
    assert exphormer.local_relations == (0,)
    assert isinstance(exphormer.feed_forward.hidden[1], nn.GELU)
    assert exphormer.local.residual.by_graph
    assert isinstance(grit, GRITConv)
    assert (grit.heads, grit.attention_dropout) == (4, 0.2)
    # What GCN, the default, has under the same name must not get into another layer.
    assert grit.key.bias is None
    assert exphormer.attention.conv.key.bias is None
    assert build("exphormer").encoder.edge_tables
    assert not build("gps").encoder.edge_tables


@pytest.mark.parametrize("name", MODELS)
def test_parameter_counts(name):
    assert sum(p.numel() for p in build(name).layers.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", MODELS)
def test_a_short_training_lowers_the_loss(name):
    loader = DataLoader(graphs(), 4)
    task = GraphTask(
        build(name), TaskSpec("graph", 2, "cross_entropy", "accuracy"), lambda p: torch.optim.Adam(p, lr=0.01)
    )
    losses = []
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    with quiet_lightning():
        for epochs in (1, 12):
            trainer = Trainer(max_epochs=epochs, enable_checkpointing=False, accelerator="cpu", **quiet)
            trainer.fit(task, loader, loader)
            losses.append(float(trainer.callback_metrics["train/loss"]))
    assert losses[1] < losses[0]
