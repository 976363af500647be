"""Hypothesis strategies that draw graphs and unions of graphs, awkward ones included.

Needs hypothesis (``pip install "gnnlab[test]"``), which is imported on the first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch_geometric.data import Batch, Data

from gnnlab.errors import BackendError

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["graphs", "unions"]


def graphs(
    *, min_nodes: int = 0, max_nodes: int = 8, max_edges: int = 20, undirected: bool = False, simple: bool = False
) -> SearchStrategy[Data]:
    """Graphs with any edges: by default directed, with self-loops, duplicates and isolated nodes.

    Args:
        min_nodes: Fewest nodes.
        max_nodes: Most nodes.
        max_edges: Most edges drawn (each gives two directed ones if ``undirected``).
        undirected: Whether every edge comes in both directions.
        simple: Whether self-loops and duplicates are left out.

    Shapes:
        draws ``Data`` with ``num_nodes`` and ``edge_index`` [2, E].

    Example:
        >>> from hypothesis import given
        >>> @given(graphs(min_nodes=1))
        ... def degrees_sum_to_edges(data):
        ...     assert data.edge_index[1].bincount(minlength=data.num_nodes).sum() == data.num_edges
        >>> degrees_sum_to_edges()
    """
    st = _strategies()

    def edges(num_nodes: int) -> SearchStrategy[Data]:
        node = st.integers(0, max(num_nodes - 1, 0))
        pair = st.tuples(node, node)
        unique: dict[str, Any] = {}
        if simple:
            pair = pair.filter(lambda ends: ends[0] != ends[1])
            unique["unique_by"] = (lambda ends: frozenset(ends)) if undirected else (lambda ends: ends)
        drawable = num_nodes > (1 if simple else 0)
        drawn = st.lists(pair, max_size=max_edges if drawable else 0, **unique)
        return drawn.map(lambda pairs: _data(pairs, num_nodes, undirected))

    return st.integers(min_nodes, max_nodes).flatmap(edges)


def unions(*, max_graphs: int = 4, **options: Any) -> SearchStrategy[Batch]:
    """Disjoint unions of one to ``max_graphs`` graphs, with ``ptr`` and ``batch``.

    Args:
        max_graphs: Most graphs.
        **options: Passed to :func:`graphs`.

    Example:
        >>> from hypothesis import given
        >>> @given(unions(max_graphs=3))
        ... def at_most_three(batch):
        ...     assert batch.ptr.numel() <= 4
        >>> at_most_three()
    """
    st = _strategies()
    return st.lists(graphs(**options), min_size=1, max_size=max_graphs).map(Batch.from_data_list)


def _data(pairs: list[tuple[int, int]], num_nodes: int, undirected: bool) -> Data:
    edge_index = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).t().contiguous()
    if undirected:
        edge_index = torch.cat([edge_index, edge_index.flip(0)], dim=1)
    return Data(edge_index=edge_index, num_nodes=num_nodes)


def _strategies() -> Any:
    try:
        from hypothesis import strategies
    except ImportError as error:
        raise BackendError("hypothesis is not installed", hint='pip install "gnnlab[test]"') from error
    return strategies
