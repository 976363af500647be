"""Learned rewiring: a network that chooses edges, and one that passes messages along them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError, GraphError, nearest
from gnnlab.nn._message_passing import Edges
from gnnlab.nn._reset import reset
from gnnlab.nn.conv import GINEConv
from gnnlab.nn.encoders import FeatureEncoder, LinearEncoder
from gnnlab.nn.heads import MLPHead
from gnnlab.nn.models._batch import edges_of, graph_pointer
from gnnlab.nn.models._edge_choice import EdgeChoice, EvalSampling, Sampler, Sampling, TrainEdges
from gnnlab.nn.models._rewired import copies_of, reads_of, undirected_pairs
from gnnlab.nn.models.gnn import GNN
from gnnlab.nn.norm import BatchNorm
from gnnlab.ops import CSR
from gnnlab.typing import Reduce, TaskLevel

__all__ = ["PRMPNN"]


class PRMPNN(nn.Module):
    r"""Probabilistically rewired message passing (Qian, Manolache, Ahmed, Zeng, Van den Broeck, Niepert, Morris;
    ICLR 2024, arXiv 2310.02156).

    An upstream network gives every candidate pair one logit per prior, :math:`\theta_{uv}`, and exactly
    ``num_added`` pairs join the graph, drawn from :math:`p_{\theta,k}(z) \propto e^{\theta^\top z} [\sum z = k]`.
    Likewise ``num_removed`` of the undirected edges are drawn with negated logits, and go. A downstream network
    runs on every sampled graph, and its embeddings are averaged over the samples of a prior:

    .. math::
        \theta_{uv} = \tfrac12 (f([h_u \,\|\, h_v]) + f([h_v \,\|\, h_u])), \qquad
        \hat y = \mathrm{head}\big(\mathrm{combine}_{e} \tfrac1S \textstyle\sum_s \mathrm{GNN}(G_{e,s})\big)

    Edges are weights 0 or 1 of one structure, so samples and priors are one disjoint union, and the downstream
    convolution must add messages up, multiplied by ``edge_weight`` (as GCN, GIN and GINE; a mean or maximum over
    neighbours counts edges of weight 0, and is refused).

    Training draws from torch's random numbers, like dropout. **Evaluation is deterministic**: ``mode`` takes the
    most likely edges (of equal logits the first candidate), the same for every numbering of the nodes unless
    logits tie; ``sample`` draws ``num_eval_samples`` times from numbers hashed from graph and ``seed``, as the
    experiments of the paper sample, and depends on the numbering. A model trained on the mean of several samples
    should be evaluated on several. Shapes depend on the data, so a training step cannot be captured.

    Args:
        out_channels: Width of the prediction.
        hidden_channels: Width of all node states.
        num_layers: Layers of the downstream network.
        conv: Factory (in_channels, out_channels) of its convolution.
        encoder: Factory (channels) of an encoder, as in :class:`gnnlab.nn.GNN`.
        in_channels: Width of ``x``; read only without an encoder.
        scorer: Factory (out_channels) of the upstream network, a node-level model such as ``GNN``; by default four
            layers of GINE with BatchNorm behind an encoder of their own.
        score: Factory (in_channels, out_channels) of f; an MLP of two layers by default.
        num_added: Edges added per graph and prior, from ``candidate_index``; all where there are fewer.
        num_removed: Edges removed per graph and prior; all where there are fewer.
        num_priors: Priors (the ensemble).
        num_samples: Graphs per prior in training.
        num_eval_samples: Graphs per prior in evaluation, with ``eval_sampling`` sample.
        sampler: ``exact``, or ``gumbel`` as in the released code: another law than :math:`p_{\theta,k}`, whose
            marginals still give the gradient.
        train_edges: ``straight_through``: sampled edges, with the gradient of the marginals (SIMPLE).
            ``marginal``, as in the released code: in training no edge is sampled but all candidates are weighted by
            their marginals, and in evaluation sampled ones are; removals are sampled in both.
        eval_sampling: ``mode`` or ``sample``.
        separate: Additions and removals on two graphs instead of one.
        include_original: Whether the embedding of the graph as it is takes part.
        combine: ``mean`` or ``cat`` of the embeddings of priors (and of graphs, if several).
        divergence_weight: Weight of the divergence between priors in :meth:`auxiliary_loss`.
        norm: Factory (channels) of the normalisation of the downstream layers; ``None`` for none.
        activation: Factory of their activation.
        residual: Whether they add their input.
        dropout: Probability of dropping a channel after each.
        pool: How the nodes of a graph are pooled.
        head: Factory (in_channels, out_channels) of the last network.
        level: What a prediction is made for: ``graph``, ``node``, or ``link`` (node embeddings).
        relation: ``edge_type`` of added edges, for convolutions that read it; those that read ``edge_attr`` see
            a learned vector, the same for all added edges.
        seed: Of the samples in evaluation.

    Shapes:
        * **batch:** a PyG ``Data`` or ``Batch`` with ``candidate_index`` [2, P] (if ``num_added``), written by
          :class:`gnnlab.lifting.CandidatePairs`
        * **output:** [G, out_channels] for ``level`` graph, else [N, out_channels]

    Raises:
        ConfigError: settings that do not fit each other.
        GraphError: a batch without what the model reads.

    Example:
        >>> model = PRMPNN(2, hidden_channels=8, num_layers=2, in_channels=3, num_added=1, num_priors=2)
        >>> path = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
        >>> pool = torch.tensor([[0, 0, 1], [2, 3, 3]])
        >>> model(Data(x=torch.randn(4, 3), edge_index=path, candidate_index=pool)).shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        out_channels: int,
        hidden_channels: int = 64,
        num_layers: int = 4,
        conv: Callable[[int, int], nn.Module] = GINEConv,
        encoder: Callable[[int], nn.Module] | None = None,
        in_channels: int | None = None,
        scorer: Callable[[int], nn.Module] | None = None,
        score: Callable[[int, int], nn.Module] | None = None,
        num_added: int = 10,
        num_removed: int = 0,
        num_priors: int = 1,
        num_samples: int = 1,
        num_eval_samples: int = 1,
        sampler: Sampler = "exact",
        train_edges: TrainEdges = "straight_through",
        eval_sampling: EvalSampling = "mode",
        separate: bool = False,
        include_original: bool = False,
        combine: Literal["mean", "cat"] = "mean",
        divergence_weight: float = 0.0,
        norm: Callable[[int], nn.Module] | None = BatchNorm,
        activation: Callable[[], nn.Module] | None = nn.ReLU,
        residual: bool = True,
        dropout: float = 0.0,
        pool: Reduce = "mean",
        head: Callable[[int, int], nn.Module] = MLPHead,
        level: TaskLevel = "graph",
        relation: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, known in (("train_edges", train_edges, _TRAIN_EDGES), ("combine", combine, _COMBINE)):
            if value not in known:
                raise ConfigError(f"unknown {name} '{value}'", where="PRMPNN", hint=nearest(value, known))
        if min(num_added, num_removed) < 0 or num_added + num_removed == 0 or num_priors < 1:
            raise ConfigError(
                f"nothing to choose with num_added={num_added}, num_removed={num_removed}, num_priors={num_priors}",
                where="PRMPNN",
                hint="for a network on the graph as it is use gnnlab.nn.GNN",
            )
        if encoder is None:
            if in_channels is None:
                raise ConfigError("the model has neither an encoder nor in_channels, so the width of x is unknown")
            encoder = partial(FeatureEncoder, node=partial(LinearEncoder, in_channels=in_channels))
        network = partial(GNN, hidden_channels, hidden_channels, head=_identity)
        sampling = Sampling(sampler, eval_sampling, num_samples, num_eval_samples, seed)
        score = partial(MLPHead, num_layers=2, activation=nn.ReLU) if score is None else score
        choice = partial(EdgeChoice, hidden_channels, num_priors, score=score, sampling=sampling)

        self.num_priors, self.separate = num_priors, separate and num_added > 0 and num_removed > 0
        self.include_original, self.combine, self.divergence_weight = include_original, combine, divergence_weight
        self.scorer = (
            network(encoder=encoder, norm=BatchNorm, conv=GINEConv, level="node")
            if scorer is None
            else (scorer(hidden_channels))
        )
        self.added = choice(num_added, sign=1, train_edges=train_edges) if num_added else None
        self.removed = choice(num_removed, sign=-1, train_edges="straight_through") if num_removed else None
        self.encoder = encoder(hidden_channels)
        self.downstream = network(
            num_layers,
            conv=conv,
            in_channels=hidden_channels,
            norm=norm,
            activation=activation,
            residual=residual,
            dropout=dropout,
            pool=pool,
            level=level,
        )
        layer = self.downstream.layers[0]
        chooses, self.reads_features = reads_of(layer.conv, layer.accepted, hidden_channels)
        if not chooses:
            raise ConfigError(
                f"to {type(layer.conv).__name__} an edge of weight 0 is still an edge, so none can be left out",
                where="PRMPNN.conv",
                hint="use a convolution that multiplies messages by edge_weight and adds them up, such as "
                "gnnlab.nn.GINEConv, GINConv or GCNConv",
            )
        self.reads_relations, self.relation = "edge_type" in layer.accepted, relation
        # What an added edge is to a convolution that reads edge features.
        self.new_edge = nn.Parameter(torch.empty(hidden_channels)) if num_added and self.reads_features else None
        graphs = num_priors * (1 + self.separate) + include_original
        self.head = head(hidden_channels * (graphs if combine == "cat" else 1), out_channels)
        self._divergence: Tensor | None = None
        self._reset_new_edge()

    def reset_parameters(self) -> None:
        for module in self.children():
            reset(module)
        self._reset_new_edge()

    def _reset_new_edge(self) -> None:
        if self.new_edge is not None:
            nn.init.normal_(self.new_edge, std=self.new_edge.numel() ** -0.5)

    def __getstate__(self) -> dict[str, Any]:
        # Part of a graph of autograd, which can be neither copied nor pickled.
        return {**self.__dict__, "_divergence": None}

    @property
    def num_parameters(self) -> int:
        """Number of learned values, encoders included."""
        return sum(parameter.numel() for parameter in self.parameters())

    def auxiliary_loss(self) -> Tensor | None:
        """What the last training batch adds to the loss of the task, handed out once; ``None`` for nothing."""
        divergence, self._divergence = self._divergence, None
        return divergence

    def forward(self, batch: Data) -> Tensor:
        x, edge_attr = self.encoder(batch)
        ptr, edges = graph_pointer(batch, x), edges_of(batch, edge_attr, x.size(0))
        edges = edges if edges.edge_index is not None else replace(edges, edge_index=edges.adj.edge_index)
        pairs = self._candidates(batch, edges.edge_index)
        weight = self._weights(self._scored(batch, x), edges, pairs, ptr, x.dtype)
        copies = weight.size(0)
        union = copies_of(self._with_candidates(edges, x, pairs), weight)
        starts = ptr[:-1] + torch.arange(copies, device=ptr.device)[:, None] * x.size(0)
        rewired = Data(
            x=x.repeat(copies, 1),
            edge_index=union.edge_index,
            edge_attr=union.attr,
            edge_weight=union.weight,
            edge_type=union.type,
            adj=union.adj,
            ptr=torch.cat([starts.flatten(), copies * ptr[-1:]]),
        )
        embedding = self.downstream(rewired)
        embedding = embedding.view(copies, embedding.size(0) // copies, -1)
        original, sampled = embedding.tensor_split([int(self.include_original)])
        sampled = sampled.unflatten(0, (1 + self.separate, -1, self.num_priors)).mean(1).flatten(0, 1)
        return self.head(_COMBINE[self.combine](torch.cat([original, sampled])))

    def edge_probabilities(self, batch: Data) -> dict[str, Tensor]:
        """How likely edges are to be chosen, for analysis.

        Returns:
            ``added`` [E, P] for the candidates, and ``removed`` [E, M] for the undirected edges without loops, in
            lexicographic order.
        """
        h, result = self.scorer(batch), {}
        ptr, edge_index = graph_pointer(batch, h), batch.edge_index
        if self.added is not None:
            result["added"] = self.added.marginals(h, self._candidates(batch, edge_index), ptr)
        if self.removed is not None:
            result["removed"] = self.removed.marginals(h, undirected_pairs(edge_index, h.size(0))[0], ptr)
        return result

    def _scored(self, batch: Data, x: Tensor) -> Tensor:
        h = self.scorer(batch)
        if h.shape != x.shape:
            raise GraphError(
                f"the scorer returned {list(h.shape)} instead of a state of {x.size(1)} channels for {x.size(0)} nodes",
                hint="set level: node, and leave its out_channels to the model",
            )
        return h

    def _candidates(self, batch: Data, edge_index: Tensor) -> Tensor:
        if self.added is None:
            return edge_index[:, :0]
        pairs = batch.get("candidate_index")
        if pairs is None:
            raise GraphError(
                "the batch has no 'candidate_index'", hint="add gnnlab.lifting.CandidatePairs to data.transforms"
            )
        return pairs

    def _weights(self, h: Tensor, edges: Edges, pairs: Tensor, ptr: Tensor, dtype: torch.dtype) -> Tensor:
        """[copies, E + 2 P], weights of the edges and of the candidates in both directions."""
        edge_index, terms = edges.edge_index, []
        old = h.new_ones(edge_index.size(1), dtype=dtype) if edges.weight is None else edges.weight.to(dtype)
        old = kept = old.view(1, 1, -1)
        new = absent = old.new_zeros(1, 1, pairs.size(1))
        if self.removed is not None:
            existing, proper, place = undirected_pairs(edge_index, h.size(0))
            gone, term = self.removed(h, existing, edge_index, ptr)
            left = old[..., proper] * (1 - gone.to(dtype)[..., place])
            kept = old.expand(*left.shape[:2], -1).index_copy(-1, proper, left)
            terms.append(term)
        if self.added is not None:
            new, term = self.added(h, pairs, edge_index, ptr)
            new = new.to(dtype)
            terms.append(term)
        active = self.training and self.divergence_weight > 0 and self.num_priors > 1
        self._divergence = -self.divergence_weight * sum(terms) if active else None
        shape = (max(kept.size(0), new.size(0)), self.num_priors, -1)
        graphs = [(old, new), (kept, absent)] if self.separate else [(kept, new)]
        rows = [torch.cat([part.expand(shape) for part in (was, now, now)], -1).flatten(0, 1) for was, now in graphs]
        if self.include_original:
            rows.insert(0, torch.cat([old, absent, absent], -1).squeeze(0))
        return torch.cat(rows)

    def _with_candidates(self, edges: Edges, x: Tensor, pairs: Tensor) -> Edges:
        """The graph with an edge for every candidate in both directions, whatever it weighs."""
        attr = edges.attr if self.reads_features else None
        kind = edges.relation if self.reads_relations else None
        if attr is not None and (attr.size(-1) != x.size(1) or not attr.is_floating_point()):
            raise GraphError(
                f"edge_attr is {list(attr.shape)} of {attr.dtype}, but added edges have {x.size(1)} channels",
                hint="map it with edge= of the FeatureEncoder",
            )
        if self.added is None:
            return replace(edges, attr=attr, type=kind)
        if self.new_edge is not None:
            attr = x.new_zeros(edges.edge_index.size(1), x.size(1)) if attr is None else attr
            attr = torch.cat([attr, self.new_edge.to(attr.dtype).expand(2 * pairs.size(1), -1)])
        if kind is not None:
            kind = torch.cat([kind, kind.new_full((2 * pairs.size(1),), self.relation)])
        edge_index = torch.cat([edges.edge_index, pairs, pairs.flip(0)], 1)
        return Edges(CSR.from_edge_index(edge_index, x.size(0)), edge_index, attr, type=kind)


def _identity(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Identity()


_TRAIN_EDGES = ("straight_through", "marginal")
_COMBINE: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda embeddings: embeddings.mean(0),
    "cat": lambda embeddings: embeddings.transpose(0, 1).flatten(1),
}
