"""RFP, random node initialisation and averages over draws: what is random, what is not, and what does not leak."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from scipy.stats import ks_2samp, kstest
from torch import Tensor
from torch_geometric.data import Batch, Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.graph import propagate_features
from gnnlab.graph._noise import node_normals
from gnnlab.nn import GNN, RFP, AverageOverDraws, FeatureEncoder, GINConv, LinearEncoder, RandomNodeInit
from gnnlab.ops import as_csr


def _ring(n: int, start: int = 0) -> Tensor:
    ends = torch.stack([torch.arange(n), (torch.arange(n) + 1) % n]) + start
    return torch.cat([ends, ends.flip(0)], 1)


def _graphs() -> list[Data]:
    generator = torch.Generator().manual_seed(0)
    sizes = [(7, _ring(7)), (1, torch.empty(2, 0).long()), (9, torch.cat([_ring(5), _ring(4, 5)], 1)), (5, _ring(4))]
    return [
        Data(
            x=torch.randn(n, 3, generator=generator),
            z=torch.randint(4, (n, 2), generator=generator),
            edge_index=edges,
        )
        for n, edges in sizes
    ]


RFPS = {
    "default": partial(RFP, 8),
    "qr": partial(RFP, 8, num_features=4, num_steps=5, normalization="qr", num_trajectories=3, rescale=True),
    "operators": partial(RFP, 8, num_features=4, num_steps=3, operators=["adjacency", "laplacian", "lazy"], pool="max"),
    "attention": partial(RFP, 8, num_features=4, num_steps=3, operators=["attention", "looped"], in_channels=3),
    "per step": partial(
        RFP, 8, num_features=4, num_steps=3, operators=["attention"], in_channels=3, per_step=True, normalization="qr"
    ),
    "categorical": partial(
        RFP, 8, num_features=4, num_steps=3, operators=["attention"], num_categories=[4, 4], attribute="z"
    ),
    "samples": partial(RFP, 8, num_features=4, num_steps=3, eval_samples=3, num_trajectories=2),
}
INITS = {name: partial(RandomNodeInit, 8, name) for name in ("normal", "uniform", "xavier-normal", "xavier-uniform")}
ENCODERS = RFPS | INITS


@pytest.mark.parametrize("name", ENCODERS)
def test_fresh_in_training_fixed_in_evaluation(name: str) -> None:
    torch.manual_seed(0)
    encoder, batch = ENCODERS[name](), Batch.from_data_list(_graphs())
    first, second = encoder(batch), encoder(batch)
    assert first.shape == second.shape == (22, encoder.out_channels)
    assert first.isfinite().all()
    assert not torch.allclose(first, second)
    torch.manual_seed(7)
    again = encoder(batch)
    torch.manual_seed(7)
    assert torch.equal(encoder(batch), again)
    encoder.eval()
    state = torch.get_rng_state()
    assert torch.equal(encoder(batch), encoder(batch))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_batch_gives_what_its_graphs_give(name: str) -> None:
    torch.manual_seed(0)
    encoder, graphs = ENCODERS[name]().eval(), _graphs()
    single = torch.cat([encoder(graph) for graph in graphs])
    together = Batch.from_data_list(graphs)
    assert torch.allclose(encoder(together), single, atol=1e-5)
    together.adj = as_csr(together.edge_index, 22)
    assert torch.allclose(encoder(together), single, atol=1e-5)


@pytest.mark.parametrize("build", [partial(RFP, 8), partial(RandomNodeInit, 8)])
def test_fixed_features_stay_the_same_in_training(build) -> None:
    batch = Batch.from_data_list(_graphs())
    fixed = build(resample=False)
    assert torch.equal(fixed(batch), fixed(batch))
    assert torch.equal(fixed(batch), fixed.eval()(batch))
    other = build(resample=False, seed=1)
    other.load_state_dict(fixed.state_dict())
    assert not torch.allclose(other(batch), fixed(batch))


@pytest.mark.parametrize("name", RFPS)
def test_gradients_reach_every_parameter(name: str) -> None:
    torch.manual_seed(1)
    encoder = RFPS[name]()
    encoder(Batch.from_data_list(_graphs())).square().sum().backward()
    # What is added to all logits of a node leaves a softmax as it is.
    silent = {key for key, _ in encoder.named_parameters() if key.endswith("key.bias")}
    for key, parameter in encoder.named_parameters():
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0 or key in silent, key


def test_the_set_of_trajectories_has_no_order() -> None:
    encoder = RFP(8, pool="max")
    embedded = torch.randn(5, 4, 8)
    mixed = embedded[:, torch.tensor([2, 0, 3, 1])]
    assert torch.allclose(encoder.aggregate(mixed), encoder.aggregate(embedded), atol=1e-6)
    assert not torch.allclose(encoder.aggregate(embedded[:, :1]), encoder.aggregate(embedded), atol=1e-3)


def test_rfp_is_its_formula() -> None:
    torch.manual_seed(0)
    encoder = RFP(6, num_features=3, num_steps=2, num_trajectories=2, normalization="qr", seed=5).eval()
    graph = _graphs()[2]
    ptr = torch.tensor([0, 9])
    start = node_normals(6, graph.edge_index, ptr, 5).view(9, 2, 3).float()
    e = encoder.embed[0](propagate_features(graph.edge_index, ptr, start, 2, "adjacency", "qr").flatten(2))
    hidden = torch.stack([encoder.own(e[:, b]) + encoder.shared(e.mean(1)) for b in range(2)]).relu().mean(0)
    assert torch.allclose(encoder(graph), encoder.out(hidden), atol=1e-6)


def test_evaluation_averages_its_draws() -> None:
    encoder = RFP(6, num_features=3, num_steps=2, eval_samples=4).eval()
    single = RFP(6, num_features=3, num_steps=2).eval()
    single.load_state_dict(encoder.state_dict())
    graph, draws = _graphs()[0], []
    for draw in range(4):
        single.draw = draw
        draws.append(single(graph))
    assert not torch.allclose(draws[0], draws[1], atol=1e-3)
    assert torch.allclose(encoder(graph), torch.stack(draws).mean(0), atol=1e-6)


def test_attention_follows_the_features_and_ignores_strangers() -> None:
    torch.manual_seed(0)
    encoder = RFPS["attention"]().eval()
    graphs = _graphs()
    before = encoder(Batch.from_data_list(graphs))
    graphs[0].x = graphs[0].x.flip(0)
    after = encoder(Batch.from_data_list(graphs))
    assert torch.allclose(before[7:], after[7:], atol=1e-6)
    assert not torch.allclose(before[:7], after[:7], atol=1e-4)
    with pytest.raises(GraphError, match="no 'x'"):
        encoder(Data(edge_index=_ring(3), num_nodes=3))


def test_rescaled_steps_are_of_order_one() -> None:
    plain, scaled = (RFP(4, 2, 3, rescale=rescale).eval() for rescale in (False, True))
    scaled.load_state_dict(plain.state_dict())
    seen = []
    scaled.embed[0].register_forward_hook(lambda module, args, out: seen.append(args[0]))
    scaled(Data(edge_index=_ring(50), num_nodes=50))
    assert torch.allclose(seen[0][:, 0, 2:].square().mean(0), torch.ones(6))


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("normal", lambda n, d: ("norm", (0, 1))),
        ("uniform", lambda n, d: ("uniform", (-1, 2))),
        ("xavier-normal", lambda n, d: ("norm", (0, (2 / (n + d)) ** 0.5))),
        ("xavier-uniform", lambda n, d: ("uniform", (-((6 / (n + d)) ** 0.5), 2 * (6 / (n + d)) ** 0.5))),
    ],
)
def test_distributions(name: str, law) -> None:
    torch.manual_seed(0)
    encoder, graph = RandomNodeInit(40, name), Data(edge_index=_ring(60), num_nodes=60)
    for sample in (encoder(graph), encoder.eval()(graph)):
        assert kstest(sample.flatten().numpy(), *law(60, 40)).pvalue > 0.01


def test_invariance_holds_in_distribution() -> None:
    torch.manual_seed(0)
    order = torch.randperm(8)
    edges = torch.cat([_ring(5), torch.tensor([[4, 5, 5, 6, 6, 7], [5, 4, 6, 5, 7, 6]])], 1)
    encoder = RFP(4, 4, 4, normalization="qr")
    one, other = Data(edge_index=edges, num_nodes=8), Data(edge_index=order.argsort()[edges], num_nodes=8)
    with torch.no_grad():
        samples = [encoder(Batch.from_data_list([graph] * 300)).view(300, 8, 4).amax(1) for graph in (one, other)]
    for column in range(4):
        assert ks_2samp(*(sample[:, column].numpy() for sample in samples)).pvalue > 0.01


def _model(*encodings, **options) -> GNN:
    encoder = partial(FeatureEncoder, node=partial(LinearEncoder, in_channels=3), encodings=encodings)
    return GNN(2, 16, 3, conv=GINConv, encoder=encoder, pool="max", **options)


def test_average_over_draws() -> None:
    torch.manual_seed(0)
    model = _model(partial(RandomNodeInit, 4), partial(RFP, 4, 4, 2))
    wrapper, batch = AverageOverDraws(model, 5), Batch.from_data_list(_graphs())
    assert wrapper.num_parameters == model.num_parameters
    torch.manual_seed(3)
    once = wrapper(batch)
    torch.manual_seed(3)
    assert torch.equal(model(batch), once)
    wrapper.eval()
    noise = [module for module in model.modules() if hasattr(module, "draw")]
    draws = []
    for draw in range(5):
        for module in noise:
            module.draw = draw
        draws.append(model(batch))
    assert torch.stack(draws).std(0).min() > 0
    assert torch.allclose(wrapper(batch), torch.stack(draws).mean(0), atol=1e-6)
    assert all(module.draw == 0 for module in noise)
    assert torch.equal(wrapper(batch), wrapper(batch))


def test_random_features_separate_what_refinement_cannot() -> None:
    """A hexagon and two triangles, relabelled at random: at chance without noise, learned with it."""
    torch.manual_seed(0)
    hexagon, triangles = _ring(6), torch.cat([_ring(3), _ring(3, 3)], 1)

    def batch() -> Batch:
        orders = [torch.randperm(6) for _ in range(40)]
        graphs = [
            Data(x=torch.ones(6, 3), edge_index=order[hexagon if i % 2 else triangles])
            for i, order in enumerate(orders)
        ]
        return Batch.from_data_list(graphs)

    target = torch.arange(40) % 2
    plain = _model().eval()(batch())
    assert torch.allclose(plain, plain[:1].expand_as(plain), atol=1e-5)
    model = _model(partial(RFP, 12, 4, 4, normalization="qr", num_trajectories=2))
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(100):
        loss = torch.nn.functional.cross_entropy(model(batch()), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    wrapper = AverageOverDraws(model, 5).eval()
    assert (wrapper(batch()).argmax(1) == target).float().mean() > 0.95


@pytest.mark.parametrize("name", ENCODERS)
def test_degenerate_graphs(name: str) -> None:
    encoder = ENCODERS[name]()
    for n, edges in ((0, []), (1, []), (3, [(0, 0), (1, 1)]), (4, [(0, 1), (0, 1), (1, 2)])):
        edge_index = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).t()
        data = Data(x=torch.ones(n, 3), z=torch.zeros(n, 2).long(), edge_index=edge_index)
        for mode in (True, False):
            out = encoder.train(mode)(data)
            assert out.shape == (n, 8)
            assert out.isfinite().all()


def test_says_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match="did you mean 'laplacian'"):
        RFP(operators=["laplacien"])
    with pytest.raises(ConfigError, match="in_channels or their num_categories"):
        RFP(operators=["attention"])
    with pytest.raises(ConfigError, match="normalization"):
        RFP(normalization="l1")
    with pytest.raises(ConfigError, match="at least 1"):
        RFP(num_features=0)
    with pytest.raises(ConfigError, match="did you mean 'uniform'"):
        RandomNodeInit(distribution="uniforn")
    with pytest.raises(ConfigError, match="at least 1"):
        RandomNodeInit(0)
    with pytest.raises(ConfigError, match="no module of the model"):
        AverageOverDraws(_model())
    with pytest.raises(ConfigError, match="num_draws"):
        AverageOverDraws(_model(partial(RFP, 4)), 0)
    with pytest.raises(GraphError, match="neither 'adj' nor 'edge_index'"):
        RFP()(Data(x=torch.ones(2, 3)))
