"""The attribute contract: the names every method reads and writes, and nothing else.

A graph, or a disjoint union of graphs, is a PyG ``Data``/``Batch`` with these attributes
(N nodes, E edges, G graphs, P pairs):

===================  ==================================  =====================================================
attribute            shape, dtype                        meaning
===================  ==================================  =====================================================
``x``                [N, F] float or [N, C] long         node features (long = categorical columns)
``edge_index``       [2, E] long                         source row 0, target row 1
``edge_attr``        [E, D] float or long                edge features
``edge_type``        [E] long                            relation (0 = original; rewiring writes 1, 2, ...)
``edge_order``       [E] long                            0 = original, then the order in which rewiring added edges
``edge_weight``      [E] float                           scalar weight
``node_type``        [N] long                            0 = original; rewiring that adds nodes writes 1
``y``                [G, T] or [N] / [N, T]              targets; NaN (float) or -1 (long) = unlabelled
``pos``              [N, 3] float                        coordinates
``pe_<name>``        [N, k] float                        node encoding (``edge_pe_<name>`` [E, k] for edges)
``pair_pe_<name>``   [P, k] float                        encoding of the pairs ``pair_index``
``path_<l>``         [P_l, l + 1] long                   paths of length l, root first; indexes nodes
``path_<l>_edge``    [P_l, l] long                       edge between the nodes of a path; indexes edges
``path_<l>_<name>``  [P_l, ...]                          anything else about these paths (``distance``: to the root)
``pair_index``       [2, P] long                         ordered node pairs (root, v)
``pair_mark``        [P] long                            mark of a node in the subgraph of its root
``tuple_index``      [l, S] long                         tuples or sets of l nodes that are labelled together
``tuple_weight``     [S] float                           how many tuples of its graph a sampled one stands for
``candidate_index``  [2, P] long                         node pairs u < v that a model may join by an edge
``batch``, ``ptr``   [N], [G + 1] long                   as in PyG
``train_mask``...    [N] bool                            node-level splits
``adj``              :class:`gnnlab.ops.CSR`             the edges, destination-sorted, both ways
``padding``          dict: length -> 0-d long            in padded batches: real rows of the level of that length
===================  ==================================  =====================================================

A *level* (node, edge, graph, pair, path_3, ...) is a family of rows with its own ``ptr`` per graph. An
index column says which level it indexes, so batching is: gather rows by level, add offsets.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

    from gnnlab.ops import CSR

__all__ = ["Adjacency", "Level", "PathLike", "Reduce", "TaskLevel"]

Adjacency: TypeAlias = "CSR | Tensor"
"""What a layer takes as its graph: a :class:`gnnlab.ops.CSR` or a plain ``edge_index`` [2, E]."""

Reduce: TypeAlias = Literal["sum", "mean", "max", "min"]
"""How messages or rows are reduced; an empty set reduces to 0."""

Level: TypeAlias = str
"""Name of a family of rows: ``node``, ``edge``, ``graph``, ``pair``, ``path_3``, ..."""

TaskLevel: TypeAlias = Literal["graph", "node", "link"]
"""What a prediction is made for."""

PathLike: TypeAlias = str | Path
