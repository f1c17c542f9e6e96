"""Test inputs that any language can make again: a sequential splitmix64 stream for each seed.

The i-th output (i = 0, 1, ...) is the splitmix64 finalizer of `seed + (i + 1) * 0x9E3779B97F4A7C15`; its upper 24
bits times 2^-24 are a uniform number in [0, 1), exact in f32. All inputs are f32 numbers, also those used in f64.
"""

import numpy as np
import torch

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def _splitmix(seed: int, n: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * _GAMMA
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def _unit(shape, seed: int) -> np.ndarray:
    n = int(np.prod(shape))
    unit = (_splitmix(seed, n) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    return unit.reshape(shape)


def uniform(shape, seed: int, low: float, high: float, dtype=torch.float64) -> torch.Tensor:
    """Uniform numbers in [low, high), computed in f32."""
    low, high = np.float32(low), np.float32(high)
    return torch.from_numpy(_unit(shape, seed) * (high - low) + low).to(dtype)


def spikes(shape, seed: int, density: float, dtype=torch.float64) -> torch.Tensor:
    """Independent spikes (0 or 1) of the given probability."""
    return torch.from_numpy(_unit(shape, seed) < np.float32(density)).to(dtype)


def signs(shape, seed: int) -> torch.Tensor:
    """Rademacher probe: -1 or +1 with equal probability."""
    return 1.0 - 2.0 * spikes(shape, seed, 0.5)
