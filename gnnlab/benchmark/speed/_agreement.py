"""Whether two networks are the same: the weights of one in the other, then outputs and gradients side by side."""

from __future__ import annotations

import copy
import math
import re
from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.benchmark.speed._pyg_models import LOSSES
from gnnlab.benchmark.speed._workloads import Setup
from gnnlab.errors import GnnlabError
from gnnlab.training.losses import loss_by_name

__all__ = ["TOLERANCE", "copy_weights", "paired", "size", "verify"]

TOLERANCE = 1e-3
"""Largest difference of outputs and gradients, as a part of the largest value of each tensor."""

_NAMES = (
    (r"encoder\.(node|edge)\.weight", r"\1.tables.*.weight"),
    (r"encoder\.encodings\.0\.norm\.(.+)", r"walk.0.\1"),
    (r"encoder\.encodings\.0\.mlp\.0\.(.+)", r"walk.1.\1"),
    (r"layers\.(\d+)\.conv\.edge_encoder\.weight", r"blocks.\1.edge.tables.*.weight"),
    (r"layers\.(\d+)\.conv\.update\.(.+)", r"blocks.\1.conv.nn.\2"),
    (r"layers\.(\d+)\.conv\.node_output\.0\.(.+)", r"blocks.\1.norm.\2"),
    (r"layers\.(\d+)\.conv\.edge_output\.0\.(.+)", r"blocks.\1.edge_norm.\2"),
    (r"layers\.(\d+)\.conv\.([A-E])\.(.+)", r"blocks.\1.\2.\3"),
    (r"layers\.(\d+)\.(conv|norm)\.(.+)", r"blocks.\1.\2.\3"),
    (r"readout\.head\.(.+)", r"head.\1"),
)
"""Name of ours -> name of the peer's; a star stands for the numbers of tables that are the rows of one of ours."""


def verify(name: str, setup: Setup, ours: nn.Module, theirs: nn.Module, batch: Data, peer_batch: Data) -> float:
    """Outputs, loss and gradients of copies of both networks, with equal weights none of which is as initialised.

    Returns:
        The largest difference of a tensor, as a part of its largest value.

    Raises:
        GnnlabError: other parameters, other dropout, or a difference above :data:`TOLERANCE`.
    """
    for what, count in {"parameters": size, "probabilities of dropout": _dropped}.items():
        if count(ours) != count(theirs):
            raise GnnlabError(f"the peer has other {what}: {count(theirs)} instead of {count(ours)}", where=name)
    ours, theirs = copy.deepcopy(ours).train(), copy.deepcopy(theirs).eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            # Biases of 0, scales of 1 and running statistics as they begin would hide what they are for.
            if parameter.dim() < 2:
                parameter.add_(0.1 * torch.randn_like(parameter))
        ours(batch)
    copy_weights(ours.eval(), theirs)
    out, peer_out = ours(batch), theirs(peer_batch)
    loss = loss_by_name(setup.task.loss)(out, batch.y)[0]
    peer_loss = LOSSES[setup.task.loss](peer_out, peer_batch.y)
    loss.backward()
    peer_loss.backward()
    differences = {"output": _difference(out, peer_out), "loss": _difference(loss, peer_loss)}
    for key, parameter, parts in paired(ours, theirs):
        if parameter.requires_grad:
            wanted = torch.cat([_gradient(part).flatten() for part in parts])
            differences[f"gradient of {key}"] = _difference(_gradient(parameter).flatten(), wanted)
    for what, value in differences.items():
        # NaN is no less than anything.
        if not value <= TOLERANCE:
            raise GnnlabError(
                f"the peer computes something else: its {what} differs by {value:.2g} of the largest value",
                where=name,
                hint=f"differences up to {TOLERANCE:.0e} are tolerated",
            )
    return max(differences.values())


def paired(ours: nn.Module, theirs: nn.Module) -> Iterator[tuple[str, Tensor, list[Tensor]]]:
    """Every parameter and running statistic of ours, and those of the peer whose rows make it up.

    Raises:
        GnnlabError: a tensor without counterpart on either side, or of another size.
    """
    mine, others = _state(ours), _state(theirs)
    for name, tensor in mine.items():
        wanted = _peer_name(name)
        pattern = re.compile(re.escape(wanted).replace(r"\*", r"\d+"))
        parts = [others.pop(key) for key in list(others) if pattern.fullmatch(key)]
        if sum(part.numel() for part in parts) != tensor.numel():
            shapes = [list(part.shape) for part in parts]
            raise GnnlabError(f"{name} {list(tensor.shape)} has no equal in the peer: {wanted} {shapes}")
        yield name, tensor, parts
    if others:
        raise GnnlabError(f"the peer has parameters of its own: {', '.join(others)}")


@torch.no_grad()
def copy_weights(ours: nn.Module, theirs: nn.Module) -> None:
    """Give the peer the parameters and running statistics of ours."""
    for _, tensor, parts in paired(ours, theirs):
        if len(parts) == 1:
            parts[0].copy_(tensor.reshape(parts[0].shape))
            continue
        for part, rows in zip(parts, tensor.split([part.size(0) for part in parts]), strict=True):
            part.copy_(rows)


def _peer_name(name: str) -> str:
    for pattern, replacement in _NAMES:
        found = re.fullmatch(pattern, name)
        if found:
            return found.expand(replacement)
    raise GnnlabError(f"nothing is known about the counterpart of {name} in the peer")


def _state(model: nn.Module) -> dict[str, Tensor]:
    running = ("running_mean", "running_var")
    buffers = {name: buffer for name, buffer in model.named_buffers() if name.endswith(running)}
    return dict(model.named_parameters()) | buffers


def size(model: nn.Module) -> int:
    """Number of learned values."""
    return sum(parameter.numel() for parameter in model.parameters())


def _dropped(model: nn.Module) -> dict[float, int]:
    """Probability -> number of places: what outputs in evaluation do not show."""
    return dict(Counter(each.p for each in model.modules() if isinstance(each, nn.Dropout) and each.p))


def _difference(found: Tensor, wanted: Tensor) -> float:
    if found.shape != wanted.shape:
        return math.inf
    return float((found - wanted).detach().abs().max() / wanted.detach().abs().max().clamp(min=1e-6))


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
