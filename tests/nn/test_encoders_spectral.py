"""Encoders of eigenpairs: what they must not see (signs, bases, padding), dense oracles, and the documented limits."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from gnnlab.data import GraphStore
from gnnlab.data.padding import Buckets, assemble_padded
from gnnlab.encodings import LaplacianPE
from gnnlab.errors import BudgetError, ConfigError, GraphError
from gnnlab.graph import laplacian_eigh
from gnnlab.nn import SPE, BasisNet, LapPEEncoder, SignNet
from gnnlab.nn._reset import reset
from gnnlab.nn.encoders._ign import MatrixToNode, _MatrixLayer
from gnnlab.nn.encoders._real_norm import RealBatchNorm
from gnnlab.nn.norm import real_rows

SIGN_BLIND = {
    "SignNet": SignNet,
    "SignNet-mlp": partial(SignNet, rho="mlp", k=8, num_layers=2, values=True, norm=None),
    "BasisNet": BasisNet,
    "BasisNet-1": partial(BasisNet, num_layers=1, values=False),
    "SPE": SPE,
    "SPE-diagonal": partial(SPE, kind="diagonal", norm=None),
}
ENCODERS = {
    "deepset": LapPEEncoder,
    "transformer": partial(LapPEEncoder, model="transformer", raw_norm="batch", pool="mean"),
    **SIGN_BLIND,
}
everything = pytest.mark.parametrize("name", ENCODERS)


def cycle(n: int) -> Tensor:
    nodes = torch.arange(n)
    one_way = torch.stack([nodes, (nodes + 1) % n])
    return torch.cat([one_way, one_way.flip(0)], 1)


def graph(edge_index: Tensor, n: int, k: int = 8) -> Data:
    """float64 eigenpairs of ``D - A``, padded to k, and what :class:`gnnlab.encodings.LaplacianPE` says of them."""
    spectrum = laplacian_eigh(edge_index, torch.tensor([0, n]), k)
    group = spectrum.group.expand(n, k)
    cut = (spectrum.gap < 1e-6).view(1, 1) & (group == group.amax() if n else torch.zeros(n, k, dtype=torch.bool))
    mask = spectrum.mask.expand(n, k)
    return Data(
        edge_index=edge_index,
        num_nodes=n,
        pe_lap=spectrum.vectors,
        pe_lap_values=spectrum.values.expand(n, k),
        pe_lap_mask=mask,
        pe_lap_group=group,
        pe_lap_whole=mask & ~cut,
    )


def random_graph(n: int, seed: int, k: int = 8) -> Data:
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.combinations(torch.arange(n), 2).t()
    pairs = pairs[:, torch.rand(pairs.size(1), generator=generator) < 0.5]
    return graph(torch.cat([pairs, pairs.flip(0)], 1), n, k)


def awkward(k: int = 8) -> list[Data]:
    """Random, larger than k, disconnected, with loops and duplicates, one node, no edges."""
    none = torch.zeros(2, 0, dtype=torch.long)
    loops = torch.tensor([[0, 1, 0, 1, 2, 2], [1, 0, 1, 0, 2, 2]])
    return [
        random_graph(7, 1, k),
        random_graph(11, 2, k),
        graph(torch.cat([cycle(3), cycle(4) + 3], 1), 7, k),
        graph(loops, 3, k),
        graph(none, 1, k),
        graph(none, 4, k),
    ]


def changed(data: Data, vectors: Tensor, **others: Tensor) -> Data:
    result = data.clone()
    result.pe_lap = vectors
    for name, value in others.items():
        result[name] = value
    return result


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    module = ENCODERS[name]().double()
    for norm in module.modules():
        if isinstance(norm, RealBatchNorm):  # as after training
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    return module.eval()


def close(a: Tensor, b: Tensor, atol: float = 1e-6) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


@everything
def test_a_batch_gives_what_its_graphs_give(name):
    encoder, graphs = build(name), awkward()
    out = encoder(Batch.from_data_list(graphs))
    assert out.shape == (sum(data.num_nodes for data in graphs), encoder.out_channels)
    assert out.isfinite().all()
    close(out, torch.cat([encoder(data) for data in graphs]), 1e-10)


@everything
def test_equivariant(name):
    encoder, data = build(name), random_graph(11, 2)
    order = torch.randperm(11)
    turned = data.clone()
    turned.edge_index = order.argsort()[data.edge_index]
    for key in ("pe_lap", "pe_lap_values", "pe_lap_mask", "pe_lap_group", "pe_lap_whole"):
        turned[key] = data[key][order]
    close(encoder(turned), encoder(data)[order], 1e-10)


@pytest.mark.parametrize("name", sorted(set(ENCODERS) - {"SignNet-mlp"}))
def test_padding_is_not_seen(name):
    """Neither how much, nor what stands in it; in training as well, whose statistics leave it out."""
    encoder, graphs = build(name), awkward()
    few, many = Batch.from_data_list(graphs), Batch.from_data_list(awkward(k=15))
    for data in (few, many):  # the same eigenpairs in both: k = 8 may cut an eigenspace of the graph of 11
        data.pe_lap_whole = data.pe_lap_whole & (data.batch != 1).unsqueeze(1)
        data.pe_lap_mask = data.pe_lap_mask & (data.batch != 1).unsqueeze(1)
    close(encoder(few), encoder(many), 1e-10)
    many.pe_lap = torch.where(many.pe_lap_mask, many.pe_lap, 7.0)
    many.pe_lap_values = torch.where(many.pe_lap_mask, many.pe_lap_values, 7.0)
    close(encoder(few), encoder(many), 1e-10)
    if name in SIGN_BLIND:
        close(encoder.train()(few), encoder(many), 1e-8)


@everything
@pytest.mark.parametrize("train", [False, True])
def test_nothing_to_see(name, train):
    encoder = build(name).train(train)
    data = Batch.from_data_list(awkward())
    for key in ("pe_lap_mask", "pe_lap_whole"):
        data[key] = torch.zeros_like(data[key])
    out = encoder(data)
    assert out.isfinite().all()
    same = encoder.eval()(data)
    close(same, same[:1].expand_as(same), 1e-10)  # no node differs from another
    none = Batch.from_data_list([graph(torch.zeros(2, 0, dtype=torch.long), 0)])
    assert encoder.train(train)(none).shape == (0, encoder.out_channels)
    if name != "SignNet-mlp":
        empty = changed(data, *[data.pe_lap[:, :0]])
        for key in ("values", "mask", "group", "whole"):
            empty[f"pe_lap_{key}"] = data[f"pe_lap_{key}"][:, :0]
        assert encoder(empty).isfinite().all()


@everything
def test_gradients_are_finite_and_none_is_missing(name):
    encoder = build(name).train()
    data = Batch.from_data_list(awkward())
    encoder(data).square().sum().backward()
    for key, parameter in encoder.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@everything
def test_signs(name):
    """No sign pattern changes anything, one drawn per graph and vector; a set of raw entries does see it."""
    encoder, data = build(name), Batch.from_data_list(awkward())
    out, differences = encoder(data), []
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        signs = 1 - 2 * torch.randint(2, (data.num_graphs, 8), generator=generator)
        differences.append((encoder(changed(data, data.pe_lap * signs[data.batch])) - out).abs().max().item())
    assert (max(differences) < 1e-6) == (name in SIGN_BLIND)


def rotated(data: Data, first: int, angle: float) -> Data:
    c, s = torch.tensor(angle).double().cos(), torch.tensor(angle).double().sin()
    pair = data.pe_lap[:, first : first + 2] @ torch.stack([torch.stack([c, -s]), torch.stack([s, c])])
    vectors = torch.cat([data.pe_lap[:, :first], pair, data.pe_lap[:, first + 2 :]], 1)
    return changed(data, vectors)


@pytest.mark.parametrize("name", SIGN_BLIND)
@pytest.mark.parametrize("first", [1, 3])
def test_bases_of_double_eigenvalues(name, first):
    """Laplacian of C6: 0, 1, 1, 3, 3, 4. SignNet sees the basis, which is its documented limit."""
    encoder, data = build(name).train(), graph(cycle(6), 6)  # statistics of the batch: differences of order 1
    if "SignNet" in name:
        encoder.phi.eps.data.fill_(1)  # A + I, where a GIN starts, erases the eigenvectors of 3
    close(data.pe_lap_values[0, :6], torch.tensor([0, 1, 1, 3, 3, 4]).double(), 1e-10)
    assert data.pe_lap_group[0].tolist() == [0, 1, 1, 2, 2, 3, -1, -1]
    difference = (encoder(rotated(data, first, 0.7)) - encoder(data)).abs().max().item()
    assert (difference > 1e-4) if "SignNet" in name else (difference < 1e-6)


@pytest.mark.parametrize("name", ["BasisNet", "SPE", "SPE-diagonal"])
def test_nodes_of_a_cycle_get_one_code(name):
    """The symmetric graph has no node that stands out, whatever the solver returned."""
    out = build(name)(graph(cycle(6), 6))
    close(out, out[:1].expand_as(out))


@pytest.mark.parametrize("name", ["BasisNet", "SPE", "SPE-diagonal"])
def test_cut_eigenspaces_are_left_out(name):
    encoder, data = build(name), graph(cycle(6), 6, k=2)
    assert data.pe_lap_whole[0].tolist() == [True, False]
    full = graph(cycle(6), 6, k=3)
    other = changed(data, torch.stack([data.pe_lap[:, 0], full.pe_lap[:, 1:] @ torch.tensor([0.6, 0.8]).double()], 1))
    close(encoder(data), encoder(other), 1e-12)
    only = graph(cycle(6), 6, k=1)
    close(encoder(data), encoder(only), 1e-12)


def test_spe_is_stable_where_basis_net_is_not():
    """Two eigenvalues that nearly cross: the vectors turn by 45 degrees, and SPE hardly notices."""
    data = graph(cycle(6), 6)
    split = torch.tensor([0, 1, 2, 3, 4, 5, -1, -1]).expand(6, 8)
    values = data.pe_lap_values + 1e-9 * torch.arange(8)
    one, two = changed(data, data.pe_lap, pe_lap_group=split, pe_lap_values=values), rotated(data, 1, 0.785)
    two.pe_lap_group, two.pe_lap_values = split, values
    for name in ("SPE", "SPE-diagonal"):
        encoder = build(name)
        assert (encoder(one) - encoder(two)).abs().max() < 1e-6
    encoder = build("BasisNet")
    assert (encoder(one) - encoder(two)).abs().max() > 1e-5


class Heat(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return torch.cat([(-values).exp(), (-0.3 * values).exp()], -1)


class Untouched(nn.Module):
    def forward(self, x: Tensor, *_: object) -> Tensor:
        return x


def test_spe_matrices_are_functions_of_the_laplacian():
    graphs = [random_graph(7, 1, 12), random_graph(11, 2, 12), graph(cycle(4), 4, 12)]
    kernels = []
    for data in graphs:
        adjacency = torch.zeros(data.num_nodes, data.num_nodes).double()
        adjacency[data.edge_index[0], data.edge_index[1]] = 1
        laplacian = adjacency.sum(1).diag() - adjacency
        kernels.append([torch.matrix_exp(-time * laplacian) for time in (1.0, 0.3)])
    full, diagonal = SPE(), SPE(kind="diagonal")
    for encoder in (full, diagonal):
        encoder.phi, encoder.gin, encoder.rho = Heat(), Untouched(), Untouched()
    batch = Batch.from_data_list(graphs)
    expected = torch.cat([torch.stack([kernel.diagonal() for kernel in pair], -1) for pair in kernels])
    close(diagonal(batch), expected, 1e-10)

    class Squares(nn.Module):  # a sum over columns that tells more than the row sums, which are 1
        def forward(self, x: Tensor, *_: object) -> Tensor:
            return x.square()

    full.gin = Squares()
    expected = torch.cat([torch.stack([kernel.square().sum(1) for kernel in pair], -1) for pair in kernels])
    close(full(batch), expected, 1e-10)


def test_sign_net_equals_a_loop_over_vectors():
    encoder, data = build("SignNet"), random_graph(7, 1)
    adjacency = torch.zeros(7, 7).double()
    adjacency[data.edge_index[1], data.edge_index[0]] = 1

    def phi(v: Tensor) -> Tensor:
        h = v.unsqueeze(1)
        for index, step in enumerate(encoder.phi.hidden):
            if index % 2 == 0:
                h = h + adjacency @ h
            h = step.norm(step.lin(h), torch.ones(7, dtype=torch.bool)).relu()
        return encoder.phi.last(h)

    vectors = [v for v, real in zip(data.pe_lap.t(), data.pe_lap_mask[0], strict=True) if real]
    assert len(vectors) == 7
    close(encoder(data), encoder.rho(sum(phi(v) + phi(-v) for v in vectors)), 1e-9)


def test_fifteen_equivariant_maps():
    """As many independent linear maps of matrices to matrices as there are partitions of four indices."""
    layer = _MatrixLayer(1, 1).double()
    x, size = torch.randn(40, 5, 5, 1).double(), torch.full((40, 1, 1), 5.0).double()
    weights = [layer.entries.weight, layer.rows.weight, layer.whole.weight]
    columns = []
    for weight in weights:
        for place in range(weight.numel()):
            for other in (*weights, layer.whole.bias):
                other.data.zero_()
            weight.data.view(-1)[place] = 1
            columns.append(layer(x, size).flatten())
    assert len(columns) == 15
    assert torch.linalg.matrix_rank(torch.stack(columns)) == 15


def test_matrix_network_is_equivariant_and_ignores_padding():
    network = MatrixToNode(2, 8, 3, 3).double()
    x, order = torch.randn(2, 5, 5, 2).double(), torch.randperm(5)
    real = torch.ones(2, 5, dtype=torch.bool)
    close(network(x[:, order][:, :, order], real), network(x, real)[:, order], 1e-10)
    padded = torch.zeros(2, 7, 7, 2).double()
    padded[:, :5, :5] = x
    close(network(padded, torch.arange(7).expand(2, 7) < 5)[:, :5], network(x, real), 1e-10)


@pytest.mark.parametrize("share", [0.6, 1.1])
def test_real_batch_norm_is_that_of_the_real_rows(share):
    ours, plain = RealBatchNorm(3), nn.BatchNorm1d(3)
    x, real = torch.randn(10, 4, 3), torch.rand(10, 4) < share
    torch.testing.assert_close(ours(x, real)[real], plain(x[real]))
    torch.testing.assert_close(ours.running_var, plain.running_var)
    before = ours.running_mean.clone()
    assert ours(x, torch.zeros(10, 4, dtype=torch.bool)).isfinite().all()
    assert torch.equal(ours.running_mean, before)
    with real_rows(ours, {77: torch.tensor(3)}):  # rows of a padded batch are no obstacle
        ours(x, real)


def test_signs_of_training_are_drawn_per_graph():
    data = random_graph(7, 1)
    batch = Batch.from_data_list([data, data])

    def halves_agree(signs: str | None) -> list[bool]:
        torch.manual_seed(0)
        encoder = LapPEEncoder(signs=signs).double()
        return [torch.equal(*encoder(batch).split(7)) for _ in range(10)]

    assert not any(halves_agree("graph"))
    assert all(halves_agree("batch"))
    encoder = LapPEEncoder(signs=None).double()
    assert torch.equal(encoder(batch), encoder(batch))
    encoder = LapPEEncoder().double().eval()
    state = torch.get_rng_state()
    encoder(batch)
    assert torch.equal(torch.get_rng_state(), state)


def test_transformer_pairs_see_each_other():
    """Changing one eigenvalue changes what the others contribute; in the deep set it does not."""
    data = random_graph(7, 1)
    mask = data.pe_lap_mask & (torch.arange(8) < 3)
    shown = torch.arange(8) < 2

    def contribution(encoder: nn.Module, third: float) -> Tensor:
        values = data.pe_lap_values.clone()
        values[:, 2] = third
        pairs = torch.stack([data.pe_lap, values], -1)
        return encoder.phi(pairs, mask)[:, shown]

    for name, sees in (("deepset", False), ("transformer", True)):
        encoder = build(name)
        assert torch.equal(contribution(encoder, 0.1), contribution(encoder, 5.0)) != sees


@pytest.mark.parametrize("name", ["BasisNet", "SPE"])
def test_work_that_does_not_fit_is_refused(name):
    encoder = ENCODERS[name](max_gigabytes=1e-4)
    with pytest.raises(BudgetError, match=r"max_gigabytes=0\.0001"):
        encoder(random_graph(60, 0, k=60).apply(lambda t: t.float() if t.is_floating_point() else t))


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (partial(LapPEEncoder, model="deep-set"), "did you mean 'deepset'"),
        (partial(LapPEEncoder, pool="max"), "unknown pool"),
        (partial(LapPEEncoder, signs="graphs"), "did you mean 'graph'"),
        (partial(LapPEEncoder, num_layers=0), "num_layers must be at least 1"),
        (partial(LapPEEncoder, model="transformer", heads=3), "3 heads do not divide out_channels=16"),
        (partial(SignNet, rho="mlp"), "needs their number k"),
        (partial(SignNet, rho="mean"), "unknown rho"),
        (partial(SignNet, num_layers=0), "num_layers must be at least 1"),
        (partial(BasisNet, num_layers=0), "num_layers must be at least 1"),
        (partial(SPE, kind="diag"), "did you mean 'diagonal'"),
    ],
)
def test_settings_that_cannot_be(factory, message):
    with pytest.raises(ConfigError, match=message):
        factory()


@everything
def test_what_the_batch_lacks_is_named(name):
    encoder, data = build(name), random_graph(7, 1)
    for key in ("pe_lap", "pe_lap_values", "pe_lap_mask", *(["pe_lap_whole"] if name[0] in "B" else [])):
        lacking = data.clone()
        del lacking[key]
        with pytest.raises(GraphError, match=f"no '{key}'"):
            encoder(lacking)
    short = changed(data, data.pe_lap, pe_lap_values=data.pe_lap_values[:, :2])
    with pytest.raises(GraphError, match=r"'pe_lap_values' has shape \[7, 2\], 'pe_lap' \[7, 8\]"):
        encoder(short)
    if name == "SignNet-mlp":
        with pytest.raises(GraphError, match=r"'pe_lap' has 3 eigenpairs, but k=8\n  set k=3"):
            encoder(random_graph(7, 1, k=3))


def test_attention_is_that_of_torch():
    ours = LapPEEncoder(model="transformer", num_layers=1).double().phi.layers[0]
    theirs = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True).double()
    state = ours.state_dict()
    names = {"project": "self_attn.in_proj", "out": "self_attn.out_proj", "update.0": "linear1", "update.3": "linear2"}
    names |= {"norms.0": "norm1", "norms.1": "norm2"}
    renamed = {}
    for key, value in state.items():
        part, kind = key.rsplit(".", 1)
        renamed[names[part] + ("_" if part == "project" else ".") + kind] = value
    theirs.load_state_dict(renamed)
    x, seen = torch.randn(5, 8, 16).double(), torch.rand(5, 8) < 0.6
    seen[:, 0] = True
    close(ours(x, seen)[seen], theirs(x, src_key_padding_mask=~seen)[seen], 1e-12)


@everything
def test_parameters_go_back_to_initial_values(name):
    encoder = build(name)
    for parameter in encoder.parameters():
        parameter.data.fill_(7)
    reset(encoder)
    assert all((parameter != 7).any() for parameter in encoder.parameters())


@pytest.mark.parametrize("name", sorted(SIGN_BLIND))
def test_padding_of_a_batch_takes_no_part(name):
    """Dummy graphs of a batch of static shapes change nothing for the others, statistics of training included."""
    graphs = [data.apply(lambda t: t.float() if t.is_floating_point() else t) for data in awkward()]
    store = GraphStore.from_data_list(graphs)
    index = torch.arange(len(graphs))
    buckets = Buckets(graphs=16, units={"node": 13.0, "edge": 40.0})
    plain, padded = store[index], assemble_padded(store, index, buckets)
    assert padded.num_nodes > plain.num_nodes
    encoder = build(name).float()
    other = copy.deepcopy(encoder)
    for train in (True, False):
        out = other.train(train)(padded)
        close(encoder.train(train)(plain), out[: plain.num_nodes], 1e-4)
        assert out.isfinite().all()


@pytest.mark.parametrize("name", ["SignNet", "BasisNet", "SPE", "SPE-diagonal"])
def test_renumbered_graphs_from_the_transform(name):
    """A circulant graph has eigenvalues of high multiplicity; what a solver makes of a copy reaches SignNet alone."""
    nodes = torch.arange(13)
    skips = torch.cat([torch.stack([nodes, (nodes + step) % 13]) for step in (1, 5)], 1)
    edge_index = torch.cat([skips, skips.flip(0)], 1)
    order = torch.randperm(13, generator=torch.Generator().manual_seed(1))
    one, two = (LaplacianPE(k=13)(Data(edge_index=edges, num_nodes=13)) for edges in (edge_index, order[edge_index]))
    assert one.pe_lap_group[0].unique().numel() == 4
    torch.manual_seed(0)
    encoder = ENCODERS[name]().train()
    difference = (encoder(two)[order] - encoder(one)).abs().max().item()
    assert (difference > 0.05) if name == "SignNet" else (difference < 1e-3)
