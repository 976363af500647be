# %% [markdown]
# # 02 Over-squashing, seen
#
# In notebook 01 a network of five layers could reach a node five hops away and did not listen to it. That is
# *over-squashing*: what far nodes say arrives, but squashed together with everything that is nearer.
#
# **Questions.** How much does a node hear of another one? Does it depend on the number of hops or on something better?
# What do depth and width change, and what do a few more edges?
#
# The measure is a derivative: how much the final state of node $v$ changes with the features of node $u$,
# $\lVert \partial h_v^{(m)} / \partial h_u^{(0)} \rVert$. Its share among all $u$ is the *influence* of $u$ on $v$. All
# networks here have random weights, so that what is seen comes from the graph and not from a task. The data is a
# molecule written out below and a few textbook graphs.

# %%
# %matplotlib inline
import networkx as nx
import pandas as pd
import torch
from matplotlib.colors import LogNorm
from torch_geometric.data import Data
from torch_geometric.utils import from_networkx, from_smiles

from gnnlab.analysis import gradient_gain, influence_by_commute_time, influence_by_hop, sensitivity
from gnnlab.drawing import COLOURS, QUIET, heading, new_figure, quiet_axes
from gnnlab.drawing_graphs import draw_graph, place_nodes
from gnnlab.graph import shortest_path_distances, total_effective_resistance
from gnnlab.nn import GNN
from gnnlab.rewiring import GTR, RandomEdges, describe_rewiring


def bare(graph):
    """A graph with random features and nothing else."""
    generator = torch.Generator().manual_seed(0)
    return Data(x=torch.randn(graph.num_nodes, 16, generator=generator), edge_index=graph.edge_index)


def network(num_layers, width=32, seed=0, residual=False):
    """A GCN with random weights."""
    torch.manual_seed(seed)
    return GNN(1, width, num_layers, in_channels=16, residual=residual)


# %% [markdown]
# ## What one atom hears
#
# Oxytocin, a hormone of 69 heavy atoms: a ring closed by a disulphide bridge, and a tail. The atom with the heavy rim
# listens, at the end of the tail; colours say, on a logarithmic scale, how much of what it hears comes from where.

# %%
oxytocin = bare(
    from_smiles(
        "CCC(C)C1NC(=O)C(Cc2ccc(O)cc2)NC(=O)C(N)CSSCC(NC(=O)C(CC(N)=O)NC(=O)C(CCC(N)=O)NC1=O)"
        "C(=O)N1CCCC1C(=O)NC(CC(C)C)C(=O)NCC(N)=O"
    )
)
place = place_nodes(oxytocin.edge_index, oxytocin.num_nodes)
ptr = torch.tensor([0, oxytocin.num_nodes])
hops = shortest_path_distances(oxytocin.edge_index, ptr)
atom = int(hops.amax(1).argmax())

figure = new_figure(12, 7)
panels = figure.subplots(2, 2)
for axes, depth in zip(panels.flat, [2, 6, 12, 24], strict=True):
    share = sensitivity(network(depth), oxytocin, torch.tensor([atom])).influence[0]
    heard = int((share > 0.001).sum())
    nodes = draw_graph(axes, oxytocin.edge_index, place, values=share.clamp(min=1e-6), marked=[atom], size=70)
    nodes.set_norm(LogNorm(1e-6, 0.3))
    axes.set_title(f"{depth} layers: within reach {int((hops[atom] <= depth).sum())}, above 0.1 %: {heard}", loc="left")
figure.colorbar(nodes, ax=panels, shrink=0.5, label="share of the influence")
heading(figure, "Influence on one atom")
figure

# %% [markdown]
# Twenty-four layers reach nearly all of the molecule; most of what arrives is still from next door. Influence spreads
# like a random walk (Xu et al., 2018), and a walker of $m$ steps gets about $\sqrt m$ far.
#
# ## Hops, or commute time?
#
# Five graphs of about 60 nodes, 12 layers, all pairs of nodes at once: `sensitivity` works on a union of graphs and
# costs as much as the largest of them. Frobenius norms are estimated with a few random signs here, which takes a
# fraction of the time (the errors come with them).

# %%
graphs = {
    "ring": nx.cycle_graph(60),
    "oxytocin": None,
    "clique with a path": nx.lollipop_graph(30, 30),
    "two cliques and a bridge": nx.barbell_graph(30, 0),
    "random, 4-regular": nx.random_regular_graph(4, 60, seed=0),
}
graphs = {name: oxytocin if graph is None else bare(from_networkx(graph)) for name, graph in graphs.items()}
results = {}
for name, graph in graphs.items():
    results[name] = sensitivity(network(12), graph, norm="frobenius", probes=4)

figure = new_figure(11, 4)
left, right = figure.subplots(1, 2, sharey=True)
table = {}
for (name, graph), colour in zip(graphs.items(), COLOURS, strict=False):
    by_hop = influence_by_hop(results[name], graph)
    by_time = influence_by_commute_time(results[name], graph, num_bins=12)
    left.plot(by_hop.sensitivity[:13], color=colour, marker="o", ms=4, label=name)
    seen = by_time.sensitivity > 0
    right.plot(by_time.commute_time[seen], by_time.sensitivity[seen], color=colour, marker="o", ms=4)
    radius = float(by_hop.radius.mean())
    table[name] = {"mean hops that influence comes from": radius, "rank correlation": by_time.rank_correlation}
left.set(yscale="log", ylim=(1e-9, 0.1), xlabel="hops")
right.set(xscale="log", xlabel="commute time (mean of a bin of pairs)")
quiet_axes(left, "mean sensitivity")
quiet_axes(right)
heading(figure, "Sensitivity over twelve layers")
figure.legend(loc="outside right upper", frameon=False, fontsize=9)
figure

# %%
pd.DataFrame(table).T.round(2)

# %% [markdown]
# Hops do not say it all: over three hops the ring lets 400 times more through than the bridge of two cliques, where
# everything of thirty nodes has to pass one edge. The *commute time* knows that: the steps a random walk takes from one
# node to the other and back, which is the effective resistance times twice the number of edges. The second column is
# its rank correlation with the sensitivity, over all pairs of a graph; -1 would mean that one determines the order of
# the other.
#
# *Not a law.* The clique with a path stands apart: a walk may lose itself in the clique, and that makes all commute
# times of the path long, but twelve layers between nodes of the path never get there. Theory bounds the sensitivity
# by the commute time at large depth and up to constants (Di Giovanni et al., 2023), and bounds are all it promises.

# %% [markdown]
# ## Depth and width
#
# Ring transfer again: what the source hears of the target, five hops away, by depth and by width.

# %%
ring, source = bare(from_networkx(nx.cycle_graph(10))), torch.tensor([0])
depths = [5, 6, 8, 12, 16, 24, 32]
kinds = {f"width {width}": {"width": width} for width in (8, 32, 128)}
kinds["width 32, residuals"] = {"width": 32, "residual": True}
figure = new_figure(11, 4)
left, right = figure.subplots(1, 2)
for (name, kind), colour in zip(kinds.items(), COLOURS, strict=False):
    value, share = torch.zeros(2, len(depths), 6)
    for index, depth in enumerate(depths):
        for seed in range(6):
            heard = sensitivity(network(depth, seed=seed, **kind), ring, source, norm="frobenius", probes=4)
            value[index, seed], share[index, seed] = heard.value[0, 5], heard.influence[0, 5]
    left.plot(depths, value.median(1).values, color=colour, marker="o", ms=4)
    right.plot(depths, 100 * share.mean(1), color=colour, marker="o", ms=4, label=name)
right.axhline(10, color=QUIET, ls="--", lw=0.8)
left.set(yscale="log", xlabel="layers")
right.set(ylim=(0, 11), xlabel="layers")
quiet_axes(left, "sensitivity of the source to the target")
quiet_axes(right, "its share in per cent; dashed: every node the same")
heading(figure, "More depth, more width")
figure.legend(loc="outside right upper", frameon=False, fontsize=9)
figure

# %% [markdown]
# Six random networks each, their median on the left and their mean on the right. Width does not change the shares.
# Depth raises the share of the target until every node of the ring counts the same (that is over-smoothing), but by
# then hardly anything arrives: gradients vanish. Residuals repair that, and halve the share or worse, as
# a node now hears mostly itself. Vanishing gradients and squashing are two troubles, and `gradient_gain` tells them
# apart: it looks at the gradients of whole layers, whatever node they come from.

# %%
gains = {
    name: {f"{depth} layers": gradient_gain(network(depth, **kind), ring).value[0].item() for depth in depths}
    for name, kind in kinds.items()
}
pd.DataFrame(gains).T.map("{:.1e}".format)

# %% [markdown]
# ## A few more edges
#
# Rewiring changes the graph in place of the network. `GTR` adds the edges that lower the total effective resistance
# most; `RandomEdges(like=...)` is the control, as many edges at the same distances. Orange edges are new, colours as
# above, twelve layers.

# %%
gtr = GTR(num_edges=8)
variants = {
    "as it is": oxytocin,
    "GTR, 8 edges": gtr(oxytocin),
    "8 random edges, same distances": RandomEdges(like=gtr, seed=1)(oxytocin),
}
figure = new_figure(13, 4)
panels = figure.subplots(1, 3)
for axes, (name, graph) in zip(panels, variants.items(), strict=True):
    share = sensitivity(network(12), graph, torch.tensor([atom])).influence[0]
    style = {"values": share.clamp(min=1e-6), "edge_classes": graph.get("edge_type"), "marked": [atom], "size": 60}
    nodes = draw_graph(axes, graph.edge_index, place, **style)
    nodes.set_norm(LogNorm(1e-6, 0.3))
    axes.set_title(
        f"{name}: total resistance {total_effective_resistance(graph.edge_index, ptr).item():,.0f}", loc="left"
    )
figure.colorbar(nodes, ax=panels, shrink=0.6, label="share of the influence")
heading(figure, "Influence on one atom, twelve layers")
figure

# %% [markdown]
# And for all pairs of atoms, by the distance they had *before* the rewiring (the results of one graph, the hops of
# another):

# %%
figure = new_figure(8.5, 4)
axes = figure.subplots()
for (name, graph), colour in zip(variants.items(), COLOURS, strict=False):
    found = sensitivity(network(12), graph, norm="frobenius", probes=4)
    curve = influence_by_hop(found, oxytocin).share
    axes.plot(curve.clamp(min=1e-9), color=colour, marker="o", ms=4, label=name)
axes.set(yscale="log", ylim=(1e-7, 1), xlabel="hops in oxytocin as it is")
quiet_axes(axes, "share of the influence")
heading(figure, "Who is heard, before and after")
figure.legend(loc="outside right upper", frameon=False, fontsize=9)
figure

# %%
print(describe_rewiring(oxytocin, variants["GTR, 8 edges"]))

# %% [markdown]
# Eight edges beside the 71 bonds bring the far half of the molecule within earshot. One of GTR's ends is beside our
# atom, which is no accident: resistances are largest at the far ends. Over all pairs, eight *random* edges of the same
# lengths do as well up to twenty hops. Most of the gain is that there are long edges at all, and a result with a
# rewiring and without this control says little about the rewiring.
#
# *What this does not say.* Random weights show what a network hears before it has learned anything, which is where
# training starts, not where it has to end: the MaxMin layer of notebook 01 listens five hops far on an unchanged
# ring. And whether your labels depend on far atoms at all is another question. Notebook 06 asks it.
