"""Encoders: OGB's sizes, fused lookup, fixed statistics, sign flips, padding, shared width."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn import (
    ATOM_CATEGORIES,
    BOND_CATEGORIES,
    SUPERPIXEL_STATISTICS,
    AtomEncoder,
    BondEncoder,
    CategoricalEncoder,
    FeatureEncoder,
    LapPEEncoder,
    LinearEncoder,
    LinearPEEncoder,
)


def test_sizes_are_those_of_ogb():
    features = pytest.importorskip("ogb.utils.features")
    assert list(ATOM_CATEGORIES) == features.get_atom_feature_dims()
    assert list(BOND_CATEGORIES) == features.get_bond_feature_dims()


def test_atom_encoder_equals_ogb():
    encoder = pytest.importorskip("ogb.graphproppred.mol_encoder").AtomEncoder(7)
    ours = AtomEncoder(7)
    ours.weight.data = torch.cat([embedding.weight.data for embedding in encoder.atom_embedding_list])
    x = torch.stack([torch.randint(size, (11,)) for size in ATOM_CATEGORIES], dim=1)
    torch.testing.assert_close(ours(x), encoder(x))


def test_every_category_has_its_own_row():
    encoder = CategoricalEncoder(3, [2, 4])
    x = torch.cartesian_prod(torch.arange(2), torch.arange(4))
    assert len(encoder(x).unique(dim=0)) == 8
    assert encoder(torch.zeros(0, 2, dtype=torch.long)).shape == (0, 3)
    assert CategoricalEncoder(3, [5])(torch.tensor([0, 4])).shape == (2, 3)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.tensor([[0, 4]]), r"column 1 holds values from 4 to 4, but has 4 categories"),
        (torch.tensor([[-1, 0]]), "column 0 holds values from -1"),
        (torch.tensor([[0]]), "expected 2 integer columns"),
        (torch.tensor([[0.0, 1.0]]), "expected 2 integer columns"),
    ],
)
def test_categories_outside_their_column_are_named(x, message):
    with pytest.raises(GraphError, match=message):
        CategoricalEncoder(3, [2, 4])(x)


@pytest.mark.parametrize("name", SUPERPIXEL_STATISTICS)
def test_statistics_standardise(name):
    mean, std = (torch.tensor(row) for row in SUPERPIXEL_STATISTICS[name])
    encoder = LinearEncoder(4, mean.numel(), statistics=name)
    encoder.lin.weight.data, encoder.lin.bias.data = torch.eye(4, mean.numel()), torch.zeros(4)
    width = min(4, mean.numel())
    expected = torch.tensor([[-1.0], [0.0], [2.0]]).expand(3, width)
    x = mean + std * torch.tensor([[-1.0], [0.0], [2.0]])
    torch.testing.assert_close(encoder(x)[:, :width], expected, rtol=1e-4, atol=1e-5)
    assert {"mean", "std"} <= set(encoder.state_dict())


def test_linear_encoder_takes_integers():
    assert LinearEncoder(4, 2)(torch.ones(3, 2, dtype=torch.long)).shape == (3, 4)


def test_linear_encoder_errors():
    with pytest.raises(ConfigError, match="did you mean 'coco-sp/node'"):
        LinearEncoder(4, 14, statistics="coco-sp/nodes")
    with pytest.raises(ConfigError, match="in_channels=3, but mean has 2 values"):
        LinearEncoder(4, 3, mean=[0.0, 0.0])
    with pytest.raises(ConfigError, match="not both"):
        LinearEncoder(4, 2, mean=[0.0, 0.0], statistics="coco-sp/edge")


def lap(n: int = 5, k: int = 4) -> Data:
    mask = torch.arange(k).expand(n, k) < 3
    return Data(pe_lap=torch.randn(n, k) * mask, pe_lap_values=torch.rand(n, k) * mask, pe_lap_mask=mask)


def test_deep_set_ignores_padding():
    encoder, data = LapPEEncoder(), lap()
    short = Data(**{name: data[name][:, :3] for name in data.to_dict()})
    torch.testing.assert_close(encoder.eval()(data), encoder(short))


def test_deep_set_ignores_the_order_of_pairs():
    encoder, data = LapPEEncoder().eval(), lap()
    turned = Data(**{name: data[name].flip(1) for name in data.to_dict()})
    torch.testing.assert_close(encoder(data), encoder(turned))


def test_deep_set_draws_one_sign_per_index_in_training_only():
    encoder, data = LapPEEncoder(), lap()
    seen = {tuple(encoder(data).flatten().tolist()) for _ in range(100)}
    assert len(seen) == 8  # 2^3 signs of the pairs that are not padding
    encoder.eval()
    assert torch.equal(encoder(data), encoder(data))

    encoder.train()
    once = torch.ones(2, 6)
    flips = Data(pe_lap=once, pe_lap_values=once, pe_lap_mask=once.bool())
    first, second = encoder(flips)
    assert torch.equal(first, second)  # the same signs for every node of the batch


def test_expected_output_is_invariant_to_sign_flips():
    """The mean over all signs, which training samples, does not see the sign of an eigenvector."""
    encoder, data = LapPEEncoder().eval(), lap(k=3)

    def mean_over_signs(vectors: torch.Tensor) -> torch.Tensor:
        signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)
        others = {"pe_lap_values": data.pe_lap_values, "pe_lap_mask": data.pe_lap_mask}
        return torch.stack([encoder(Data(pe_lap=vectors * row, **others)) for row in signs]).mean(0)

    flipped = data.pe_lap * torch.tensor([1.0, -1.0, -1.0])
    torch.testing.assert_close(mean_over_signs(data.pe_lap), mean_over_signs(flipped))


def test_linear_pe_normalises_raw_values():
    encoder = LinearPEEncoder(in_channels=3, out_channels=3)
    encoder.mlp[0].weight.data, encoder.mlp[0].bias.data = torch.eye(3), torch.zeros(3)
    out = encoder(Data(pe_rwse=5 + 3 * torch.randn(100, 3)))
    torch.testing.assert_close(out.mean(0), torch.zeros(3), rtol=0, atol=1e-5)
    plain = LinearPEEncoder("pe_degree", 1, 2, raw_norm=None)
    assert plain(Data(pe_degree=torch.ones(1, 1))).shape == (1, 2)


@pytest.mark.parametrize("encoder", [LinearPEEncoder(), LapPEEncoder()])
def test_missing_encodings_are_named(encoder):
    with pytest.raises(GraphError, match=f"no '{encoder.attribute}'"):
        encoder(Data(x=torch.ones(2, 1)))


def test_feature_encoder_shares_the_width(molecules):
    encoder = FeatureEncoder(64, AtomEncoder, BondEncoder, [LinearPEEncoder, LapPEEncoder]).eval()
    batch = molecules()
    x, edge_attr = encoder(batch)
    assert encoder.node.weight.size(1) == 64 - 28 - 16
    assert x.shape == (batch.num_nodes, 64)
    assert edge_attr.shape == (batch.num_edges, 64)
    torch.testing.assert_close(x[:, 20:48], encoder.encodings[0](batch))
    torch.testing.assert_close(x[:, 48:], encoder.encodings[1](batch))


def test_feature_encoder_leaves_edge_features_without_encoder(molecules):
    batch = molecules()
    assert FeatureEncoder(8, AtomEncoder)(batch)[1] is batch.edge_attr


def test_feature_encoder_errors():
    with pytest.raises(ConfigError, match="take 28 channels, the model has 20"):
        FeatureEncoder(20, AtomEncoder, encodings=[LinearPEEncoder])
    encoder = FeatureEncoder(8, partial(LinearEncoder, in_channels=2), partial(LinearEncoder, in_channels=1))
    with pytest.raises(GraphError, match="no 'edge_attr'"):
        encoder(Data(x=torch.ones(2, 2)))
    with pytest.raises(GraphError, match="no node features 'x'"):
        encoder(Data(edge_attr=torch.ones(2, 1)))
