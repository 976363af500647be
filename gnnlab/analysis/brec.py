"""The BREC protocol: train a network to tell two graphs apart, and test whether it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.stats import f as f_distribution
from torch import Tensor
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch_geometric.data import Batch

from gnnlab.analysis.expressiveness import Subject, renumbered
from gnnlab.data import GraphStore
from gnnlab.errors import ConfigError, GraphError, nearest
from gnnlab.ops import as_csr

__all__ = ["STATISTICS", "BrecProtocol", "PairOutcome", "paired_statistic", "statistic_threshold", "train_pairs"]


@dataclass(frozen=True)
class BrecProtocol:
    """Settings of the protocol; the defaults are those of the released code, but for ``rounding``.

    Without it, the outputs of a network that does not follow the numbering of the nodes vary by rounding alone. Two
    graphs that it cannot tell apart may be rounded differently on average, and pass the test: GIN "distinguishes" pairs
    that 1-WL does not.

    Args:
        epochs: Most epochs per pair.
        copies: q, renumbered copies of either graph.
        batch_size: Graphs in a step, even: half of them are copies of the one, half of the other.
        lr: Of Adam; divided by 10 after ten epochs without a smaller loss.
        weight_decay: Of Adam.
        enough: Training ends below this loss.
        level: Of the test.
        rounding: Differences of this share of the outputs' root mean square are expected from rounding: its square is
            added to the variances. 0 is the released test.
    """

    epochs: int = 20
    copies: int = 32
    batch_size: int = 16
    lr: float = 1e-4
    weight_decay: float = 1e-4
    enough: float = 0.2
    level: float = 0.95
    rounding: float = 1e-5

    def __post_init__(self) -> None:
        if self.copies < 2 or self.batch_size < 2 or self.batch_size % 2 or self.epochs < 0:
            raise ConfigError(
                "copies must be at least 2, batch_size even and at least 2, epochs at least 0, got "
                f"{self.copies}, {self.batch_size} and {self.epochs}",
                where="BrecProtocol",
            )


@dataclass(frozen=True)
class PairOutcome:
    """What came out for one pair.

    Args:
        pair: Its number.
        released: The statistic as the released code computes it, of the two graphs.
        reliability: The same, of two sets of copies of one graph.
        copies: q.
        threshold: Of the statistic.
        epochs: Trained.
        loss: At the end.
        seconds: All together.
    """

    pair: int
    released: float
    reliability: float
    copies: int
    threshold: float
    epochs: int
    loss: float
    seconds: float

    def distinguished(self, statistic: str = "released") -> bool:
        """Whether the graphs are told apart, and not just as much as copies of one graph are."""
        factor = STATISTICS[statistic](self.copies)
        same = abs(self.released - self.reliability) <= 1e-6 + 1e-5 * abs(self.reliability)
        return factor * self.released > self.threshold and not same

    def reliable(self, statistic: str = "released") -> bool:
        """Whether copies of one graph are not told apart."""
        return STATISTICS[statistic](self.copies) * self.reliability < self.threshold


STATISTICS: dict[str, Callable[[int], int]] = {"released": lambda copies: 1, "hotelling": lambda copies: copies}
"""Name -> factor of the mean's squared length (in units of the covariance), given the number of copies."""


def paired_statistic(differences: Tensor, statistic: str = "hotelling", ridge: float = 0.0) -> Tensor:
    r"""Hotelling's statistic of q differences of outputs, on any number of pairs at once.

    .. math:: T^2 = q \, \bar\Delta^\top S^+ \bar\Delta, \qquad \Delta_j = f(x_j) - f(y_j)

    with the covariance S of the differences. ``released`` leaves out the factor q, as the code of "An Empirical Study
    of Realized GNN Expressiveness" (Wang and Zhang, ICML 2024, arXiv 2304.07702) does, which with the same threshold
    asks for q times as much.

    Args:
        differences: [..., q, d] float.
        statistic: Of :data:`STATISTICS`.
        ridge: Added to the diagonal of S.

    Shapes:
        returns [...]

    Raises:
        ConfigError: unknown statistic.
        GraphError: fewer than two differences.

    Example:
        >>> round(float(paired_statistic(torch.tensor([[1.0], [2.0], [3.0]]))), 4)
        12.0
    """
    if statistic not in STATISTICS:
        raise ConfigError(
            f"unknown statistic '{statistic}'", where="paired_statistic", hint=nearest(statistic, STATISTICS)
        )
    copies = differences.size(-2)
    if copies < 2:
        raise GraphError(f"{copies} differences have no covariance", where="paired_statistic")
    mean = differences.mean(-2, keepdim=True)
    centred = differences - mean
    covariance = centred.mT @ centred / (copies - 1)
    covariance = covariance + ridge * torch.eye(mean.size(-1), dtype=mean.dtype, device=mean.device)
    squared = mean @ torch.linalg.pinv(covariance, hermitian=True) @ mean.mT
    return STATISTICS[statistic](copies) * squared[..., 0, 0]


def statistic_threshold(copies: int, channels: int, level: float = 0.95) -> float:
    r"""Above which q differences of d channels are not 0 on average, :math:`\frac{(q - 1) d}{q - d} F_{d, q - d}`.

    Raises:
        ConfigError: as many channels as copies.

    Example:
        >>> round(statistic_threshold(32, 16), 2)
        72.34
    """
    if copies <= channels:
        raise ConfigError(
            f"{copies} copies cannot test {channels} channels", where="statistic_threshold", hint="take more copies"
        )
    quantile = float(f_distribution.ppf(level, channels, copies - channels))
    return (copies - 1) * channels / (copies - channels) * quantile


def train_pairs(
    store: GraphStore, subject: Subject, pairs: Iterable[int], protocol: BrecProtocol | None = None, *, seed: int = 0
) -> Iterator[PairOutcome]:
    """Train a network of its own for every pair (graphs 2p and 2p + 1), one after the other.

    A network sees renumbered copies of both graphs and is to give them outputs of opposite direction (loss: cosine
    similarity where positive). It is then evaluated on the same copies, and on copies of the first graph alone. With
    batch normalisation and dropout in evaluation mode, what is left to vary is rounding, unless the network follows
    the numbering of the nodes.

    Outcomes are yielded as they are found, so a caller can stop at any time. The networks cannot be trained as one:
    their operations on edges have no rule for a stack of weights.

    Args:
        store: The pairs, with node features ``x``.
        subject: The network; its outputs are the d channels.
        pairs: Numbers of the pairs.
        protocol: Settings.
        seed: Of weights and copies, together with the number of a pair.

    Raises:
        ConfigError: as many output channels as copies.
    """
    protocol = protocol or BrecProtocol()
    for pair in pairs:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed * 2**20 + pair)
            yield _trained(store, subject, pair, protocol, seed)


def _trained(store: GraphStore, subject: Subject, pair: int, protocol: BrecProtocol, seed: int) -> PairOutcome:
    start = time.perf_counter()
    generator = torch.Generator().manual_seed(seed * 2**20 + pair)
    both = _batches(store, subject, [2 * pair, 2 * pair + 1], protocol, generator)
    alone = _batches(store, subject, [2 * pair, 2 * pair], protocol, generator)
    model = subject.build(store.column("x").size(1))
    optimiser = Adam(model.parameters(), lr=protocol.lr, weight_decay=protocol.weight_decay)
    schedule, epochs, loss = ReduceLROnPlateau(optimiser), 0, float("nan")
    for epochs in range(1, protocol.epochs + 1):  # noqa: B007
        loss = _epoch(model.train(), both, optimiser) / protocol.copies
        if loss < protocol.enough:
            break
        schedule.step(loss)
    model.eval()
    outputs = [_outputs(model, batches) for batches in (both, alone)]
    ridge = float((protocol.rounding * outputs[0]).square().mean())
    found, same = (float(paired_statistic(each[0::2] - each[1::2], "released", ridge)) for each in outputs)
    threshold = statistic_threshold(protocol.copies, outputs[0].size(1), protocol.level)
    return PairOutcome(pair, found, same, protocol.copies, threshold, epochs, loss, time.perf_counter() - start)


def _batches(
    store: GraphStore, subject: Subject, graphs: list[int], protocol: BrecProtocol, generator: torch.Generator
) -> list[Batch]:
    """Copies of two graphs in turn, some at a time."""
    unions = []
    for index in torch.tensor(graphs * protocol.copies).split(protocol.batch_size):
        union = subject.read(renumbered(store, index, generator))
        if union.get("adj") is None:
            union.adj = as_csr(union.edge_index, union.num_nodes)  # once, not in every epoch
        unions.append(union)
    return unions


def _epoch(model: torch.nn.Module, batches: list[Batch], optimiser: Optimizer) -> float:
    total = 0.0
    for batch in batches:
        optimiser.zero_grad()
        outputs = model(batch)
        apart = -outputs.new_ones(outputs.size(0) // 2)
        loss = F.cosine_embedding_loss(outputs[0::2], outputs[1::2], apart)
        loss.backward()
        optimiser.step()
        total += apart.numel() * float(loss.detach())
    return total


@torch.no_grad()
def _outputs(model: torch.nn.Module, batches: list[Batch]) -> Tensor:
    """[2 q, d], of the two graphs in turn."""
    return torch.cat([model(batch) for batch in batches])
