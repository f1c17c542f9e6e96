"""Losses over an output sequence [T, B, C] and labels [B]; each mean is over what its comment says."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, one_hot, smooth_l1_loss

CORRECT_RATE, INCORRECT_RATE = 0.75, 0.125


def ce_count(out: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of the sums over time, mean over the batch."""
    return cross_entropy(out.sum(0), y)


def ce_rate(out: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of the means over time, mean over the batch."""
    return cross_entropy(out.mean(0), y)


def ce_per_step(out: Tensor, y: Tensor) -> Tensor:
    """Mean over time and batch of each step's cross-entropy: TET without its second term, snnTorch's ce_rate_loss."""
    return torch.stack([cross_entropy(step, y) for step in out]).mean()


def tet(out: Tensor, y: Tensor, weight: float, target: float) -> Tensor:
    """(1 - weight) * ce_per_step + weight * mean over T, B, C of (out - target)^2 (Deng et al. 2022)."""
    return (1 - weight) * ce_per_step(out, y) + weight * mse_loss(out, torch.full_like(out, target))


def mse_count(out: Tensor, y: Tensor) -> Tensor:
    """Mean over B, C of (count - target)^2, divided by T: snnTorch's mse_count_loss. Targets are whole counts."""
    n_steps = len(out)
    on, off = int(n_steps * CORRECT_RATE), int(n_steps * INCORRECT_RATE)
    target = off + (on - off) * one_hot(y, out.shape[-1]).to(out.dtype)
    return mse_loss(out.sum(0), target) / n_steps


def smooth_l1(out: Tensor, y: Tensor) -> Tensor:
    """Mean over T, B, C of the smooth-L1 distance (beta 1) to the one-hot label at each step."""
    target = one_hot(y, out.shape[-1]).to(out.dtype).expand_as(out)
    return smooth_l1_loss(out, target)
