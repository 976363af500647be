# %% [markdown]
# # 01 A first GNN, and a layer of your own
#
# A ring of ten nodes. One node, the *target*, carries one of five classes; the node opposite, the *source*, has to
# say which. All a message passing network can do is to pass the class on, neighbour by neighbour, five hops far.
#
# **Questions.** How do I load data, build a network and train it? Is it enough that the network is deep enough? And if
# none of the layers on the shelf does what I want, how do I write one, and how do I know that it is correct?
#
# The data is generated, so nothing is downloaded.

# %%
# %matplotlib inline
import tempfile

import torch
from torch_geometric.nn import SAGEConv

from gnnlab.analysis import sensitivity
from gnnlab.data import GraphDataModule, load_dataset
from gnnlab.drawing import COLOURS, QUIET, heading, new_figure, quiet_axes
from gnnlab.drawing_graphs import draw_graph, place_nodes
from gnnlab.nn import GNN, GCNConv
from gnnlab.ops import aggregate
from gnnlab.testing import check_conv
from gnnlab.training import GraphTask, train_and_evaluate

# %% [markdown]
# ## The data
#
# A dataset is a *store*: all graphs in a few tensors. `store[i]` is a PyG `Data`, `store[indices]` a PyG `Batch`.

# %%
store = load_dataset("ring-transfer", progress=False)
print(len(store), "graphs;", {part: len(index) for part, index in store.splits.items()})
print(store.task)
print(store[0])

# %% [markdown]
# The target is filled in the colour of its class. Its features are that class as one-hot, those of the source (heavy
# rim) zeros, all others ones. Only the source has a label.

# %%
ring = place_nodes(store[0].edge_index, 10, ring=True)
figure = new_figure(11, 2.6)
for axes, graph in zip(figure.subplots(1, 5), range(5), strict=True):
    data = store[graph]
    answer = int(data.y[0])
    draw_graph(axes, data.edge_index, ring, marked=[0], title=f"class {answer}")
    axes.scatter(*ring[5], s=150, color=COLOURS[answer], zorder=3)
heading(figure, "Five of a thousand rings")
figure

# %% [markdown]
# ## A network
#
# `GNN` takes its parts as classes. With two layers the target is out of reach, so we expect no more than guessing, one
# in five. Five layers are just enough.


# %%
def fit(conv, num_layers, epochs=12, seed=0, **options):
    """Train, and give the accuracy on the validation rings after every epoch."""
    torch.manual_seed(seed)
    data = GraphDataModule("ring-transfer", batch_size=32)
    network = GNN(5, 64, num_layers, conv, in_channels=5, level="node", residual=False, **options)
    task = GraphTask(network, data.task, optimizer=lambda parameters: torch.optim.Adam(parameters, lr=3e-3))
    with tempfile.TemporaryDirectory() as folder:
        result = train_and_evaluate(task, data, folder, max_epochs=epochs)
    print(f"{conv.__name__}, {num_layers} layers: test accuracy {100 * result.test:.0f} %")
    return result.curves["val/accuracy"], network


curves = {}
curves["GCN, 2 layers"], _ = fit(GCNConv, 2)
curves["GCN, 5 layers"], gcn = fit(GCNConv, 5)
curves["GraphSAGE of PyG, 5 layers"], sage = fit(SAGEConv, 5)

# %% [markdown]
# Deep enough is not enough, at least not in twelve epochs. Both layers take means, so what one node says is a third
# (GCN, with the node itself) or a half (GraphSAGE) of what the next one hears. After five hops, both ways around the
# ring, that makes $2/3^5 = 0.8$ % or $2/2^5 = 6$ %; the rest is ones.
#
# ## A layer of your own
#
# A layer gets node states and a graph, and `gnnlab.ops.aggregate` is the one fast operation it needs. Ours keeps
# extremes in place of means: an extreme is as large after five hops as it was at the start.


# %%
class MaxMinConv(torch.nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.lin = torch.nn.Linear(3 * in_channels, out_channels)

    def forward(self, x, adj):
        return self.lin(torch.cat([x, aggregate(x, adj, "max"), aggregate(x, adj, "min")], dim=-1))


check_conv(MaxMinConv)

# %% [markdown]
# No news is good news: `check_conv` has made sure that numbering the nodes differently changes nothing, that a graph
# gives the same alone and in a batch, that gradients are right, that graphs without nodes or edges are no trouble, and
# a few things more. It is worth a line, as most mistakes in layers raise no error. This one subtracts the mean of all
# nodes, a common trick, and forgets that a batch holds many graphs:


# %%
class CentredConv(MaxMinConv):
    def forward(self, x, adj):
        return super().forward(x - x.mean(dim=0), adj)


try:
    check_conv(CentredConv)
except AssertionError as error:
    print(error)

# %% [markdown]
# ## Does it carry further?

# %%
for seed in range(2):
    curves[f"MaxMin, 5 layers, seed {seed}"], maxmin = fit(MaxMinConv, 5, seed=seed)
curves["GCN, 2 layers, last fully adjacent"], _ = fit(GCNConv, 2, fully_adjacent_last=True)

# %%
figure = new_figure(8.5, 4)
axes = figure.subplots()
for index, (name, curve) in enumerate(curves.items()):
    lift = 0.6 * (index - 1) if index < 3 else 0  # lines that coincide, side by side
    axes.plot(range(1, 13), [100 * value + lift for value in curve], color=COLOURS[index], marker="o", ms=4, label=name)
axes.axhline(20, color=QUIET, ls="--", lw=0.8)
axes.set(ylim=(0, 104), xlabel="epoch")
quiet_axes(axes, "accuracy on the validation rings in per cent; dashed: guessing")
heading(figure, "What carries a class over five hops")
figure.legend(loc="outside right upper", frameon=False, fontsize=9)
figure

# %% [markdown]
# Same width, same depth, same optimiser; what differs is what a layer does with its neighbours. The network with two
# layers whose last one sees all pairs (Alon and Yahav, 2021) does not carry anything: it is told.
#
# *What this does not say.* The class is noise free here, and extremes are what survives on such a ring. On data where
# counting matters a maximum is a poor choice, and GCN with residuals, other widths or longer training may get further
# than here: GraphSAGE has begun to learn when we stop. A conclusion needs more seeds, and data of your own.
#
# ## Where a prediction comes from
#
# How much the state of the source changes with the features of every node is a derivative, `sensitivity`; notebook 02
# is about it. Here are its shares, for the three trained networks with five layers. GCN hears of the target what the
# arithmetic above says; MaxMin has found one way around the ring and listens to it.

# %%
networks = {"GCN": gcn, "GraphSAGE": sage, "MaxMin": maxmin}
figure = new_figure(10, 3.6)
for axes, (name, network) in zip(figure.subplots(1, 3), networks.items(), strict=True):
    share = sensitivity(network, store[0], target=torch.tensor([0])).influence[0]
    labels = [f"{100 * value:.0f}" for value in share.tolist()]
    title = f"{name}: the target has {100 * share[5]:.1f} %"
    draw_graph(axes, store[0].edge_index, ring, values=share, limits=(0, 0.8), marked=[0], labels=labels, size=420)
    axes.set_title(title, loc="left", fontsize=11)
heading(figure, "Share of every node in the answer of the source, per cent")
figure

# %% [markdown]
# ## On from here
#
# The same from a shell, with records and a comparison: `gnnlab reproduce quickstart`. Any dataset card
# (`gnnlab datasets list`) takes the place of `ring-transfer`, any transform goes into
# `GraphDataModule(..., transforms=[...])`, and `gnnlab.nn` has layers of its own beside PyG's. Notebook 02 shows why
# depth does not help, 03 what rewiring does about it.
