"""On a CPU: linear layers, and convolutions of a few places, as products by oneDNN.

PyTorch has float32 matrices multiplied by MKL, which on some processors makes half of what they can
do; its convolutions go through oneDNN, which makes all of it. But oneDNN orders a convolution's
weights anew at every call, and where an image is 4x4 that costs more than the convolution: there,
the patches are laid out as rows (im2col) and multiplied like any other matrix.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_PLACES = 128  # of a batch's feature maps; from four times as many on, the convolution wins
_WIDTH = 32  # of a matrix; below, the call costs more than the product


def by_onednn(module: nn.Module) -> None:
    """Have a module's layers computed so from here on. Nothing of its state changes.

    Of no effect where PyTorch has no oneDNN, or has its product under another name.
    """
    if not torch.backends.mkldnn.is_available():
        return
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):  # PyTorch's compiler uses it, too
        return
    for layer in module.modules():
        if type(layer) is nn.Linear and min(layer.weight.shape) >= _WIDTH:
            layer.__class__ = _Linear
        elif type(layer) is nn.Conv2d and _is_plain(layer):
            layer.__class__ = _Convolution


def _is_plain(layer: nn.Conv2d) -> bool:
    if min(layer.in_channels, layer.out_channels) < _WIDTH or layer.padding_mode != "zeros":
        return False
    if layer.groups != 1 or layer.dilation != (1, 1):
        return False
    shape = layer.kernel_size, layer.padding, layer.stride
    return shape == ((1, 1), (0, 0), (1, 1)) or shape[:2] == ((3, 3), (1, 1))


def _applies(x: Tensor, layer: nn.Linear | nn.Conv2d) -> bool:
    """In half precision PyTorch goes through oneDNN by itself. Without gradients, images are drawn:
    those come out as an endpoint draws them, to the last bit."""
    whole = x.dtype is torch.float32 is layer.weight.dtype and torch.is_grad_enabled()
    return whole and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


class _Linear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        if not _applies(x, self):
            return super().forward(x)
        return _Product.apply(x, self.weight, self.bias)


class _Convolution(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (
            -(-side // step) for side, step in zip(x.shape[2:], self.stride, strict=True)
        )
        point = self.kernel_size == (1, 1)  # which PyTorch gives to MKL, too
        if not (point or len(x) * rows * columns <= _PLACES) or not _applies(x, self):
            return super().forward(x)
        if point:
            patches = x.flatten(2)
        else:
            patches = F.unfold(x, self.kernel_size, padding=self.padding, stride=self.stride)
        out = _Product.apply(patches.transpose(1, 2), self.weight.flatten(1), self.bias)
        return out.transpose(1, 2).reshape(len(x), -1, rows, columns)


class _Product(torch.autograd.Function):
    """x W^T + b: (..., in), (out, in), (out,) or None -> (..., out)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        of_x, of_weight, _ = ctx.needs_input_grad  # what is frozen needs no more than the other
        ctx.save_for_backward(x if of_weight else None, weight if of_x else None)
        return _multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        rows = grad.reshape(-1, grad.shape[-1])
        return (
            _multiply(grad, weight.t()) if of_x else None,
            _multiply(rows.t(), x.reshape(-1, x.shape[-1]).t()) if of_weight else None,
            rows.sum(0) if of_bias else None,
        )


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    rows = x.reshape(-1, x.shape[-1])
    out = torch.ops.mkldnn._linear_pointwise(_dense(rows), _dense(weight), bias, "none", [], "")
    return out.view(*x.shape[:-1], -1)


def _dense(matrix: Tensor) -> Tensor:
    """oneDNN reads rows or columns one after the other; anything between takes it forever."""
    return matrix if matrix.is_contiguous() or matrix.t().is_contiguous() else matrix.contiguous()
