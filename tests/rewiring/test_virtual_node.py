"""Virtual nodes: what they do to resistance and commute time, and to degenerate graphs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from torch_geometric.data import Batch, Data

from gnnlab.errors import ConfigError
from gnnlab.graph import commute_time, connected_components, effective_resistance
from gnnlab.rewiring import VirtualNode
from gnnlab.testing import check_transform
from gnnlab.testing.strategies import unions


def path(num_nodes: int) -> Data:
    steps = torch.arange(num_nodes - 1)
    one_way = torch.stack([steps, steps + 1])
    return Data(edge_index=torch.cat([one_way, one_way.flip(0)], 1), num_nodes=num_nodes)


@pytest.mark.parametrize("rewire", [VirtualNode(), VirtualNode(num_nodes=3), VirtualNode(relation=4)], ids=repr)
def test_keeps_the_contract(rewire: VirtualNode) -> None:
    check_transform(rewire)


@pytest.mark.parametrize(
    ("num_nodes", "resistance", "commute", "new_resistance", "new_commute"),
    [(10, 9, 162, 1.2358, 46.96), (50, 49, 4802, 1.2361, 244.74)],
)
def test_the_ends_of_a_path_come_close(
    num_nodes: int, resistance: float, commute: float, new_resistance: float, new_commute: float
) -> None:
    data, ends = path(num_nodes), torch.tensor([[0], [num_nodes - 1]])
    out = VirtualNode()(data)
    ptr, new_ptr = torch.tensor([0, num_nodes]), torch.tensor([0, num_nodes + 1])
    assert effective_resistance(data.edge_index, ptr, ends).item() == pytest.approx(resistance)
    assert commute_time(data.edge_index, ptr, ends).item() == pytest.approx(commute)
    assert effective_resistance(out.edge_index, new_ptr, ends).item() == pytest.approx(new_resistance, abs=1e-4)
    assert commute_time(out.edge_index, new_ptr, ends).item() == pytest.approx(new_commute, abs=0.01)


@given(unions(max_graphs=4))
def test_every_graph_gets_a_star(batch: Batch) -> None:
    out = VirtualNode(num_nodes=2)(batch)
    sizes = batch.ptr.diff()
    new = out.edge_type == 1
    assert int(new.sum()) == 4 * int(sizes.sum())
    kind = out.node_type[out.edge_index[:, new]]
    assert bool((kind.sum(0) == 1).all())
    assert torch.equal(out.batch[out.edge_index[0]], out.batch[out.edge_index[1]])
    degree = torch.bincount(out.edge_index[0][new], minlength=out.num_nodes)
    assert torch.equal(degree[out.node_type == 1], sizes.repeat_interleave(2))
    component = connected_components(out.edge_index, out.num_nodes)
    for graph in range(sizes.numel()):
        if sizes[graph]:
            assert component[out.batch == graph].unique().numel() == 1


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="num_nodes"):
        VirtualNode(num_nodes=0)
