"""Probes: one node that has to hear one other node, over every distance, width and depth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from gnnlab.analysis.sensitivity import sensitivity
from gnnlab.data.generators.ring_transfer import TOPOLOGIES
from gnnlab.data.generators.two_block_transfer import two_blocks
from gnnlab.data.readers._union import undirected
from gnnlab.errors import ConfigError, nearest
from gnnlab.graph import commute_time, effective_resistance, shortest_path_distances
from gnnlab.nn import GNN, GCNConv

__all__ = ["Probe", "ProbeRow", "sensitivity_sweep", "transfer_probes", "two_block_probes"]

_CHANNELS = 5
"""Features of a node, as many as the transfer tasks have classes."""


@dataclass(frozen=True)
class Probe:
    """A graph with a node that answers and a node it has to hear.

    Args:
        family: What the graph is; probes of a family differ in one setting.
        setting: That setting, such as the number of nodes or of bridges.
        num_nodes: Nodes of the graph.
        edge_index: [2, E] long.
        source: The node that answers: its state is differentiated.
        target: The node it has to hear.
    """

    family: str
    setting: int
    num_nodes: int
    edge_index: Tensor
    source: int
    target: int


@dataclass(frozen=True)
class ProbeRow:
    """Sensitivity of one probe in one network.

    Args:
        family: Of the probe.
        setting: Of the probe.
        distance: Hops from target to source.
        resistance: Effective resistance between them.
        commute_time: Commute time between them.
        width: Of the network.
        depth: Of the network.
        seed: Of its parameters.
        sensitivity: Norm of the Jacobian of the source's last state by the target's first one, mean over the inputs.
        share: Of the sensitivities to all nodes, mean over the inputs.
    """

    family: str
    setting: int
    distance: int
    resistance: float
    commute_time: float
    width: int
    depth: int
    seed: int
    sensitivity: float
    share: float

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def transfer_probes(topology: str, sizes: Iterable[int]) -> list[Probe]:
    """Probes on the graphs of the transfer tasks of Di Giovanni et al. (ICML 2023).

    Args:
        topology: ``ring``, ``crossed_ring`` or ``clique_path``, see
            :func:`gnnlab.data.generators.ring_transfer.generate_ring_transfer`.
        sizes: Numbers of nodes, even, at least 4.

    Raises:
        ConfigError: an unknown topology, or a size that is odd or below 4.

    Example:
        >>> [(probe.num_nodes, probe.target) for probe in transfer_probes("ring", [4, 8])]
        [(4, 2), (8, 4)]
    """
    if topology not in TOPOLOGIES:
        hint = nearest(str(topology), TOPOLOGIES)
        raise ConfigError(f"unknown topology {topology!r}", where="transfer_probes", hint=hint)
    probes = []
    for size in sizes:
        if size < 4 or size % 2:
            raise ConfigError(f"sizes are even and at least 4, got {size}", where="transfer_probes")
        edges, target = TOPOLOGIES[topology](size)
        probes.append(Probe(topology, size, size, undirected(edges, size), 0, target))
    return probes


def two_block_probes(
    bridges: Iterable[int], draws: int = 1, block_size: int = 8, density: float = 0.3, seed: int = 0
) -> list[Probe]:
    """Probes on :func:`gnnlab.data.generators.two_block_transfer.two_blocks`, first node to last node.

    Args:
        bridges: Numbers of edges between the blocks.
        draws: Graphs for every number; those of the same draw have nested edges.
        block_size: Nodes per block.
        density: Probability of an edge within a block beside its cycle.
        seed: Of the graphs.

    Example:
        >>> one, two = two_block_probes([1, 2])
        >>> two.edge_index.size(1) - one.edge_index.size(1)
        2
    """
    nodes, probes = 2 * block_size, []
    for number in bridges:
        edges = two_blocks(draws, block_size, density, number, torch.Generator().manual_seed(seed))
        counts = torch.bincount(edges[0] // nodes, minlength=draws).tolist()
        probes += [Probe("two_block", number, nodes, part % nodes, 0, nodes - 1) for part in edges.split(counts, 1)]
    return probes


def sensitivity_sweep(
    probes: Sequence[Probe],
    *,
    widths: Sequence[int] = (16,),
    depths: Sequence[int] = (8,),
    seeds: Sequence[int] = tuple(range(8)),
    network: Callable[[int, int], nn.Module] | None = None,
    train: Callable[[nn.Module, Probe], None] | None = None,
    norm: str = "l1",
    inputs: int = 5,
) -> list[ProbeRow]:
    r"""Measure :math:`\lVert \partial h_s^{(m)} / \partial h_t^{(0)} \rVert` of every probe in every network.

    By default at initialisation, where every network sees all probes at once. With ``train`` every probe gets a network
    of its own, first initialised with the seed, then trained. Features are uniform in (0, 1), several draws of them
    because a rectifier shows but one of its pieces at a time. The global random state is left as it was.

    Cost: a forward pass and ``width`` backward passes for every width, depth and seed, over ``inputs`` copies of all
    probes.

    Args:
        probes: What to measure, see :func:`transfer_probes` and :func:`two_block_probes`.
        widths: Of the networks.
        depths: Of the networks, numbers of layers.
        seeds: Of the networks' parameters.
        network: Factory (width, depth) of a model with ``states(batch)`` that reads five features per node; by default
            a GCN with rectifiers, without residuals and normalisation.
        train: Called with a network and its probe, trains it in place.
        norm: As :func:`gnnlab.analysis.sensitivity`.
        inputs: Draws of the features.

    Raises:
        ConfigError: nothing to measure.

    Example:
        >>> rows = sensitivity_sweep(transfer_probes("ring", [4, 8]), depths=[4], seeds=[0])
        >>> rows[0].distance, rows[1].distance, rows[0].sensitivity > rows[1].sensitivity
        (2, 4, True)
    """
    if not probes or inputs < 1:
        raise ConfigError(f"{len(probes)} probes and {inputs} inputs: nothing to measure", where="sensitivity_sweep")
    network = network or _gcn
    facts = _facts(probes)
    groups = [[index] for index in range(len(probes))] if train else [list(range(len(probes)))]
    unions = [_union([probes[index] for index in group], inputs) for group in groups]
    rows = []
    for width, depth, seed in ((width, depth, seed) for width in widths for depth in depths for seed in seeds):
        for group, batch in zip(groups, unions, strict=True):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                model = network(width, depth)
                if train is not None:
                    train(model, probes[group[0]])
            found = sensitivity(model.double(), batch, batch.probe_source, norm)
            at = batch.probe_target[:, None]
            value, share = (table.gather(1, at).view(inputs, -1).mean(0) for table in (found.value, found.influence))
            for index, norm_of, share_of in zip(group, value.tolist(), share.tolist(), strict=True):
                rows.append(ProbeRow(*facts[index], width, depth, seed, norm_of, share_of))
    return rows


def _gcn(width: int, depth: int) -> nn.Module:
    return GNN(1, width, depth, GCNConv, in_channels=_CHANNELS, residual=False)


def _union(probes: Sequence[Probe], inputs: int) -> Data:
    """All probes, ``inputs`` times over, with their sources in the union and their targets in their own graph."""
    graphs = [Data(edge_index=probe.edge_index, num_nodes=probe.num_nodes) for probe in probes] * inputs
    batch = Batch.from_data_list(graphs)
    # Every probe has features of its own, the same alone and in company.
    features = [
        torch.rand(probe.num_nodes, _CHANNELS, generator=torch.Generator().manual_seed(draw), dtype=torch.float64)
        for draw in range(inputs)
        for probe in probes
    ]
    batch.x = torch.cat(features)
    batch.probe_source = batch.ptr[:-1] + torch.tensor([probe.source for probe in probes] * inputs)
    batch.probe_target = torch.tensor([probe.target for probe in probes] * inputs)
    return batch


def _facts(probes: Sequence[Probe]) -> list[tuple[str, int, int, float, float]]:
    """Family, setting, distance, resistance and commute time of every probe."""
    batch = _union(probes, 1)
    pairs = torch.stack([batch.probe_target + batch.ptr[:-1], batch.probe_source])
    reversed_edges = batch.edge_index.flip(0)
    hops = shortest_path_distances(reversed_edges, batch.ptr)[batch.probe_source].gather(1, batch.probe_target[:, None])
    resistance = effective_resistance(batch.edge_index, batch.ptr, pairs)
    time = commute_time(batch.edge_index, batch.ptr, pairs)
    return [
        (probe.family, probe.setting, *numbers)
        for probe, *numbers in zip(probes, hops.flatten().tolist(), resistance.tolist(), time.tolist(), strict=True)
    ]
