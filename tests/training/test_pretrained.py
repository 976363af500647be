"""A trained GPSE as an encoding: from a checkpoint of the command line to a transform that is cached by its content."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch, Data

from gnnlab.errors import ConfigError
from gnnlab.nn import GPSE
from gnnlab.testing import check_transform
from gnnlab.training import PretrainedPE

SMALL = {"out_channels": 3, "hidden_channels": 8, "num_layers": 2}


@pytest.fixture
def network() -> GPSE:
    torch.manual_seed(0)
    return GPSE(**SMALL)


@pytest.fixture
def checkpoint(network: GPSE, tmp_path: Path) -> str:
    """As a task saves it, the network among other things."""
    weights = {f"model.{key}": value for key, value in network.state_dict().items()}
    torch.save(
        {"state_dict": {**weights, "logged.val/loss.total": torch.zeros(())}, "epoch": 3}, tmp_path / "best.ckpt"
    )
    return str(tmp_path / "best.ckpt")


def test_contract(checkpoint: str) -> None:
    check_transform(PretrainedPE(checkpoint))


def test_it_is_the_network_in_evaluation(network: GPSE, checkpoint: str) -> None:
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    batch = Batch.from_data_list([Data(edge_index=edges, num_nodes=3), Data(edge_index=edges, num_nodes=4)])
    torch.testing.assert_close(PretrainedPE(checkpoint)(batch).pe_gpse, network.eval().embed(batch))
    network.num_draws = 5
    torch.testing.assert_close(PretrainedPE(checkpoint, num_draws=5)(batch).pe_gpse, network.embed(batch))
    assert PretrainedPE(checkpoint)(batch).pe_gpse.shape == (7, 8)


def test_the_key_is_that_of_the_weights_not_of_the_path(network: GPSE, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.pt", "b.pt", "c.pt")]
    for path in paths[:2]:
        torch.save(network.state_dict(), path)
    network.reset_parameters()
    torch.save(network.state_dict(), paths[2])
    first, second, third = (PretrainedPE(str(path)).key() for path in paths)
    assert first == second != third


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        PretrainedPE(str(tmp_path / "missing.ckpt")).key()
    torch.save({"weight": torch.ones(2)}, tmp_path / "other.pt")
    graph = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)
    with pytest.raises(ConfigError, match="not one of"):
        PretrainedPE(str(tmp_path / "other.pt"))(graph)
    (tmp_path / "text.pt").write_text("no checkpoint")
    with pytest.raises(ConfigError, match="not a checkpoint"):
        PretrainedPE(str(tmp_path / "text.pt"))(graph)
