# %% [markdown]
# # 04 Encodings, and what they tell apart
#
# A message passing layer knows a node by what its neighbours say. It does not know where the node is, nor, often,
# what surrounds it. A *positional* or *structural encoding* computes such things once, from the graph alone, and
# gives them to any network as extra columns. There are more than twenty in `gnnlab.encodings`.
#
# **Questions.** What does an encoding look like? Which graphs does it tell apart that message passing cannot? And
# what is an eigenvector worth, which has no sign?
#
# Everything here is generated, but for the pairs of BREC in the last table. Where that benchmark is not at hand, the
# pairs drawn here take its place, and what is said about CFI graphs cannot be seen.

# %%
# %matplotlib inline
import networkx as nx
import torch
from matplotlib.colors import LinearSegmentedColormap
from torch_geometric.utils import from_networkx

from gnnlab.analysis import Refined, comparison_set, named_pairs, separation
from gnnlab.drawing import COLOURS, INK, QUIET, heading, new_figure, quiet_axes
from gnnlab.drawing_graphs import draw_graph, place_nodes
from gnnlab.encodings import (
    CycleCounts,
    DegreePE,
    DistancePE,
    ElenePE,
    HomomorphismCounts,
    LaplacianPE,
    PersonalizedPageRankPE,
    RandomFeaturePropagation,
    RandomWalkPE,
    ResistancePE,
)
from gnnlab.errors import SourceError

# %% [markdown]
# ## One graph, seen by twelve encodings
#
# A clique, a path, a ring and a star, in a row: a crowded place, a bridge, a loop and a dead end.

# %%
graph = nx.complete_graph(6)
nx.add_path(graph, [5, 6, 7, 8])
nx.add_cycle(graph, range(8, 16))
nx.add_path(graph, [12, 16, 17])
nx.add_star(graph, [17, 18, 19, 20, 21])
data = from_networkx(graph)
spots = place_nodes(data.edge_index, data.num_nodes)

walks = RandomWalkPE(walk_length=8)(data).pe_rwse
eigen = LaplacianPE(k=4)(data).pe_lap
random = RandomFeaturePropagation(k=1, steps=16, operator="lazy", normalization="l2", seed=3)(data).pe_rfp
columns = {
    "degree": DegreePE()(data).pe_degree[:, 0],
    "walk of 3 steps returns": walks[:, 2],
    "cycles of 3 to 8 nodes, log": CycleCounts(max_length=8)(data).pe_cycles.sum(1).log1p(),
    "Laplacian, vector 1": eigen[:, 1],
    "Laplacian, vector 2": eigen[:, 2],
    "Laplacian, vector 3": eigen[:, 3],
    "walk of 8 steps returns": walks[:, 7],
    "PageRank that stays at home": PersonalizedPageRankPE()(data).pe_ppr[:, 0],
    "mean resistance to the others": ResistancePE()(data).pe_resistance[:, 0],
    "random features": random[:, 0],
    "the same, 2 steps on": random[:, 2],
    "the same, 16 steps on": random[:, 16],
}
figure = new_figure(11, 5.4)
for axes, (name, values) in zip(figure.subplots(4, 3).flat, columns.items(), strict=True):
    draw_graph(axes, data.edge_index, spots, values=values, size=50, title=name)
heading(figure, "What surrounds a node, where it is, and noise that learns it")
figure

# %% [markdown]
# *First row*: what surrounds a node. A walk of three steps can only come back where there are triangles; counting
# cycles of up to eight nodes, the ring is seen as well. *Second row*: where a node is. Two eigenvectors run from one
# end of the graph to the other; the third tells the two sides of the ring apart, which nothing in the first row can:
# the two sides are the same. *Third row*: all ways at once. The centre of the star stands out, because every leaf
# sends a walk straight back; by resistance, leaves and clique are the outskirts. *Last row*: random features say
# nothing, and are different everywhere. Averaged along edges they turn into something that looks like an eigenvector:
# that is random feature propagation.
#
# ## Two molecules
#
# Decalin and bicyclopentyl: ten carbon atoms, eleven bonds, and for a message passing network one and the same graph:
# every atom of one has a twin in the other with the same neighbours, the same neighbours of neighbours, and so on.
# Notebook 05 shows why. What do encodings say?

# %%
store = named_pairs(["decalin, bicyclopentyl"])
pair = [store[0], store[1]]
names = ["decalin", "bicyclopentyl"]
encoded = [ResistancePE()(LaplacianPE(k=10)(RandomWalkPE(walk_length=10)(graph))) for graph in pair]

figure = new_figure(12, 5)
grid = figure.add_gridspec(2, 4)
for row, (name, graph) in enumerate(zip(names, encoded, strict=True)):
    spots = place_nodes(graph.edge_index, graph.num_nodes)
    axes = figure.add_subplot(grid[row, 0])
    nodes = draw_graph(axes, graph.edge_index, spots, values=graph.pe_rwse[:, 4], limits=(0, 0.1), title=name)
figure.colorbar(nodes, ax=axes, location="bottom", label="walk of 5 steps returns", shrink=0.8)

axes = figure.add_subplot(grid[:, 1])
for graph, name, colour in zip(encoded, names, COLOURS, strict=False):
    axes.plot(range(1, 11), graph.pe_rwse.mean(0), "o-", color=colour, label=name, ms=5)
quiet_axes(axes, "walks return, mean over nodes")
axes.set_xlabel("steps", color=QUIET)
axes.legend(frameon=False, fontsize=9)

axes = figure.add_subplot(grid[:, 2])
for graph, name, colour, marker in zip(encoded, names, COLOURS, "os", strict=False):
    axes.plot(range(10), graph.pe_lap_values[0], marker, color=colour, label=name, ms=6, mfc="none", mew=1.6)
quiet_axes(axes, "eigenvalues of the Laplacian")
axes.set_xlabel("number", color=QUIET)

axes = figure.add_subplot(grid[:, 3])
for graph, colour, marker in zip(encoded, COLOURS, "os", strict=False):
    axes.plot(range(10), graph.pe_resistance[:, 0].sort()[0], marker, color=colour, ms=6, mfc="none", mew=1.6)
quiet_axes(axes, "mean resistance, nodes in order")
axes.set_xlabel("rank", color=QUIET)
heading(figure, "One graph to message passing, two to every encoding here")
figure

# %% [markdown]
# Five steps bring a walk home only around a ring of five: bicyclopentyl has two, decalin none. That single column is
# enough. The spectra differ, too, and so do resistances: the bridge between the two rings is the only way.
#
# ## An eigenvector has no sign, and often no direction
#
# `LaplacianPE` writes numbers, and two things about them mean nothing. If v is an eigenvector, so is -v. And where an
# eigenvalue is repeated, any rotation of its eigenvectors is as good. A ring has almost only such pairs. Below, the
# same ring of twelve nodes three times, with its nodes renumbered in between, and drawn in the same places.

# %%
size = 12
ring = from_networkx(nx.cycle_graph(size))
circle = place_nodes(ring.edge_index, size, ring=True)
figure = new_figure(12, 3.2)
panels = figure.subplots(1, 5)
generator = torch.Generator().manual_seed(1)
for number, axes in enumerate(panels[:3]):
    order = torch.randperm(size, generator=generator) if number else torch.arange(size)
    renumbered = ring.clone()
    renumbered.edge_index = order[ring.edge_index]
    encoded = LaplacianPE(k=3)(renumbered)
    title = f"vector 1, numbering {number + 1}"
    draw_graph(axes, ring.edge_index, circle, values=encoded.pe_lap[order, 1], size=190, title=title)
projector = encoded.pe_lap[order][:, 1:3].square().sum(1)
draw_graph(panels[3], ring.edge_index, circle, values=projector, size=190, title="$v_1^2 + v_2^2$, any numbering")
panels[4].axis("off")
facts = [f"{name}: {encoded[f'pe_lap_{name}'][0].tolist()}" for name in ("group", "whole")]
facts = [f"values: {[round(value, 3) for value in encoded.pe_lap_values[0].tolist()]}", *facts]
facts.append(f"whole with k=2: {LaplacianPE(k=2)(ring).pe_lap_whole[0].tolist()}")
panels[4].text(0, 0.5, "\n\n".join(facts), va="center", fontsize=10, color=INK, transform=panels[4].transAxes)
heading(figure, "Three right answers to one question")
figure

# %% [markdown]
# A network that reads the bare numbers has to learn that all three are one. So `LaplacianPE` says which vectors
# belong together (`group`), and which eigenspace was cut by k, so that not even its rotations are whole (`whole`);
# and there are networks that are invariant by construction: `LapPEEncoder` (random signs in training), `SignNet`
# (signs), `BasisNet` and `SPE` (rotations). On a ring nothing invariant is left but a constant: all its nodes are the
# same, and that is the truth. What told nodes apart in the first three pictures was the numbering.
#
# ## Who tells whom apart
#
# `separation` answers exactly, without training: it refines colours from what an encoding writes, cuts values at
# gaps, and compares every graph with a renumbered copy of itself, which nothing is allowed to tell apart.

# %%
methods = {
    "nothing: message passing": Refined("wl"),
    "DegreePE": DegreePE(),
    "DistancePE": DistancePE(pairs="all"),
    "ElenePE": ElenePE(),
    "CycleCounts": CycleCounts(),
    "RandomWalkPE": RandomWalkPE(),
    "PersonalizedPageRankPE": PersonalizedPageRankPE(),
    "LaplacianPE": LaplacianPE(),
    "ResistancePE": ResistancePE(),
    "HomomorphismCounts": HomomorphismCounts(),
    "marked subgraphs (SWL)": Refined("swl-vs"),
}
named = comparison_set("named")
told = [separation(named.store, method, named.group, ["wl"])["wl"].separated.tolist() for method in methods.values()]


def chart(axes, rows, columns, cells, title):
    """A disc where a pair is told apart, a ring where it is not."""
    for y, line in enumerate(cells):
        for x, yes in enumerate(line):
            axes.scatter(x, y, s=130, color=COLOURS[2] if yes else "white", edgecolors=COLOURS[2] if yes else QUIET)
    axes.set_xticks(range(len(columns)), columns, rotation=38, ha="left", fontsize=9)
    axes.set_yticks(range(len(rows)), rows, fontsize=10)
    axes.xaxis.tick_top()
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=INK)
    axes.set_xlabel(title, color=QUIET, loc="left")


figure = new_figure(9, 5.6)
chart(figure.subplots(), list(methods), named.categories[0], told, "filled: told apart")
figure

# %% [markdown]
# Degrees add nothing that one round of message passing would not find. Distances miss what has the same distances.
# Most of the others tell all pairs apart but the last one: two strongly regular graphs, in which every node, and
# every pair of neighbours, sees the same walks and resistances. It falls only to patterns that go beyond walks: the
# 4-clique among the homomorphisms. Is `HomomorphismCounts` the strongest, then? On sixty pairs of the BREC benchmark:

# %%
chosen = [name for name in methods if name not in ("DistancePE", "CycleCounts", "PersonalizedPageRankPE")]
try:
    brec = comparison_set("brec").part(60)
except SourceError:
    brec = comparison_set("named")
    print("BREC is neither in the cache nor in a mirror: the named pairs again")
kinds = list(brec.sizes)
counts = []
for name in chosen:
    report = separation(brec.store, methods[name], brec.group, ["wl"])["wl"]
    counts.append(list(brec.counts(report.separated).values()))
shares = torch.tensor(counts) / torch.tensor(list(brec.sizes.values()))

figure = new_figure(9, 4)
axes = figure.subplots()
axes.imshow(
    shares, cmap=LinearSegmentedColormap.from_list("", ["#f5f7fa", COLOURS[2]]), vmin=0, vmax=1.6, aspect="auto"
)
for y, line in enumerate(counts):
    for x, count in enumerate(line):
        axes.text(x, y, f"{count} of {brec.sizes[kinds[x]]}", ha="center", va="center", fontsize=9, color=INK)
axes.set_xticks(range(len(kinds)), kinds, fontsize=9)
axes.set_yticks(range(len(chosen)), chosen, fontsize=10)
axes.spines[:].set_visible(False)
axes.tick_params(length=0, colors=INK)
heading(figure, "Pairs told apart, by kind of pair")
figure

# %% [markdown]
# Not on CFI graphs: small patterns see nothing there, and marking a node tells half of the pairs apart. Every
# encoding looks at something, and there are graphs that differ in something else: neither of the last two rows is
# above the other. The README of the project has all 400 pairs, for every encoding.
#
# ## What this does not say
#
# * *Told apart* is not *learned*. A column can hold the difference in its sixth digit, or drown it among others.
# * Most datasets need none of this: on molecules with atom types plain message passing tells nearly all graphs apart
#   (`gnnlab audit` measures it). Encodings often help there, too, because what a network would have to work out in
#   many layers is handed to it. That is a question for an experiment: notebook 06 makes one.
# * Random features tell everything apart in distribution only, and two draws of one graph differ as well;
#   `separation` does not count what does not survive renumbering.
