# %% [markdown]
# # 05 Expressiveness: from 1-WL to subgraphs
#
# Two graphs that are not the same, and a network that answers the same for both, whatever its weights. Which pairs
# are these, for which network? And does a network tell apart what it could?
#
# **Method.** For every family of networks there is a refinement of colours that bounds it, and `graph_classes`
# computes it exactly. Beside it we run the networks themselves, with random weights. Everything is generated, but for
# the pairs of the BREC benchmark at the end; where it is not at hand, the pairs drawn here take its place.

# %%
# %matplotlib inline
import networkx as nx
import torch
from matplotlib.colors import LinearSegmentedColormap
from torch_geometric.data import Batch
from torch_geometric.utils import from_networkx

from gnnlab.analysis import BENCH_MODELS, comparison_set, exact_classes, named_pairs, network_separation
from gnnlab.analysis.expressiveness_sets import ComparisonSet
from gnnlab.drawing import COLOURS, INK, heading, new_figure
from gnnlab.drawing_graphs import draw_graph, place_nodes
from gnnlab.errors import SourceError
from gnnlab.graph import colour_refinement, graph_classes, graph_colours

# %% [markdown]
# ## Colour refinement
#
# Give all nodes one colour. In every round, a node looks at its own colour and at the colours of its neighbours,
# counted; nodes that see different things get different colours. That is 1-WL, and a message passing layer can do no
# more: two nodes of one colour after t rounds have the same state after t layers. Two trees:


# %%
def show_rounds(graphs, names, rounds):
    """One row per graph, one column per round; a colour means the same in both rows."""
    batch = Batch.from_data_list(graphs)
    figure = new_figure(11, 3.4)
    panels = figure.subplots(len(graphs), rounds + 1)
    spots = [place_nodes(graph.edge_index, graph.num_nodes) for graph in graphs]
    for count in range(rounds + 1):
        colours = colour_refinement(batch.edge_index, batch.ptr, iterations=count)
        apart = graph_colours(colours, batch.ptr).unique().numel() > 1
        for row, (graph, name, part) in enumerate(
            zip(graphs, names, colours.split(batch.ptr.diff().tolist()), strict=True)
        ):
            title = (
                name if count == 0 else f"round {count}: {'told apart' if apart else 'the same'}" if row == 0 else ""
            )
            draw_graph(panels[row, count], graph.edge_index, spots[row], classes=part, size=90, title=title)
    return figure


def tree(fork):
    """A path of seven nodes and one leaf."""
    graph = nx.path_graph(7)
    graph.add_edge(fork, 7)
    return from_networkx(graph)


show_rounds([tree(2), tree(3)], ["fork at the third node", "fork at the fourth"], 3)

# %% [markdown]
# After one round colours are degrees, and both trees have as many of each. After two, a node knows the degrees around
# it: a node between an end and the fork is in the first tree only. Now two molecules, decalin and bicyclopentyl:

# %%
molecules = named_pairs(["decalin, bicyclopentyl"])
pair = [molecules[0], molecules[1]]
show_rounds(pair, ["decalin", "bicyclopentyl"], 3)

# %% [markdown]
# Three colours, and there it stops: two atoms in the middle, their four neighbours, the four at the ends. Both
# molecules have 2, 4 and 4 of them, each with the same neighbours in colours. No message passing network, of any
# depth and width, answers differently for the two. What is missing is simple: nobody notices coming home. In
# bicyclopentyl a message is back after five steps around a ring; but it is not recognised.
#
# ## Mark a node
#
# So mark one node, and refine again. Subgraph networks do this for every node in turn.

# %%
figure = new_figure(11, 4)
for row, graph in zip(figure.subplots(2, 3), pair, strict=True):
    spots = place_nodes(graph.edge_index, graph.num_nodes)
    for root, axes in enumerate(row):  # one of each kind; all others are mirror images
        mark = torch.arange(graph.num_nodes) == root
        colours = colour_refinement(graph.edge_index, torch.tensor([0, graph.num_nodes]), mark)
        title = f"{colours.unique().numel()} colours"
        draw_graph(axes, graph.edge_index, spots, classes=colours, marked=[root], size=110, title=title)
heading(figure, "Decalin and bicyclopentyl, one node marked (heavy rim)")
figure

# %% [markdown]
# Marked on one of its eight outer atoms, decalin falls into ten colours, every atom for itself; bicyclopentyl into
# eight, because a ring that holds no mark keeps its mirror symmetry. With a mark there is something to come home to.
# The bag of such coloured copies, one per node, is what the class SWL compares; DS-GNN, NGNN and ID-GNN are bounded
# by it. Where copies also talk to each other (SSWL), or every pair of nodes has a state (2-FWL), more is told apart.
# Distances alone, and copies with two marks, stand beside that ladder.

# %%
ladder = {
    "wl": "message passing",
    "spd-wl": "distances",
    "swl-vs": "marked copies",
    "sswl": "copies that talk",
    "2-fwl": "pairs of nodes",
    "1,2-wl": "two marks",
}
drawn = ["C6, two C3", "K33, prism", "CSL(11, 2), CSL(11, 3)", "Petersen, pentagonal prism", "rook, Shrikhande"]
store = named_pairs(drawn)
union = store[torch.arange(len(store))]
told = {}
for method in ladder:
    classes = graph_classes(union.edge_index, union.ptr, method)
    told[method] = classes[::2] != classes[1::2]

figure = new_figure(11, 4.6)
for number, (column, name) in enumerate(zip(figure.subplots(2, len(drawn)).T, drawn, strict=True)):
    first = next(method for method in ladder if told[method][number])
    for which, axes in enumerate(column):
        graph = store[2 * number + which]
        spots = place_nodes(graph.edge_index, graph.num_nodes, ring="CSL" in name or "rook" in name)
        draw_graph(axes, graph.edge_index, spots, size=60, title=f"by {first}: {ladder[first]}" if which else name)
heading(figure, "Pairs that message passing takes for one, and the first class that does not")
figure

# %% [markdown]
# The rook's graph and Shrikhande's are strongly regular: every two neighbours have two neighbours in common, and so
# have every two others. Pairs of nodes are not enough for them; with two nodes marked at once, it is done.
#
# ## BREC, and what networks do of what they could
#
# Of every kind of pair in BREC the three smallest, up to 40 nodes (which leaves out the kind with 4-vertex
# condition). First the classes, exactly; then networks with random weights in double precision, where a pair counts
# if outputs differ by far more than they do for a renumbered copy.

# %%
try:
    brec = comparison_set("brec")
except SourceError:
    brec = comparison_set("named")
    print("BREC is neither in the cache nor in a mirror: the named pairs in its place")
kinds, kind = brec.categories
sizes = brec.store.sizes("node")[::2]
small = [((kind == number) & (sizes <= 40)).nonzero().flatten() for number in range(len(kinds))]
chosen = torch.cat([pairs[sizes[pairs].argsort(stable=True)][:3] for pairs in small])
graphs = (2 * chosen[:, None] + torch.arange(2)).flatten()
group = torch.arange(len(chosen)).repeat_interleave(2)
part = ComparisonSet("part", brec.store.subset(graphs), group, (kinds, kind[chosen]))
totals = {name: total for name, total in part.sizes.items() if total}

rows, bounds = {}, {}
for method in ladder:
    classes = exact_classes(part.store, method, group)
    rows[method] = part.counts(classes[::2] != classes[1::2])
for name in ("gin", "gin, rwse", "sswl+", "ppgn"):
    subject = BENCH_MODELS[name]
    report = network_separation(part.store, subject, group, draws=1, least=1)
    rows[name] = part.counts(report.separated)
    classes = exact_classes(part.store, subject.bound, group)
    bounds[name] = int((classes[::2] != classes[1::2]).sum())
print(f"{'network':12}{'told apart':>12}{'its bound':>12}")
for name, bound in bounds.items():
    print(f"{name:12}{sum(rows[name].values()):12}{bound:12}")

# %%
figure = new_figure(9, 4.6)
axes = figure.subplots()
shares = torch.tensor([[row[name] / total for name, total in totals.items()] for row in rows.values()])
axes.imshow(shares, cmap=LinearSegmentedColormap.from_list("", ["#f5f7fa", COLOURS[2]]), vmax=1.6, aspect="auto")
for y, row in enumerate(rows.values()):
    for x, (name, total) in enumerate(totals.items()):
        axes.text(x, y, f"{row[name]} of {total}", ha="center", va="center", fontsize=9, color=INK)
axes.axhline(len(ladder) - 0.5, color="white", lw=8)
axes.set_xticks(range(len(totals)), totals, fontsize=9)
axes.set_yticks(range(len(rows)), [f"{name}: {ladder[name]}" if name in ladder else name for name in rows], fontsize=10)
axes.spines[:].set_visible(False)
axes.tick_params(length=0, colors=INK)
heading(figure, "Exact classes (above), networks with random weights (below)")
figure

# %% [markdown]
# From `wl` over `swl-vs` and `sswl` to `2-fwl`, each class tells apart all that the one before does, and a network
# never more than its class. That is theory; a violation would show here. Whether a network tells apart *as much* is
# not given. GIN with walk encodings and GNN-SSWL+ do, on these pairs. PPGN, whose class is the highest of the four,
# does not: on CFI graphs what its random weights make of the difference is less than this test accepts. One draw of
# weights is a weak witness, and training can do better or worse.
#
# ## What this does not say
#
# * These are few pairs, chosen because they are hard; the README has all 400, `gnnlab bench expressiveness` makes the
#   table, and with `--train` it follows the protocol of BREC.
# * A class says what *cannot* be told apart. It does not say that what can be will be learned, or that it matters for
#   your labels. On your own data: `gnnlab.analysis.ceilings`, `gnnlab audit`, and notebook 06.
# * It has a price: copies of every graph. A molecule of 25 atoms becomes 25 molecules.
