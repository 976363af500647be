"""Batch normalisation in two passes over the rows each way: sums of columns, then the result."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnlab.ops._numba._jit import claim, compiled, flat, index, inlined
from gnnlab.ops._numba._threads import run

__all__ = ["batch_norm", "batch_norm_backward"]

_ZERO = np.float32(0)
_ROWS, _MAX_PARTS = 512, 32  # rows summed by one thread before sums are added, which no number of threads changes


def batch_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float, relu: bool) -> tuple[Tensor, Tensor, Tensor]:
    rows, width = x.shape
    parts = _parts(rows)
    sums = np.empty((3, parts, width), flat(x).dtype)
    run(_moments, x.numel(), rows, width, parts, flat(x), sums[0], sums[1], sums[2])
    # Of every part: its first row, and the sums of distances to it and of their squares.
    first, total, square = sums.astype(np.float64)
    size = np.diff(np.arange(parts + 1) * rows // parts)[:, None]
    mean = (first * size + total).sum(0) / rows
    distance = first - mean
    variance = np.maximum((square + 2 * distance * total + size * distance**2).sum(0) / rows, 0)
    out = x.new_empty(x.shape)
    mean, variance = (torch.from_numpy(each).to(x.dtype) for each in (mean, variance))
    scale = weight.detach() * (variance + eps).rsqrt()
    run(_scale, 2 * x.numel(), rows, width, relu, flat(x), flat(mean), flat(scale), flat(bias), flat(out))
    return out, mean, variance


def batch_norm_backward(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float, relu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    rows, width = x.shape
    parts = _parts(rows)
    inverse = (variance + eps).rsqrt()
    scale = weight.detach() * inverse
    sums = np.empty((2, parts, width), flat(x).dtype)
    read = flat(grad), flat(x), flat(mean), flat(scale), flat(bias)
    run(_products, 2 * x.numel(), rows, width, parts, relu, *read, sums[0], sums[1])
    plain, centred = (torch.from_numpy(each) for each in sums.astype(np.float64).sum(1))
    # grad_x = scale (g - mean g - (x - mean) / (variance + eps) mean of g (x - mean)) = scale g - shift - slope x
    slope = scale * inverse.square() * (centred / rows).to(x.dtype)
    shift = scale * (plain / rows).to(x.dtype) - slope * mean
    grad_x = x.new_empty(x.shape)
    size = 3 * x.numel()
    run(_combine, size, rows, width, relu, *read, flat(slope), flat(shift), flat(grad_x))
    return grad_x, (centred * inverse).to(x.dtype), plain.to(x.dtype)


def _parts(rows: int) -> int:
    return max(1, min(_MAX_PARTS, rows // _ROWS))


@compiled
def _moments(counter, chunks, rows, width, parts, x, first, total, square):
    chunk = claim(counter, 0)
    while chunk < chunks:
        for part in range(parts * chunk // chunks, parts * (chunk + 1) // chunks):
            start, end = index(rows * part // parts), index(rows * (part + 1) // parts)
            top, sums, squares = first[part], total[part], square[part]
            for f in range(index(width)):
                top[f] = x[start * index(width) + f]
                sums[f] = _ZERO
                squares[f] = _ZERO
            for row in range(start, end):
                _add_moments(x, row * index(width), top, sums, squares, index(width))
        chunk = claim(counter, 1)


@inlined
def _add_moments(x, start, top, sums, squares, width):
    for f in range(width):
        distance = x[start + f] - top[f]
        sums[f] += distance
        squares[f] += distance * distance


@compiled
def _scale(counter, chunks, rows, width, relu, x, mean, scale, bias, out):
    chunk = claim(counter, 0)
    while chunk < chunks:
        for row in range(index(rows * chunk // chunks), index(rows * (chunk + 1) // chunks)):
            start = row * index(width)
            if relu:
                _scale_row_open(x, start, mean, scale, bias, out, index(width))
            else:
                _scale_row(x, start, mean, scale, bias, out, index(width))
        chunk = claim(counter, 1)


@inlined
def _scale_row(x, start, mean, scale, bias, out, width):
    for f in range(width):
        out[start + f] = (x[start + f] - mean[f]) * scale[f] + bias[f]


@inlined
def _scale_row_open(x, start, mean, scale, bias, out, width):
    for f in range(width):
        value = (x[start + f] - mean[f]) * scale[f] + bias[f]
        out[start + f] = _ZERO if value <= _ZERO else value  # keeps NaN


@compiled
def _products(counter, chunks, rows, width, parts, relu, grad, x, mean, scale, bias, plain, centred):
    chunk = claim(counter, 0)
    while chunk < chunks:
        for part in range(parts * chunk // chunks, parts * (chunk + 1) // chunks):
            start, end = index(rows * part // parts), index(rows * (part + 1) // parts)
            sums, products = plain[part], centred[part]
            for f in range(index(width)):
                sums[f] = _ZERO
                products[f] = _ZERO
            for row in range(start, end):
                if relu:
                    _add_open(grad, x, row * index(width), mean, scale, bias, sums, products, index(width))
                else:
                    _add_products(grad, x, row * index(width), mean, sums, products, index(width))
        chunk = claim(counter, 1)


@inlined
def _add_products(grad, x, start, mean, sums, products, width):
    for f in range(width):
        g = grad[start + f]
        sums[f] += g
        products[f] += g * (x[start + f] - mean[f])


@inlined
def _add_open(grad, x, start, mean, scale, bias, sums, products, width):
    for f in range(width):
        distance, given = x[start + f] - mean[f], grad[start + f]
        g = _ZERO if distance * scale[f] + bias[f] <= _ZERO else given
        sums[f] += g
        products[f] += g * distance


@compiled
def _combine(counter, chunks, rows, width, relu, grad, x, mean, scale, bias, slope, shift, grad_x):
    chunk = claim(counter, 0)
    while chunk < chunks:
        for row in range(index(rows * chunk // chunks), index(rows * (chunk + 1) // chunks)):
            start = row * index(width)
            if relu:
                _combine_open(grad, x, start, mean, scale, bias, slope, shift, grad_x, index(width))
            else:
                _combine_row(grad, x, start, scale, slope, shift, grad_x, index(width))
        chunk = claim(counter, 1)


@inlined
def _combine_row(grad, x, start, scale, slope, shift, grad_x, width):
    for f in range(width):
        grad_x[start + f] = grad[start + f] * scale[f] - x[start + f] * slope[f] - shift[f]


@inlined
def _combine_open(grad, x, start, mean, scale, bias, slope, shift, grad_x, width):
    for f in range(width):
        value, given = x[start + f], grad[start + f]
        g = _ZERO if (value - mean[f]) * scale[f] + bias[f] <= _ZERO else given
        grad_x[start + f] = g * scale[f] - value * slope[f] - shift[f]
