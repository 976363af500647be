"""Draws the pictures of the guide while the site is built, so that they show what the code does now."""

from __future__ import annotations

import io

import mkdocs_gen_files
import torch
from matplotlib import rc_context
from torch_geometric.data import Batch, Data

from gnnlab.analysis import influence_by_hop, sensitivity, smoothing_profile
from gnnlab.data.generators.ring_transfer import TOPOLOGIES
from gnnlab.data.readers._union import undirected
from gnnlab.drawing import COLOURS, GRID, INK, QUIET, new_figure, quiet_axes
from gnnlab.nn import GNN, GCNConv
from gnnlab.rewiring import GTR, LASER, FoSR, Rewiring, VirtualNode

_NODES = 10


def _save(figure: object, name: str) -> None:
    buffer = io.StringIO()
    # Without a date and with fixed names of parts, the same picture is the same file.
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    with mkdocs_gen_files.open(f"pictures/{name}.svg", "w") as file:
        file.write(buffer.getvalue())


def _ring(size: int = _NODES) -> Data:
    edges, _ = TOPOLOGIES["ring"](size)
    return Data(edge_index=undirected(edges, size), num_nodes=size)


def rewirings() -> None:
    """The ring as it is, and what four rewirings add."""
    ways: dict[str, Rewiring | None] = {
        "as it is": None,
        "GTR, 5 edges": GTR(num_edges=5),
        "FoSR, 5 edges": FoSR(num_edges=5),
        "LASER, up to 3 hops": LASER(num_snapshots=3, density=0.5),
        "a virtual node": VirtualNode(),
    }
    figure = new_figure(11, 2.6)
    for axes, (title, way) in zip(figure.subplots(1, len(ways)), ways.items(), strict=True):
        data = _ring() if way is None else way(_ring())
        angle = torch.pi / 2 - 2 * torch.pi * torch.arange(_NODES) / _NODES
        place = torch.stack([angle.cos(), angle.sin()], 1)
        place = torch.cat([place, place.new_zeros(data.num_nodes - _NODES, 2)])
        kinds = data.get("edge_type", torch.zeros(data.num_edges, dtype=torch.long))
        for kind, source, target in zip(kinds.tolist(), *data.edge_index.tolist(), strict=True):
            colour, width = (GRID, 2.5) if kind == 0 else (COLOURS[kind - 1], 1.4)
            axes.plot(*place[[source, target]].t(), color=colour, lw=width, zorder=kind)
        axes.scatter(*place.t(), s=46, color="white", edgecolors=INK, zorder=9)
        axes.set_title(title, fontsize=10, color=INK)
        axes.set_aspect("equal")
        axes.set_axis_off()
    _save(figure, "rewiring")


def sensitivities() -> None:
    """Influence by hop of a random GCN on a ring, and on the ring with the edges of GTR."""
    torch.manual_seed(0)
    model = GNN(5, hidden_channels=16, num_layers=10, conv=GCNConv, in_channels=5, level="node").double()
    ring = _ring(20)
    ring.x = torch.randn(20, 5, dtype=torch.float64)
    figure = new_figure(6.4, 3)
    axes = figure.subplots()
    hops = influence_by_hop(sensitivity(model, Batch.from_data_list([ring])), Batch.from_data_list([ring]))
    rewired = GTR(num_edges=8)(ring)
    found = sensitivity(model, Batch.from_data_list([rewired]))
    # Hops of the ring as it was: how much arrives from there, whatever the way.
    later = influence_by_hop(found, Batch.from_data_list([ring]))
    for label, result, colour in (("ring of 20 nodes", hops, COLOURS[1]), ("with 8 edges of GTR", later, COLOURS[0])):
        value = result.sensitivity
        axes.plot(range(len(value)), value / value[0], "o-", color=colour, label=label, ms=4, lw=1.6)
    axes.set_yscale("log")
    axes.minorticks_off()
    axes.set_xlabel("hops in the ring", color=QUIET)
    quiet_axes(axes, "influence of a node, over that of oneself (10 layers)")
    axes.legend(frameon=False, labelcolor=INK)
    _save(figure, "sensitivity")


def smoothing() -> None:
    """Rayleigh quotient by layer of random GCNs, with and without residual connections."""
    figure = new_figure(6.4, 3)
    axes = figure.subplots()
    for residual, colour in ((False, COLOURS[1]), (True, COLOURS[0])):
        torch.manual_seed(0)
        ring = _ring(20)
        ring.x = torch.randn(20, 16)
        model = GNN(2, hidden_channels=16, num_layers=16, conv=GCNConv, in_channels=16, residual=residual)
        value = smoothing_profile(model, [Batch.from_data_list([ring])]).values["rayleigh"].mean(1)
        label = "with residual connections" if residual else "without"
        axes.plot(range(len(value)), value, "o-", color=colour, label=label, ms=4, lw=1.6)
    axes.set_xlabel("layer", color=QUIET)
    axes.set_ylim(bottom=0)
    quiet_axes(axes, "Rayleigh quotient of the states: 0 where neighbours are alike")
    axes.legend(frameon=False, labelcolor=INK)
    _save(figure, "smoothing")


rewirings()
sensitivities()
smoothing()
