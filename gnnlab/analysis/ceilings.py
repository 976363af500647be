"""How far a dataset can be learned by all models that a refinement of colours, or an encoding, bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.analysis.ceilings_colours import encoded_classes, hashed_classes, refined_classes, union_of
from gnnlab.analysis.ceilings_scores import Targets, best_scores, read_targets
from gnnlab.analysis.evidence import Evidence
from gnnlab.analysis.methods import Refined
from gnnlab.data import GraphStore
from gnnlab.errors import ConfigError
from gnnlab.graph.graph_classes import refinement_of
from gnnlab.transform import Transform

__all__ = ["Ceiling", "CeilingReport", "ceilings"]


@dataclass(frozen=True)
class Ceiling:
    """What the models can reach that see a graph for so many rounds.

    Args:
        iterations: Rounds of refinement (layers); ``None``: until no class splits any more.
        classes: Classes of examples that are not told apart.
        identifiable: Examples alone in their class.
        identifiability: Their share; nan without examples.
        accuracy: Share of labels that are the most frequent one of their class: no such model gets more right. Over
            labelled examples, averaged over the columns of a multilabel task; ``None`` for regression.
        mae: Least mean absolute error, that of the medians of the classes; ``None`` for classification.
        rmse: Least root mean square error, that of the means; averaged over targets as in ``gnnlab.metrics``.
        seen: Share of the test graphs whose class also occurs in training; ``None`` without such splits.
    """

    iterations: int | None
    classes: int
    identifiable: int
    identifiability: float
    accuracy: float | None = None
    mae: float | None = None
    rmse: float | None = None
    seen: float | None = None


@dataclass(frozen=True)
class CeilingReport:
    """Ceilings of one dataset by the number of rounds.

    Args:
        name: Of the dataset.
        method: That told examples apart.
        level: ``graph`` or ``node``: what an example is.
        examples: How many there are, labelled or not.
        ceilings: One per number of rounds, in the order asked for.
        constant: What one answer for all examples reaches: ceilings are to be read against it.
        joined: Widest difference of encodings taken for rounding, as a multiple of the tolerance: far below 1 if it is.
        cut: Narrowest difference taken for one, likewise: should be far above 1.
    """

    name: str
    method: str
    level: str
    examples: int
    ceilings: tuple[Ceiling, ...]
    constant: Ceiling
    joined: float = 0.0
    cut: float = torch.inf

    def rows(self) -> list[dict[str, object]]:
        """A dictionary per number of rounds, for a data frame."""
        return [{"dataset": self.name, "method": self.method, **asdict(row)} for row in self.ceilings]

    def __str__(self) -> str:
        scores = [name for name in ("accuracy", "mae", "rmse", "seen") if getattr(self.ceilings[0], name) is not None]
        lines = [f"{'rounds':>8}{'classes':>10}{'identifiable':>14}" + "".join(f"{name:>10}" for name in scores)]
        for label, row in [("constant", self.constant), *((_label(row.iterations), row) for row in self.ceilings)]:
            cells = "".join(f"{_printed(getattr(row, name)):>10}" for name in scores)
            lines.append(f"{label:>8}{row.classes:>10}{100 * row.identifiability:>12.2f} %{cells}")
        return "\n".join(lines)


@torch.no_grad()
def ceilings(
    store: GraphStore,
    method: str | Transform | Callable[[Data], Evidence] = "wl",
    iterations: Sequence[int | None] = (0, 1, 2, 3, None),
    *,
    node_features: bool = True,
    edge_features: bool = True,
    hashed: bool = False,
    tolerance: float | None = None,
    max_rows: int = 2**25,
    track: Callable[[Sequence[Tensor]], Iterable[Tensor]] = iter,
) -> CeilingReport:
    r"""Identifiability of a dataset, and the best scores of all models that tell apart no more than a method.

    Zopf, "1-WL Expressiveness Is (Almost) All You Need" (IJCNN 2022). Examples (graphs, or nodes
    where targets are of nodes) fall into classes C that the method cannot tell apart, so a model it bounds gives one
    answer per class:

    .. math:: \text{accuracy} \le \frac{1}{N} \sum_C \max_y |\{i \in C : y_i = y\}|, \qquad
              \text{MAE} \ge \frac{1}{N} \sum_C \sum_{i \in C} |y_i - \mathrm{median}_C|

    A graph is what the multiset of its colours is; after 0 rounds, of its features alone. A ceiling says what can be
    fitted, not what is learned from a training part: the accuracy of a model on held-out graphs is far below it. It
    is the ceiling of these graphs: on more of them it is lower.

    ``"wl"`` is exact (multisets are compared by sorting), as are the colours refined from an encoding, whose values are
    told apart as :func:`gnnlab.analysis.separation` does; the other names hash as :func:`gnnlab.graph.graph_classes`.

    Cost: for ``"wl"`` and encodings of nodes and edges a round takes :math:`O(E \log E)` time and about 50 bytes per
    edge, all graphs together; ``hashed`` keeps no more than 8 bytes per node and round for all of them and refines
    a chunk of graphs after the other. Other names cost what the refinement does, :math:`O(n^k)` per graph, and refuse
    graphs of more than ``max_rows`` colours; encodings of pairs refuse more than 2^24 pairs.

    Args:
        store: The graphs, with a column ``y`` of graphs or nodes; what a label is follows from ``store.task``.
        method: A name of :func:`gnnlab.graph.graph_classes` (``"wl"`` only for nodes), a transform that writes an
            encoding, or a function of a union that returns :class:`Evidence` (see :data:`INVARIANTS`) of that union's
            graphs alone. Colour refinement starts from an encoding: networks that pass messages and read it.
        iterations: Numbers of rounds, ``None`` for as many as split anything.
        node_features: Whether ``x`` is read.
        edge_features: Whether ``edge_attr`` is read.
        hashed: 64-bit words for ``"wl"`` in place of exact colours; without edge features and ``None`` rounds.
        tolerance: Of encodings; see :func:`gnnlab.analysis.separation`.
        max_rows: Most colours of one graph, for names other than ``"wl"``.
        track: Wraps the chunks of work, for a progress bar.

    Raises:
        ConfigError: unknown method, negative or no iterations, links to be predicted, an encoding that follows the
            numbering of nodes or draws at random, ``hashed`` with what it cannot do.
        DataError: no labels.
        GraphError: features or encodings that are not numbers.
        BudgetError: more work than allowed.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> ring = torch.tensor([[0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]])
        >>> graphs = [Data(edge_index=e, num_nodes=3, y=torch.tensor([i])) for i, e in enumerate((path, ring))]
        >>> print(ceilings(GraphStore.from_data_list(graphs), iterations=(0, 1)))
          rounds   classes  identifiable  accuracy
        constant         1        0.00 %       0.5
               0         1        0.00 %       0.5
               1         2      100.00 %         1
    """
    method = method.name if isinstance(method, Refined) else method
    rounds = _checked(iterations)
    if isinstance(method, str):
        refinement_of(method)
    if hashed and method != "wl":
        raise ConfigError("only 'wl' has a hashed form", where="ceilings", hint="hashed=False")
    targets = read_targets(store)
    union = union_of(store, node_features, edge_features)
    joined, cut = 0.0, torch.inf
    if hashed:
        found = hashed_classes(union, targets.level, rounds, track)
    elif isinstance(method, str):
        found = refined_classes(union, targets.level, rounds, method, max_rows)
    else:
        found, joined, cut = encoded_classes(store, union, targets.level, rounds, method, tolerance, track)
    return CeilingReport(
        store.name,
        method if isinstance(method, str) else _title(method),
        targets.level,
        targets.values.size(0),
        tuple(_ceiling(count, found[count], targets, store) for count in rounds),
        _ceiling(0, torch.zeros_like(found[rounds[0]]), targets, store),
        joined,
        cut,
    )


def _checked(iterations: Sequence[int | None]) -> tuple[int | None, ...]:
    rounds = tuple(iterations)
    if not rounds or any(count is not None and count < 0 for count in rounds):
        raise ConfigError(f"iterations must be numbers from 0, or None, got {list(rounds)}", where="ceilings")
    return rounds


def _ceiling(count: int | None, classes: Tensor, targets: Targets, store: GraphStore) -> Ceiling:
    sizes = torch.bincount(classes)
    alone, examples = int((sizes == 1).sum()), classes.numel()
    scores = best_scores(classes, targets)
    share = alone / examples if examples else torch.nan
    return Ceiling(count, int((sizes > 0).sum()), alone, share, **scores, seen=_seen(classes, targets, store))


def _seen(classes: Tensor, targets: Targets, store: GraphStore) -> float | None:
    train, test = (store.splits.get(name) for name in ("train", "test"))
    if targets.level != "graph" or train is None or test is None or test.numel() == 0:
        return None
    train, test = train.to(classes.device), test.to(classes.device)
    return float(torch.isin(classes[test], classes[train]).double().mean())


def _title(method: Transform | Callable[[Data], Evidence]) -> str:
    return type(method).__name__ if isinstance(method, Transform) else getattr(method, "__name__", repr(method))


def _label(iterations: int | None) -> str:
    return "stable" if iterations is None else str(iterations)


def _printed(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
