"""What subgraph networks there are: which rows, which marks, which aggregations, which pooling."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from gnnlab.errors import ConfigError, nearest
from gnnlab.nn.conv.subgraph_conv import Aggregation, check_aggregations, check_means

__all__ = ["RECIPES", "Recipe", "recipe_of"]


@dataclass(frozen=True)
class Recipe:
    """A subgraph network, but for its widths.

    The recipes of named networks have the layer of GNN-SSWL, where their papers have others, and its pooling: sums with
    a layer between the two steps. In what else they differ from the papers:

    * ``ngnn`` ("Nested Graph Neural Networks", Zhang, Li; NeurIPS 2021): nothing; the released code pools means of the
      states after all layers.
    * ``ds-gnn``, ``dss-gnn`` ("Equivariant Subgraph Aggregation Networks", Bevilacqua et al.; ICLR 2022): subgraphs are
      whole graphs with a marked root, as in later studies, not ego networks or graphs without a node or an edge.
    * ``id-gnn`` ("Identity-aware Graph Neural Networks", You et al.; AAAI 2021): weights of their own tell roots, where
      the released code adds such weights to those of all nodes; its ``hops`` are the number of layers.
    * ``osan-1`` ("Ordered Subgraph Aggregation Networks", Qian et al.; NeurIPS 2022): all subgraphs with one marked
      node, none drawn by a learned distribution. It is ``ds-gnn`` then.
    * ``gnn-ak``, ``gnn-ak+`` ("From Stars to Subgraphs", Zhao et al.; ICLR 2022): layers never start again from node
      states, as the paper's do after every one or few; they read the centroid, and the context in ``gnn-ak+``, but the
      sum of the subgraph in the pooling only, and no gates. ``gnn-ak`` has no marks, for distances belong to
      ``gnn-ak+``, so it is weaker than its class, which is ``pswl-vs``: where ``hops`` reaches all nodes, it is as weak
      as 1-WL.
    * ``sun`` ("Understanding and Extending Subgraph GNNs by Rethinking Their Symmetries", Frasca et al.; NeurIPS
      2022): the released code has no ``vG`` but in ``vGL``, pools means, and is mostly run on ego networks.
    * ``reign2`` (ReIGN(2), of the same paper): without its sums over transposed rows, over roots and over all pairs.

    Args:
        aggregations: Of every layer, see :class:`gnnlab.nn.SubgraphConv`; the pair's own state is always read.
        pool: ``VS`` pools the nodes of every subgraph, then subgraphs; ``SV`` every node over the subgraphs, then
            nodes; ``root`` keeps the root of every subgraph, then pools roots.
        policy: ``full``: subgraphs are whole graphs; ``ego``: ego networks (whole graphs are such of a large radius).
        marking: ``node``, ``distance``, or ``none`` that are read.
        hops: Radius of the ego networks that is suggested.
        diagonal: Whether roots have weights of their own.
        means: Aggregations over subgraphs or nodes that are means, not sums.

    Example:
        >>> Recipe(("uL", "vG"), pool="SV").pool
        'SV'
    """

    aggregations: tuple[Aggregation, ...] = ("uL", "vL", "vv")
    pool: Literal["VS", "SV", "root"] = "VS"
    policy: Literal["full", "ego"] = "full"
    marking: Literal["node", "distance", "none"] = "distance"
    hops: int = 3
    diagonal: bool = False
    means: tuple[Aggregation, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "aggregations", tuple(self.aggregations))
        object.__setattr__(self, "means", tuple(self.means))
        check_aggregations(self.aggregations, "Recipe")
        check_means(self.means, self.aggregations, "Recipe")
        for name, known in _KNOWN.items():
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(f"unknown {name} '{value}'", where="Recipe", hint=nearest(str(value), known))

    @property
    def lifting(self) -> str:
        """The transform that prepares graphs for it."""
        ego = f"policy='ego', hops={self.hops}, " if self.policy == "ego" else ""
        return f"gnnlab.lifting.NodePairs({ego}marking='{self.marking}')"


_KNOWN = {
    "pool": ("VS", "SV", "root"),
    "policy": ("full", "ego"),
    "marking": ("node", "distance", "none"),
}
_SWL, _PSWL = Recipe(("uL",)), Recipe(("uL", "vv"))
_SUN: tuple[Aggregation, ...] = ("uL", "uu", "vv", "uG", "vG", "vGL")

RECIPES: dict[str, Recipe] = {
    "swl-vs": _SWL,
    "swl-sv": replace(_SWL, pool="SV"),
    "pswl-vs": _PSWL,
    "pswl-sv": replace(_PSWL, pool="SV"),
    "gswl": Recipe(("uL", "vG")),
    "sswl": Recipe(("uL", "vL")),
    "sswl+": Recipe(("uL", "vL", "vv")),
    "ngnn": replace(_SWL, policy="ego"),
    "ds-gnn": replace(_SWL, marking="node"),
    "dss-gnn": Recipe(("uL", "vGL"), marking="node", means=("vGL",)),
    "id-gnn": replace(_SWL, policy="ego", marking="none", pool="root", diagonal=True),
    "gnn-ak": replace(_PSWL, policy="ego", marking="none"),
    "gnn-ak+": Recipe(("uL", "vv", "vG"), policy="ego"),
    "sun": Recipe(_SUN, marking="node", diagonal=True, means=("vG", "vGL")),
    "osan-1": replace(_SWL, marking="node"),
    "reign2": Recipe(("uL", "vL", "vu", "uu", "vv", "uG", "vG"), marking="node", diagonal=True),
}
"""By name; each stands for the class of networks its aggregations belong to, with the layer of GNN-SSWL."""


def recipe_of(recipe: str | Recipe) -> Recipe:
    """The recipe of a name."""
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise ConfigError(f"unknown recipe '{recipe}'", where="SubgraphGNN", hint=nearest(str(recipe), RECIPES))
    return RECIPES[recipe]
