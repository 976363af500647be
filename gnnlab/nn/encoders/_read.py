"""Encodings of a batch, checked before an encoder meets them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import GraphError

__all__ = ["Eigenpairs", "companion", "eigenpairs", "encoding"]


class Eigenpairs(NamedTuple):
    """``vectors`` [N, k], ``values`` [N, k] and ``mask`` [N, k] (False at padding)."""

    vectors: Tensor
    values: Tensor
    mask: Tensor


def encoding(batch: Data, attribute: str, owner: str, width: int | None = None, setting: str = "in_channels") -> Tensor:
    """The attribute of the batch.

    Args:
        batch: The batch.
        attribute: Its name.
        owner: Class that reads it, for the message.
        width: Its number of columns; ``None`` allows any.
        setting: Argument of ``owner`` that states the width.

    Raises:
        GraphError: the attribute is missing, or of another width.
    """
    value = batch.get(attribute)
    if value is None:
        raise GraphError(
            f"the batch has no '{attribute}'",
            where=owner,
            hint="add the encoding that writes it to data.transforms (see gnnlab.encodings)",
        )
    if width is not None and (value.dim() != 2 or value.size(1) != width):
        raise GraphError(
            f"'{attribute}' has shape {list(value.shape)}, but {setting}={width}",
            where=owner,
            hint=f"set {setting}={value.size(-1)}" if value.dim() == 2 else "an encoding has one row per element",
        )
    return value


def eigenpairs(batch: Data, attribute: str, owner: str) -> Eigenpairs:
    """Eigenvector entries and their companions ``<attribute>_values`` and ``<attribute>_mask``.

    Raises:
        GraphError: one is missing, or they differ in shape.
    """
    vectors = encoding(batch, attribute, owner)
    return Eigenpairs(vectors, *(companion(batch, attribute, suffix, owner) for suffix in ("values", "mask")))


def companion(batch: Data, attribute: str, suffix: str, owner: str) -> Tensor:
    """``<attribute>_<suffix>``, of the shape of the attribute."""
    value, shape = encoding(batch, f"{attribute}_{suffix}", owner), batch[attribute].shape
    if value.shape != shape:
        raise GraphError(
            f"'{attribute}_{suffix}' has shape {list(value.shape)}, '{attribute}' {list(shape)}", where=owner
        )
    return value
