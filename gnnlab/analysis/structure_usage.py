"""What a model makes of the structure it is given: how its outputs change when paths or relations are taken away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.ops import CSR

__all__ = ["StructureUsage", "structure_usage", "without_structure"]

_NAME = re.compile(r"(path_\d+)|edge_type=(\d+)")


@dataclass(frozen=True)
class StructureUsage:
    r"""Changes of the outputs of a model without one structure after the other.

    Args:
        structures: Names, such as ``path_2`` or ``edge_type=1``.
        rows: [S] long, paths or edges of each.
        change: [S] float64, mean over the outputs of :math:`\lVert f - f_{-s} \rVert_2`.
        spread: Root mean square distance of the outputs from their mean: a change far below it hardly matters.
        outputs: Number of outputs (graphs, or nodes).
    """

    structures: tuple[str, ...]
    rows: Tensor
    change: Tensor
    spread: float
    outputs: int

    @property
    def share(self) -> Tensor:
        """[S], share of every structure in the sum of the changes; 0 where nothing changes anything."""
        total = self.change.sum()
        return self.change / total if total > 0 else torch.zeros_like(self.change)

    def table(self) -> list[dict[str, object]]:
        """A dictionary per structure, for a data frame."""
        columns = self.rows.tolist(), self.change.tolist(), self.share.tolist()
        return [
            {"structure": name, "rows": rows, "change": change, "share": share, "spread": self.spread}
            for name, rows, change, share in zip(self.structures, *columns, strict=True)
        ]

    def __str__(self) -> str:
        lines = [f"{'without':<14}{'rows':>12}{'change':>12}{'share':>10}"]
        lines += [
            f"{line['structure']:<14}{line['rows']:>12,}{line['change']:>12.4g}{100 * line['share']:>8.1f} %"
            for line in self.table()
        ]
        return "\n".join([*lines, f"spread of {self.outputs:,} outputs: {self.spread:.4g}"])


@torch.no_grad()
def structure_usage(
    model: nn.Module, loader: Iterable[Data], structures: Sequence[str] | None = None
) -> StructureUsage:
    r"""Take the paths of one length, or the edges of one relation, out of every batch and look at the outputs.

    The lengths that a :class:`gnnlab.nn.PathNN` uses, the hops of a :class:`gnnlab.nn.DRew`, or the snapshots of LASER
    that its :class:`gnnlab.nn.RelationalConv` listens to. A change is exact for what it says: it is the effect of a
    structure next to all the others. Two structures that stand in for each other both have small changes, and
    a layer that normalises by degrees also reacts to there being fewer neighbours. The model is in evaluation mode.

    Cost: 1 + S forward passes.

    Args:
        model: Called with a batch, returns outputs [G or N, C].
        loader: Batches, or a list of graphs.
        structures: ``path_<l>`` or ``edge_type=<k>``; by default all paths of the batches, or all relations if they
            have no paths.

    Raises:
        ConfigError: a structure of neither form.
        GraphError: no batch, nothing to take away, or a batch that does not have it.

    Example:
        >>> from gnnlab.lifting import Paths
        >>> from gnnlab.nn import PathNN
        >>> square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
        >>> graph = Paths(length=2)(Data(x=torch.randn(4, 8), edge_index=square))
        >>> usage = structure_usage(PathNN(2, hidden_channels=8, length=2, in_channels=8), [graph])
        >>> usage.structures, usage.rows.tolist()
        (('path_1', 'path_2'), [8, 8])
    """
    batches = list(loader)
    if not batches:
        raise GraphError("the loader has no batch", where="structure_usage")
    names = _found(batches) if structures is None else tuple(structures)
    if not names:
        raise GraphError(
            "the batches have neither paths nor relations",
            where="structure_usage",
            hint="add gnnlab.lifting.Paths or a rewiring that writes edge_type to data.transforms",
        )
    rows, outputs = torch.zeros(len(names), dtype=torch.long), []
    change = torch.zeros(len(names), dtype=torch.float64)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        for batch in batches:
            outputs.append(model(batch).double().flatten(1))
            for place, name in enumerate(names):
                ablated, removed = without_structure(batch, name)
                rows[place] += removed
                difference = model(ablated).double().flatten(1) - outputs[-1]
                change[place] += difference.norm(dim=1).sum().cpu()
    finally:
        for module, training in modes:
            module.training = training
    out = torch.cat(outputs)
    spread = float((out - out.mean(0)).square().sum(1).mean().sqrt()) if out.size(0) else 0.0
    return StructureUsage(names, rows, change / max(out.size(0), 1), spread, out.size(0))


def without_structure(batch: Data, name: str) -> tuple[Data, int]:
    """A copy of the batch without the paths of a length (``path_<l>``) or the edges of a relation (``edge_type=<k>``).

    Returns:
        The copy, which shares all other tensors, and how many paths or edges it has lost.

    Raises:
        ConfigError: a name of neither form.
        GraphError: a batch without such paths or without relations, or edges that its paths refer to.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2, 0, 2], [1, 0, 2, 1, 2, 0]])
        >>> graph = Data(edge_index=path, edge_type=torch.tensor([0, 0, 0, 0, 1, 1]), num_nodes=3)
        >>> less, removed = without_structure(graph, "edge_type=1")
        >>> less.edge_index.tolist(), removed
        ([[0, 1, 1, 2], [1, 0, 2, 1]], 2)
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ConfigError(f"unknown structure {name!r}", where="structure_usage", hint="path_<l> or edge_type=<k>")
    if batch.get("padding") is not None:
        raise GraphError("the batch is padded", where="structure_usage", hint="use a loader without padding")
    less = copy(batch)
    return less, _drop_paths(less, match[1]) if match[1] else _drop_relation(less, int(match[2]))


def _drop_paths(batch: Data, level: str) -> int:
    paths = batch.get(level)
    if paths is None:
        raise GraphError(f"the batch has no '{level}'", where="structure_usage")
    for key in [key for key in batch.keys() if key == level or key.startswith(f"{level}_")]:  # noqa: SIM118
        batch[key] = batch[key][:0]
    return paths.size(0)


def _drop_relation(batch: Data, relation: int) -> int:
    kind = batch.get("edge_type")
    if kind is None:
        raise GraphError("the batch has no 'edge_type'", where="structure_usage")
    keys = list(batch.keys())
    if any(re.fullmatch(r"path_\d+_edge", key) for key in keys):
        raise GraphError("paths of the batch refer to its edges", where="structure_usage", hint="Paths(edges=False)")
    kept = kind != relation
    for key in keys:
        if key.startswith("edge_") and torch.is_tensor(batch[key]):
            batch[key] = batch[key][:, kept] if key == "edge_index" else batch[key][kept]
    if batch.get("adj") is not None:
        batch.adj = CSR.from_edge_index(batch.edge_index, batch.num_nodes)
    return int((~kept).sum())


def _found(batches: Sequence[Data]) -> tuple[str, ...]:
    keys = {key for batch in batches for key in batch.keys() if re.fullmatch(r"path_\d+", key)}  # noqa: SIM118
    if keys:
        return tuple(sorted(keys, key=lambda key: int(key.removeprefix("path_"))))
    kinds = [batch.edge_type.unique().cpu() for batch in batches if batch.get("edge_type") is not None]
    return tuple(f"edge_type={kind}" for kind in torch.cat(kinds).unique().tolist()) if kinds else ()
