"""What can be tried on a dataset, as commands; as names of gnnlab where there is no experiment on it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Remedies"]

_PLAIN = ("gcn", "gine", "gin", "sage", "gat", "gcn-none", "gin-none", "none")
"""Last parts of the names of experiments that train a plain stack of layers, the simplest first."""

_ENCODED = ("gine", "gin", "gcn", "gps")
"""Networks of experiments that compare encodings, the simplest first."""

_SUBGRAPHS = ("sswl-plus", "sswl-plus-ego", "ngnn")

_BATCH = 128
"""Graphs of a usual batch."""

_MANY_PAIRS = 2**24
"""Node pairs of a batch up to which a layer on all of them takes seconds, not minutes."""

_LARGE = 5000
"""Nodes above which GTR works on sketches: the limit of its dense form."""


@dataclass(frozen=True)
class Remedies:
    """Experiments that would show whether a remedy helps: commands or names, each between backticks.

    Args:
        experiments: Names of the experiments on this dataset (:func:`gnnlab.benchmark.experiment.experiment_names`).
        largest: Nodes of the largest graph.
        graphs: How many there are.
        directed: Whether edges go one way.
        budget: Edges a rewiring adds to a graph.

    Example:
        >>> Remedies(("nodes/cora/gcn", "nodes/cora/gat")).deeper(16)
        '`gnnlab fit -c nodes/cora/gcn --model.model.init_args.num_layers=16 --model.model.init_args.residual=true`'
        >>> Remedies().deeper(16)
        '`gnnlab.nn.GNN(num_layers=16, residual=True)`'
    """

    experiments: tuple[str, ...] = ()
    largest: int = 0
    graphs: int = 1
    directed: bool = False
    budget: int = 10

    @property
    def base(self) -> str | None:
        """The experiment with the simplest network."""
        named = [(_PLAIN.index(name), each) for each in self.experiments if (name := _last(each)) in _PLAIN]
        return min(named)[1] if named else None

    @property
    def pairs(self) -> int:
        """Node pairs of a batch of the largest graphs."""
        return min(self.graphs, _BATCH) * self.largest**2

    def baseline(self) -> str:
        """A plain network as it is."""
        return f"`gnnlab reproduce {self.base}`" if self.base else "`gnnlab.nn.GNN`"

    def deeper(self, layers: int) -> str:
        """The same network with so many layers, and a way around every layer, without which deep ones hardly train."""
        name = f"gnnlab.nn.GNN(num_layers={layers}, residual=True)"
        return self._fit(f"--model.model.init_args.num_layers={layers} --model.model.init_args.residual=true", name)

    def blind(self) -> str:
        """The same network without any edges: every layer looks for a relation that none of them has."""
        return self._fit("--model.model.init_args.relations=[[1]]", "gnnlab.nn.GNN(relations=[[1]])")

    def short_cut(self) -> str:
        """Something that lets every node hear of every other: a last layer on all pairs, or a node that all talk to."""
        ready = next((each for each in self.experiments if _last(each).endswith(("-virtual-node", "-virtual"))), None)
        if ready is not None:
            return f"`gnnlab reproduce {ready}`"
        if self.pairs <= _MANY_PAIRS:
            return self._fit(
                "--model.model.init_args.fully_adjacent_last=true", "gnnlab.nn.GNN(fully_adjacent_last=True)"
            )
        return self._fit(
            "--model.model.init_args.virtual_node=gnnlab.nn.VirtualNode",
            "gnnlab.nn.GNN(virtual_node=gnnlab.nn.VirtualNode)",
        )

    def rewired(self) -> str:
        """A rewiring beside its control."""
        suite = self._suite("rewiring")
        if suite is not None:
            return f"`gnnlab reproduce {suite}`"
        both = " --data.transforms.symmetrise=true" if self.directed else ""
        also = ", symmetrise=True" if self.directed else ""
        sketch = " --data.transforms.method=sketch" if self.largest > _LARGE else ""
        budget = f" --data.transforms.num_edges={self.budget}{both}"
        control = self._fit(
            f"--data.transforms+=gnnlab.rewiring.RandomEdges{budget}",
            f"gnnlab.rewiring.RandomEdges(num_edges={self.budget}{also})",
        )
        remedy = self._fit(
            f"--data.transforms+=gnnlab.rewiring.GTR{budget}{sketch}",
            f"gnnlab.rewiring.GTR(num_edges={self.budget}{also})",
        )
        return f"{remedy} {control}"

    def encoded(self) -> str:
        """Random-walk features beside none."""
        for network in _ENCODED:
            with_it, without = (self._ends(f"encodings/{{}}/{network}-{name}") for name in ("rwse", "none"))
            if with_it and without:
                return f"`gnnlab reproduce {without}` `gnnlab reproduce {with_it}`"
        if self._ends("encodings/{}/rwse"):
            return f"`gnnlab reproduce {self._suite('encodings')}`"
        return "`gnnlab.encodings.RandomWalkPE`, read by `gnnlab.nn.LinearPEEncoder`"

    def subgraphs(self) -> str:
        """A network that sees marked copies of the graph."""
        found = [each for name in _SUBGRAPHS if (each := self._ends(f"subgraph/{{}}/{name}"))]
        return f"`gnnlab reproduce {found[0]}`" if found else "`gnnlab.nn.SubgraphGNN` on `gnnlab.lifting.NodePairs`"

    def _fit(self, settings: str, name: str) -> str:
        return f"`gnnlab fit -c {self.base} {settings}`" if self.base else f"`{name}`"

    def _suite(self, room: str) -> str | None:
        return next((each.rpartition("/")[0] for each in self.experiments if each.startswith(f"{room}/")), None)

    def _ends(self, template: str) -> str | None:
        before, after = template.split("{}")
        return next((e for e in self.experiments if e.startswith(before) and e.endswith(after)), None)


def _last(experiment: str) -> str:
    return experiment.rpartition("/")[2]
