"""The diagonal of the heat kernel as a node encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch_geometric.data import Data

from gnnlab.encodings._laplacian_function import LaplacianFunctionPE
from gnnlab.errors import ConfigError, nearest

__all__ = ["HeatKernelPE"]


@dataclass(frozen=True, repr=False)
class HeatKernelPE(LaplacianFunctionPE):
    r"""Heat kernel: how much of the heat of a node is left there after some time.

    The heat kernel diagonal of "Recipe for a General, Powerful, Scalable Graph Transformer" (Rampášek et al., NeurIPS
    2022, arXiv 2205.12454), known on surfaces as the heat kernel signature (Sun, Ovsjanikov and Guibas, SGP 2009):

    .. math::
        p_v = \big[t^{d/2} \, (e^{-t L})_{vv}\big]_{t = t_1, \dots, t_k}

    and, where ``pairs`` (u, v) are chosen, the entries :math:`(e^{-tL})_{vu}` (as in :class:`gnnlab.encodings.RRWP`;
    which end comes first matters to ``"rw"`` alone). At t = 0 :math:`p_v` is 1, and over the nodes it sums to
    :math:`\sum_i e^{-t \lambda_i}`. The Laplacian is that of the symmetric graph without self-loops, with the
    weights in ``edge_weight`` if there are any; an isolated node keeps all its heat, 1 at any time. The code
    published with the paper leaves the zero eigenvalues out (``include_trivial=False``), which lowers every
    value by one over the nodes of the component.

    Cost: 10 n^3 multiply-adds and 24 n^2 bytes for a component of n nodes, those of a size in one stack. Components
    above ``dense_limit`` nodes are refused, unless ``probes`` q are given: q times about
    :math:`3 \sqrt{t \lambda_{max}}` sparse products, E + N k each, estimate the diagonal with a relative standard
    error of at most :math:`\sqrt{2/q}`; see :func:`gnnlab.graph.laplacian_kernel`. These estimates depend on the
    numbers of the nodes, not on the batch.

    Args:
        times: t, not negative, at least one.
        normalization: ``None`` for :math:`D - A`, ``"sym"`` or ``"rw"`` for :math:`D^{-1/2} (D - A) D^{-1/2}` and
            :math:`D^{-1} (D - A)`, which have the same diagonal.
        space_dim: d, dimension of a space in which the scaled kernel would not depend on time.
        include_trivial: Whether the zero eigenvalues count.
        name: Of the attributes.
        probes: Random sign vectors for components above ``dense_limit``.
        seed: Of the signs.
        dense_limit: Largest component that is decomposed.
        pairs: None by default; see :class:`gnnlab.encodings._pairs.PairEncoding`, as ``hops``, ``max_gigabytes``.

    Shapes:
        writes ``pe_<name>`` [N, k] float32, and the same width for pairs.

    Raises:
        ConfigError: a negative time, none, or an unknown normalisation.
        BudgetError: a component above ``dense_limit`` and no ``probes``.

    Example:
        >>> hexagon = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
        >>> data = Data(edge_index=torch.cat([hexagon, hexagon.flip(0)], 1), num_nodes=6)
        >>> [round(value, 6) for value in HeatKernelPE(times=(0, 1))(data).pe_hk[0].tolist()]
        [1.0, 0.308941]
    """

    times: tuple[float, ...] = tuple(range(1, 21))
    normalization: str | None = None
    space_dim: float = 0.0
    include_trivial: bool = True
    name: str = "hk"

    version: ClassVar[int] = 2  # 2: pairs of "rw" by their second node, as all other encodings

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "times", tuple(float(t) for t in self.times))
        if not self.times or min(self.times) < 0:
            raise ConfigError(
                f"times must be some numbers, none of them negative, got {self.times}", where="HeatKernelPE"
            )
        if self.normalization not in (None, "sym", "rw"):
            raise ConfigError(
                f"unknown normalization {self.normalization!r}",
                where="HeatKernelPE",
                hint=nearest(str(self.normalization), ["None", "sym", "rw"]),
            )

    @property
    def pair_channels(self) -> int:
        return len(self.times)

    def forward(self, data: Data) -> Data:
        times = torch.tensor(self.times, dtype=torch.float64, device=data.edge_index.device)
        self.write(
            data,
            self.name,
            lambda eigenvalues: torch.exp(-eigenvalues[..., None] * times),
            times.pow(self.space_dim / 2),
            normalization=self.normalization,
            trivial=self.include_trivial,
        )
        return data
