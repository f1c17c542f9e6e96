"""Spikes with surrogate gradients in any float type, differentiable twice.

snnTorch casts every spike to f32; this is the same mathematics without the cast. The forward pass is the Heaviside
step. The backward pass multiplies by sigma'(u), written in differentiable operations, so that a second backward pass
sees sigma''(u).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Surrogate:
    """Derivative sigma'(u) of a spike, and its integral from 0 to u."""

    grad: Callable[[Tensor], Tensor]
    integral: Callable[[Tensor], Tensor]


def atan(alpha: float) -> Surrogate:
    """alpha/2 / (1 + (pi/2 alpha u)^2)."""
    k = math.pi / 2 * alpha
    return Surrogate(lambda u: alpha / 2 / (1 + (k * u) ** 2), lambda u: torch.atan(k * u) / math.pi)


def fast_sigmoid(slope: float) -> Surrogate:
    """1 / (1 + k|u|)^2."""
    return Surrogate(lambda u: 1 / (1 + slope * u.abs()) ** 2, lambda u: u / (1 + slope * u.abs()))


def sigmoid(slope: float) -> Surrogate:
    """k s(ku) (1 - s(ku)) with the logistic function s."""

    def grad(u):
        s = torch.sigmoid(slope * u)
        return slope * s * (1 - s)

    return Surrogate(grad, lambda u: torch.sigmoid(slope * u) - 0.5)


def triangular(height: float, half_width: float) -> Surrogate:
    """height * max(0, 1 - |u| / half_width)."""

    def integral(u):
        z = (u / half_width).clamp(-1.0, 1.0)
        return height * half_width * (z - z * z.abs() / 2)

    return Surrogate(lambda u: height * torch.relu(1 - u.abs() / half_width), integral)


def boxcar(height: float, half_width: float) -> Surrogate:
    """height for -half_width < u <= half_width, else 0."""

    def grad(u):
        return height * ((u > -half_width) & (u <= half_width)).to(u.dtype) + 0 * u

    return Surrogate(grad, lambda u: height * u.clamp(-half_width, half_width))


def gaussian(sigma: float) -> Surrogate:
    """Density of the normal distribution of standard deviation sigma."""
    scale = 1 / (sigma * math.sqrt(2 * math.pi))
    return Surrogate(
        lambda u: scale * torch.exp(-((u / sigma) ** 2) / 2),
        lambda u: torch.erf(u / (sigma * math.sqrt(2))) / 2,
    )


def straight_through() -> Surrogate:
    """1 everywhere."""
    return Surrogate(lambda u: torch.ones_like(u) + 0 * u, lambda u: u)


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u, surrogate, at_or_above):
        ctx.save_for_backward(u)
        ctx.surrogate = surrogate
        return (u >= 0 if at_or_above else u > 0).to(u.dtype)

    @staticmethod
    def backward(ctx, gy):
        (u,) = ctx.saved_tensors
        return ctx.surrogate.grad(u) * gy, None, None


def spike(u: Tensor, surrogate: Surrogate, at_or_above: bool = False) -> Tensor:
    """1 where u > 0 (or u >= 0), with the surrogate's derivatives."""
    return _Spike.apply(u, surrogate, at_or_above)
