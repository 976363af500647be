# %% [markdown]
# # 07 Hogwild inference: nodes that do not wait
#
# A trained GNN is a protocol: in every round, each node hears its neighbours and computes. Sensors, robots and servers
# have no rounds. They compute when they can, with the last thing they heard, which may be old.
#
# **Questions.** What becomes of a GNN when its nodes do not wait for each other? Which models do not mind, and why?
# And what happens to those if their condition is broken?
#
# The setting is that of Solodova et al. (ICLR 2025): a node computes at random moments, at least once in B ticks of a
# clock, and uses news that is less than B ticks old. B = 1 is lock-step, what we always do. All data is generated.

# %%
# %matplotlib inline
import tempfile
from functools import partial

import torch

from gnnlab.analysis import asynchronous_run, asynchrony_table
from gnnlab.analysis.asynchrony_figure import asynchrony_figure
from gnnlab.data import GraphDataModule
from gnnlab.drawing import COLOURS, heading, new_figure, quiet_axes
from gnnlab.drawing_graphs import draw_graph, place_nodes
from gnnlab.nn import GNN, IGNN, EnergyGNN, FeatureEncoder, LinearEncoder
from gnnlab.training import GraphTask, train_and_evaluate

# %% [markdown]
# ## Three models for one task
#
# *Count*: about half of the nodes of a tree with a few extra edges are marked, and every node has to say how many.
# A GCN of two layers; an `IGNN`, whose states are the fixed point of a layer; an `EnergyGNN`, whose states minimise a
# convex energy. Training is short, as we compare each model with itself.

# %%
data = GraphDataModule("count", batch_size=20)
encoder = partial(FeatureEncoder, node=partial(LinearEncoder, in_channels=2))


def fit(model, epochs):
    torch.manual_seed(0)
    built = model(1, hidden_channels=16, encoder=encoder, level="node")
    task = GraphTask(built, data.task, optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=1e-2))
    with tempfile.TemporaryDirectory() as folder:
        result = train_and_evaluate(task, data, folder, max_epochs=epochs)
    print(f"{type(built).__name__}: {result.metric} on test graphs {result.test:.2f}")
    return built.eval()


models = {
    "GCN, 2 layers": fit(partial(GNN, num_layers=2), 25),
    "IGNN": fit(partial(IGNN, kappa=0.9), 3),
    "EnergyGNN": fit(partial(EnergyGNN, state_channels=4, kind="node"), 1),
}

# %% [markdown]
# ## Error against staleness
#
# Each run of each graph has randomness of its own, and all of them are one batch. Energies take many small steps, so
# there are fewer values of B for them. Dashed: the model in lock-step.

# %%
layered = {name: models[name] for name in ("GCN, 2 layers", "IGNN")}
rows = asynchrony_table(layered, data.store, (1, 2, 5, 10, 20, 50), runs=3)
energy = {"EnergyGNN": models["EnergyGNN"]}
rows += asynchrony_table(energy, data.store, (1, 2, 5), runs=1, tolerance=1e-2)
asynchrony_figure(rows, "Count: error in per cent when nodes do not wait")

# %% [markdown]
# The GCN gets worse and says nothing; the other two are where they were.
#
# ## The same graph, node by node
#
# How far off is each node's answer, B = 10? Shown is that of ten graphs where the GCN is furthest off.

# %%
test = data.store.splits["test"]
worst = asynchronous_run(models["GCN, 2 layers"], data.store[test[:10]], 10).deviation.argmax()
batch = data.store[test[worst : worst + 1]]
place = place_nodes(batch.edge_index, batch.num_nodes)
figure = new_figure(10, 3.6)
panels = figure.subplots(1, 2)
for axes, name in zip(panels, layered, strict=True):
    run = asynchronous_run(models[name], batch, 10, seed=1)
    wrong = (run.prediction - run.synchronous).abs().flatten()
    labels = [f"{value:.1f}" for value in wrong.tolist()]
    nodes = draw_graph(axes, batch.edge_index, place, values=wrong, limits=(0, 4), labels=labels, size=380, title=name)
figure.colorbar(nodes, ax=panels, shrink=0.7, label="distance from its answer in lock-step")
heading(figure, f"{int(batch.y[0])} of {batch.num_nodes} nodes are marked; who says something else than in lock-step?")
figure

# %% [markdown]
# A node that computes its second layer has heard some neighbours after their first and some before. Its answer is a
# mixture that no training has ever seen, and nothing will correct it, as its layers are done.
#
# A fixed point has no last layer. Nodes compute again and again, and old news is forgotten:

# %%
ticks = [5, 10, 15, 20, 30, 40, 60, 80, 120, 160, 240]
figure = new_figure(8, 4)
axes = figure.subplots()
for bound, colour in zip((1, 5, 20, 50), COLOURS, strict=False):
    runs = [asynchronous_run(models["IGNN"], batch, bound, ticks=tick, tolerance=1e-9) for tick in ticks]
    off = [max(run.deviation.item(), 1e-6) for run in runs]
    axes.plot(ticks, off, color=colour, marker="o", ms=4, label=f"B = {bound}")
axes.set(yscale="log", xlabel="ticks")
quiet_axes(axes, "largest distance of a node from its answer in lock-step")
heading(figure, "IGNN comes to rest, the later the older the news")
figure.legend(loc="outside right upper", frameon=False, fontsize=9)
figure

# %% [markdown]
# ## Why, and what if not
#
# `IGNN` keeps its matrix W contractive: every row has sum of absolute values at most kappa < 1, and is projected back
# if training pulls it out. Then each update brings the worst node closer, whoever computes and however old the news
# (Bertsekas and Tsitsiklis, 1989). Let us break the promise by hand: an untrained IGNN with tanh, whose W is a
# multiple of one orthogonal matrix, and twelve runs of the same graph.

# %%
torch.manual_seed(0)
broken = IGNN(1, hidden_channels=4, in_channels=2, level="node", phi=torch.nn.Tanh).eval()
orthogonal, _ = torch.linalg.qr(torch.randn(4, 4))
broken.kappa = 100  # no projection any more
copies = data.store[test[worst].repeat(12)]
scales = [0.5, 0.8, 1.0, 1.2, 1.5, 2.0, 3.0]
spread = []
for scale in scales:
    with torch.no_grad():
        broken.weight.copy_(scale * orthogonal)
    run = asynchronous_run(broken, copies, 10, ticks=400)
    answers = run.prediction.view(12, -1)
    spread.append(float((answers.amax(0) - answers.amin(0)).max()))

figure = new_figure(8, 4)
axes = figure.subplots()
axes.plot(scales, spread, color=COLOURS[1], marker="o", ms=5)
axes.axvline(1, color=COLOURS[0], ls="--", lw=1)
axes.set_xlabel("largest singular value of W; left of the line, every update contracts")
quiet_axes(axes, "largest disagreement of twelve runs about one node, after 400 ticks")
heading(figure, "Beyond contraction, the answer depends on who computes when")
figure

# %% [markdown]
# Left of the line all runs agree, as they must. Right of it there is no promise: the condition is sufficient and not
# necessary, so they go on agreeing for a while, and then each run has an answer of its own.
#
# *What this does not say.* Nothing here is accurate: training was short, and contractive models pay for their safety
# with reach, as what comes from afar shrinks at every step (notebook 02). Trained longer and with more runs, the table
# is in the README; `gnnlab asynchrony energy/count/gcn energy/count/ignn` makes one from any experiments.
