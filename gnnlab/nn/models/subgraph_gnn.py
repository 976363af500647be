"""Subgraph networks on pairs of a root and a node, by recipe."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError
from gnnlab.nn._reset import reset
from gnnlab.nn._tuple_store import Tuples
from gnnlab.nn.conv.subgraph_conv import SubgraphConv, paper_mlp
from gnnlab.nn.models._batch import edges_of, encoded, graph_pointer
from gnnlab.nn.models._subgraph_pool import SubgraphPool
from gnnlab.nn.models._subgraph_recipes import Recipe, recipe_of
from gnnlab.nn.models._tuple_parts import RowStream, check_choices, paper_head
from gnnlab.nn.norm import BatchNorm
from gnnlab.ops import gather
from gnnlab.ops._debug import free_to_look
from gnnlab.typing import TaskLevel

__all__ = ["SubgraphGNN"]


class SubgraphGNN(nn.Module):
    r"""Node-based subgraph network ("A Complete Expressiveness Hierarchy for Subgraph GNNs via Subgraph
    Weisfeiler-Lehman Tests", Zhang, Feng, Du, He, Wang; ICML 2023, arXiv 2302.07090).

    Every node u is the root of a subgraph, in which every node v has a state

    .. math::
        h^{(0)}(u, v) = \mathrm{encoder}(v) + \mathrm{Embedding}(\mathrm{mark}(u, v))

    that layers :class:`gnnlab.nn.SubgraphConv` update. Pooling has two steps (``VS``: the nodes of a subgraph, a layer,
    the subgraphs of a graph). Recipes say which rows, marks, aggregations and pooling make which network:

    * the classes of the hierarchy, from weak to strong: ``swl-vs``, ``swl-sv`` and ``pswl-vs``, ``pswl-sv``, ``gswl``,
      ``sswl`` (GNN-SSWL) and ``sswl+`` (GNN-SSWL+);
    * members of them, with the layer of GNN-SSWL: ``ngnn``, ``ds-gnn``, ``osan-1``, ``id-gnn`` (SWL(VS)), ``gnn-ak``
      (below PSWL(VS): it has no marks), ``dss-gnn``, ``gnn-ak+``, ``sun`` (GSWL), ``reign2`` (SSWL);
      :class:`gnnlab.nn.Recipe` says where they differ from their papers.

    The transform :class:`gnnlab.lifting.NodePairs` writes the pairs. Memory and time follow their number P: a layer of
    A aggregations keeps about (2 A + 2) P d numbers for the gradient.

    Args:
        out_channels: Width of the prediction.
        hidden_channels: Width d of the pair states.
        num_layers: Number of layers, without the one of the pooling.
        recipe: Name, or a :class:`gnnlab.nn.Recipe`.
        max_distance: Largest distance with a mark of its own, as in ``NodePairs`` (marking ``distance``).
        unreachable: Whether there is a mark for nodes out of reach; the released code has none.
        update: Factory (in_channels, out_channels) of the MLP of every aggregation; ``None`` for the paper's, Linear,
            BatchNorm, ReLU, Linear.
        edge_encoder: Factory (channels) of the edge features of every local aggregation of every layer, from raw ones;
            ``None`` adds those of the encoder everywhere.
        conv: Factory (in_channels, out_channels) of a convolution for the local aggregations; ``None`` for the paper's.
        norm: Factory (channels) of the normalisation after every layer; ``None`` for none.
        activation: Factory of the activation after every layer.
        residual: Whether every layer adds its input, where the widths agree.
        dropout: Probability of dropping a channel after every layer.
        readout: ``roots`` pools what it has pooled; ``pairs``, as in the released code, brings it back to the pairs,
            where the layer of the pooling normalises (large graphs count quadratically), and pools all of them.
        pool: ``sum``, which the theory needs, or ``mean``, as in the released code.
        encoder: Factory (channels) of a module that maps the batch to (node states, edge features), such as
            :class:`gnnlab.nn.FeatureEncoder`; ``None`` takes ``x`` and ``edge_attr``.
        in_channels: Width of ``x``; read only without an encoder.
        head: Factory (in_channels, out_channels) of the last network; ``None`` for the paper's, Linear, ReLU, Linear
            with 2 d hidden channels. ``torch.nn.Identity`` returns the pooled states, for tests of power.
        level: What a prediction is made for: ``graph``, ``node`` (a root, or with ``SV`` a node), or ``link``.

    Shapes:
        * **batch:** a PyG ``Data`` or ``Batch`` with the attributes of :mod:`gnnlab.typing`, ``pair_index`` and
          ``pair_mark`` among them
        * **output:** [G, out_channels] for ``level`` graph, else [N, out_channels]

    Raises:
        ConfigError: settings that are unknown or do not fit each other.
        GraphError: a batch without the pairs or marks that the recipe reads.

    Example:
        >>> from gnnlab.lifting import NodePairs
        >>> square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
        >>> graph = NodePairs(marking="distance")(Data(x=torch.randn(4, 8), edge_index=square))
        >>> SubgraphGNN(2, hidden_channels=8, num_layers=2, recipe="sswl+", in_channels=8)(graph).shape
        torch.Size([1, 2])
    """

    state_level = "pair"

    def __init__(
        self,
        out_channels: int,
        hidden_channels: int = 96,
        num_layers: int = 6,
        recipe: str | Recipe = "sswl+",
        max_distance: int = 5,
        unreachable: bool = True,
        update: Callable[[int, int], nn.Module] | None = None,
        edge_encoder: Callable[[int], nn.Module] | None = None,
        conv: Callable[[int, int], nn.Module] | None = None,
        norm: Callable[[int], nn.Module] | None = BatchNorm,
        activation: Callable[[], nn.Module] = nn.ReLU,
        residual: bool = False,
        dropout: float = 0.0,
        readout: Literal["roots", "pairs"] = "roots",
        pool: Literal["sum", "mean"] = "sum",
        encoder: Callable[[int], nn.Module] | None = None,
        in_channels: int | None = None,
        head: Callable[[int, int], nn.Module] | None = None,
        level: TaskLevel = "graph",
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ConfigError(f"num_layers must be at least 1, got {num_layers}", where="SubgraphGNN")
        first = hidden_channels if encoder is not None else in_channels
        if first is None:
            raise ConfigError("neither an encoder nor in_channels, so the width of x is unknown", where="SubgraphGNN")
        check_choices("SubgraphGNN", readout=(readout, ("roots", "pairs")), pool=(pool, ("sum", "mean")))
        self.recipe = recipe = recipe_of(recipe)
        update = update or paper_mlp
        self.max_distance = max_distance
        self.encoder = None if encoder is None else encoder(hidden_channels)
        if hasattr(self.encoder, "edge_tables"):
            self.encoder.edge_tables = True
        marks = {"node": 2, "distance": max_distance + 1 + unreachable, "none": 0}[recipe.marking]
        self.mark = nn.Embedding(marks, first) if marks else None
        layer = partial(
            SubgraphConv,
            aggregations=recipe.aggregations,
            update=update,
            edge_encoder=edge_encoder,
            conv=conv,
            means=recipe.means,
            diagonal=recipe.diagonal,
            norm=norm,
            activation=activation,
        )
        self.inside = RowStream([first] + [hidden_channels] * num_layers, layer, residual, dropout)
        self.readout = SubgraphPool(
            hidden_channels, recipe.pool, update, norm, activation, readout == "pairs", pool, level == "graph"
        )
        self.head = (head or paper_head)(hidden_channels, out_channels)

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)

    @property
    def num_parameters(self) -> int:
        """Number of learned values, encoders included."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, batch: Data) -> Tensor:
        states, rows = self._run(batch)
        return self.head(self.readout(states[-1], rows))

    def states(self, batch: Data) -> list[Tensor]:
        """Pair states [P, hidden_channels] before the first layer and after every layer, for analysis."""
        return self._run(batch)[0]

    def _run(self, batch: Data) -> tuple[list[Tensor], Tuples]:
        x, edge_attr = encoded(self.encoder, batch)
        rows = self._rows(batch, graph_pointer(batch, x))
        edges = edges_of(batch, edge_attr, x.size(0))
        return self.inside(self._initial(batch, x, rows), rows, edges), rows

    def _rows(self, batch: Data, ptr: Tensor) -> Tuples:
        pairs = batch.get("pair_index")
        if pairs is None:
            raise GraphError(
                "SubgraphGNN reads 'pair_index', which the batch does not have",
                hint=f"add {self.recipe.lifting} to data.transforms",
            )
        rows = Tuples.of(pairs[0], pairs[1], int(ptr[-1]), ptr)
        if self.recipe.policy == "full" and not rows.full:
            raise GraphError(
                "the recipe takes whole graphs as subgraphs, but the batch does not have all pairs",
                where="SubgraphGNN",
                hint=f"lift by {self.recipe.lifting}, or give a Recipe with policy='ego'",
            )
        return rows

    def _initial(self, batch: Data, x: Tensor, rows: Tuples) -> Tensor:
        h = gather(x, rows.node)
        if self.mark is None:
            return h
        mark, known = batch.get("pair_mark"), self.mark.num_embeddings
        if mark is None:
            raise GraphError(
                "SubgraphGNN reads 'pair_mark', which the batch does not have",
                hint=f"add {self.recipe.lifting} to data.transforms",
            )
        if mark.numel() and free_to_look(mark) and int(mark.max()) >= known:
            raise GraphError(
                f"pair_mark holds {int(mark.max())}, but the recipe knows {known} marks (0 to {known - 1})",
                where="SubgraphGNN",
                hint=f"lift by {self.recipe.lifting} with max_distance={self.max_distance}, and unreachable=True where "
                "graphs are disconnected",
            )
        return h + gather(self.mark.weight, mark)
