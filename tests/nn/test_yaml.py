"""Models are built from YAML by jsonargparse, and the configuration survives a round trip."""

from __future__ import annotations

from inspect import signature

import pytest
import torch
import yaml
from jsonargparse import ArgumentError, ArgumentParser
from torch import nn
from torch_geometric.nn import ChebConv

from gnnlab.nn import GNN, MLP, BondEncoder, GatedGCNConv, LinearPEEncoder, MLPHead, VirtualNode

TUNED_GATED_GCN = """
class_path: gnnlab.nn.GNN
init_args:
  out_channels: 10
  hidden_channels: 95
  num_layers: 10
  activation: null
  conv:
    class_path: gnnlab.nn.GatedGCNConv
    init_args: {activation: torch.nn.GELU, dropout: 0.1}
  encoder:
    class_path: gnnlab.nn.FeatureEncoder
    init_args:
      node: gnnlab.nn.AtomEncoder
      edge: gnnlab.nn.BondEncoder
      encodings:
      - class_path: gnnlab.nn.LinearPEEncoder
        init_args: {attribute: pe_rwse, in_channels: 20, out_channels: 28}
  head:
    class_path: gnnlab.nn.MLPHead
    init_args: {num_layers: 3, dropout: 0.1}
"""
OGB_GIN_VIRTUAL = """
class_path: gnnlab.nn.GNN
init_args:
  out_channels: 1
  hidden_channels: 300
  num_layers: 5
  conv:
    class_path: gnnlab.nn.GINEConv
    init_args:
      train_eps: true
      edge_encoder: gnnlab.nn.BondEncoder
      update:
        class_path: gnnlab.nn.MLP
        init_args: {expansion: 2, norm: gnnlab.nn.BatchNorm}
  encoder:
    class_path: gnnlab.nn.FeatureEncoder
    init_args: {node: gnnlab.nn.AtomEncoder}
  norm: gnnlab.nn.BatchNorm
  last_activation: false
  residual: false
  dropout: 0.5
  virtual_node:
    class_path: gnnlab.nn.VirtualNode
    init_args: {dropout: 0.5}
"""
PYG_CHEB = """
class_path: gnnlab.nn.GNN
init_args:
  out_channels: 2
  in_channels: 7
  hidden_channels: 16
  num_layers: 2
  conv:
    class_path: torch_geometric.nn.ChebConv
    init_args: {K: 2}
  norm:
    class_path: torch.nn.LayerNorm
    init_args: {eps: 0.001}
  norm_position: pre
  activation: torch.nn.Tanh
  head: torch.nn.Linear
  level: node
"""
RELATIONAL = """
class_path: gnnlab.nn.GNN
init_args:
  out_channels: 2
  in_channels: 7
  num_layers: 4
  relations: [[0], [0, 1]]
  conv:
    class_path: gnnlab.nn.RelationalConv
    init_args:
      num_relations: 2
      conv:
        class_path: gnnlab.nn.GATConv
        init_args: {heads: 2}
"""
R_GIN = """
class_path: gnnlab.nn.GNN
init_args:
  out_channels: 2
  in_channels: 7
  conv:
    class_path: gnnlab.nn.RGINConv
    init_args: {num_relations: 3}
"""
DREW = """
class_path: gnnlab.nn.DRew
init_args:
  out_channels: 2
  in_channels: 16
  hidden_channels: 16
  nu: null
  hop_weights: softmax
"""


def parser() -> ArgumentParser:
    result = ArgumentParser(exit_on_error=False)
    result.add_argument("--model", type=nn.Module)
    return result


def build(text: str) -> GNN:
    config = parser().parse_object({"model": yaml.safe_load(text)})
    instantiate = getattr(parser(), "instantiate", None) or parser().instantiate_classes
    return instantiate(config).model


def test_tuned_gated_gcn(molecules):
    model = build(TUNED_GATED_GCN)
    assert isinstance(model.layers[9].conv, GatedGCNConv)
    assert isinstance(model.layers[9].conv.edge_output[1], nn.GELU)
    assert isinstance(model.encoder.encodings[0], LinearPEEncoder)
    assert isinstance(model.readout.head, MLPHead)
    assert model.num_parameters == 492_521
    assert model(molecules()).shape == (3, 10)


def test_ogb_gin_with_virtual_node(molecules):
    model = build(OGB_GIN_VIRTUAL)
    assert isinstance(model.virtual_node, VirtualNode)
    assert isinstance(model.layers[0].conv.update, MLP)
    encoders = {id(layer.conv.edge_encoder) for layer in model.layers}
    assert len(encoders) == 5  # every layer has its own, although the YAML names one
    assert isinstance(model.layers[0].conv.edge_encoder, BondEncoder)
    assert model(molecules()).shape == (3, 1)


def test_pyg_conv_by_class_path(molecules):
    model = build(PYG_CHEB)
    convs = [layer.conv for layer in model.layers]
    assert all(isinstance(conv, ChebConv) for conv in convs)
    assert [(conv.in_channels, conv.out_channels, len(conv.lins)) for conv in convs] == [(7, 16, 2), (16, 16, 2)]
    assert model.final_norm.eps == 0.001
    batch = molecules()
    batch.x = torch.randn(batch.num_nodes, 7)
    assert model(batch).shape == (batch.num_nodes, 2)


def test_relations_of_layers():
    model = build(RELATIONAL)
    assert [layer.relations for layer in model.layers] == [(0,), (0, 1), (0,), (0, 1)]
    assert [conv.heads for layer in model.layers for conv in layer.conv.convs] == [2] * 8
    assert [len(layer.conv.convs) for layer in build(R_GIN).layers] == [3] * 4


def test_drew():
    model = build(DREW)
    assert [layer.conv.delays for layer in model.layers] == [[0], [0, 0], [0, 0, 0], [0, 0, 0, 0]]
    assert not any(conv.add_self_loops for layer in model.layers for conv in layer.conv.convs)


@pytest.mark.parametrize("text", [TUNED_GATED_GCN, OGB_GIN_VIRTUAL, PYG_CHEB, RELATIONAL, R_GIN, DREW])
def test_configuration_round_trip(text):
    first = parser().parse_object({"model": yaml.safe_load(text)})
    # As Lightning saves it: a dump that leaves out null would turn "activation: null" into the default.
    keep_null = "skip_unset" if "skip_unset" in signature(ArgumentParser.dump).parameters else "skip_none"
    dumped = parser().dump(first, **{keep_null: False})
    second = parser().parse_string(dumped)
    assert parser().dump(second, **{keep_null: False}) == dumped
    assert str(build(yaml.safe_dump(yaml.safe_load(dumped)["model"]))) == str(build(text))


@pytest.mark.parametrize(
    ("old", "new"),
    [("last_activation", "last_activatoin"), ("train_eps", "train_epz"), ("expansion: 2", "expansoin: 2")],
)
def test_typing_errors_in_the_configuration_are_errors(old, new):
    with pytest.raises(ArgumentError, match=new.split(":")[0]):
        build(OGB_GIN_VIRTUAL.replace(old, new))
