"""The tuned LRGB models stay within 500,000 parameters, encoders included."""

from __future__ import annotations

from functools import partial

import pytest
from torch import nn

from gnnlab.nn import (
    GNN,
    MLP,
    AtomEncoder,
    BondEncoder,
    FeatureEncoder,
    GatedGCNConv,
    GCNConv,
    GINEConv,
    LapPEEncoder,
    LinearEncoder,
    LinearPEEncoder,
    MLPHead,
)

PEPTIDES, SUPERPIXELS = (AtomEncoder, BondEncoder), tuple(partial(LinearEncoder, in_channels=n) for n in (14, 2))
ENCODINGS = {"RWSE": [LinearPEEncoder], "LapPE": [LapPEEncoder], None: []}
DATASETS = {  # (node encoder, edge encoder), outputs, level
    "peptides-func": (PEPTIDES, 10, "graph"),
    "peptides-struct": (PEPTIDES, 11, "graph"),
    "pascalvoc-sp": (SUPERPIXELS, 21, "node"),
    "coco-sp": (SUPERPIXELS, 81, "node"),
    "pcqm-contact": (PEPTIDES, None, "link"),
}
MODELS = {
    "gcn": {"conv": GCNConv, "activation": nn.GELU},
    "gine": {"conv": partial(GINEConv, update=partial(MLP, activation=nn.GELU)), "activation": None},
    "gatedgcn": {"conv": partial(GatedGCNConv, activation=nn.GELU), "activation": None},
}
# dataset, model, layers, width, head layers, encoding, parameters
TABLE = [
    ("peptides-func", "gcn", 6, 235, 3, "RWSE", 482_686),
    ("peptides-func", "gine", 8, 160, 3, "RWSE", 490_966),
    ("peptides-func", "gatedgcn", 10, 95, 3, "RWSE", 492_521),
    ("peptides-struct", "gcn", 6, 235, 3, "LapPE", 485_006),
    ("peptides-struct", "gine", 10, 145, 3, "LapPE", 492_301),
    ("peptides-struct", "gatedgcn", 8, 100, 3, "LapPE", 445_051),
    ("pascalvoc-sp", "gcn", 10, 200, 3, "RWSE", 489_829),
    ("pascalvoc-sp", "gine", 10, 145, 2, None, 450_246),
    ("pascalvoc-sp", "gatedgcn", 10, 95, 2, None, 472_646),
    ("coco-sp", "gcn", 6, 235, 1, None, 355_401),
    ("coco-sp", "gine", 6, 180, 1, None, 408_861),
    ("coco-sp", "gatedgcn", 6, 120, 1, None, 450_441),
    ("pcqm-contact", "gcn", 8, 215, 1, "LapPE", 453_210),
    ("pcqm-contact", "gine", 8, 160, 1, "LapPE", 465_680),
    ("pcqm-contact", "gatedgcn", 8, 105, 1, "LapPE", 477_165),
]


def tuned(dataset: str, model: str, layers: int, width: int, head_layers: int, encoding: str | None) -> GNN:
    (node, edge), outputs, level = DATASETS[dataset]
    edge = None if model == "gcn" else edge
    return GNN(
        width if outputs is None else outputs,
        width,
        layers,
        encoder=partial(FeatureEncoder, node=node, edge=edge, encodings=ENCODINGS[encoding]),
        head=partial(MLPHead, num_layers=head_layers),
        level=level,
        **MODELS[model],
    )


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]}-{row[1]}")
def test_tuned_models_fit_the_budget(row):
    *configuration, parameters = row
    model = tuned(*configuration)
    assert model.num_parameters == parameters
    assert model.num_parameters <= 500_000
