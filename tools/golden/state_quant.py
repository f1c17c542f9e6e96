"""state_quant.npz: snnTorch's membrane levels, and neurons that run on them."""

import itertools

import snntorch
import torch
from snntorch import surrogate
from snntorch.functional import quant

import inputs

SPACINGS = {"uniform": (True, True), "threshold_centered": (False, True), "zero_centered": (False, False)}
BITS = range(1, 9)
RANGES = ((1.0, 0.0, 0.2), (0.5, 0.3, 0.7), (5.0, -0.5, 0.0), (0.7, 0.1, 1.3))  # threshold, lower and upper limit
MULTIPLIERS = (None, 0.6)
SHAPE = (20, 2, 6)
VALUE_BITS = (1, 2, 4, 8)
NEURON_BITS = (2, 4)


def _quantizer(spacing: str, bits: int, **options):
    uniform, thr_centered = SPACINGS[spacing]
    return quant.state_quant(num_bits=bits, uniform=uniform, thr_centered=thr_centered, **options)


def _levels(spacing: str, bits: int, **options) -> torch.Tensor:
    """The table that the quantizer holds: that of a value is the level nearest to it."""
    return _quantizer(spacing, bits, **options).__closure__[0].cell_contents


def _tables() -> dict:
    arrays = {}
    for spacing, (threshold, lower, upper), multiplier in itertools.product(SPACINGS, RANGES, MULTIPLIERS):
        if spacing == "uniform" and multiplier is not None:
            continue
        options = {"threshold": threshold, "lower_limit": lower, "upper_limit": upper, "multiplier": multiplier}
        name = f"table/{spacing}/{threshold}/{lower}/{upper}/{multiplier or 'default'}"
        arrays[f"{name}/levels"] = torch.cat([_levels(spacing, bits, **options) for bits in BITS])
    return arrays


def _values() -> dict:
    """What values become, those half way between levels included."""
    arrays = {}
    for spacing, bits in itertools.product(SPACINGS, VALUE_BITS):
        levels = _levels(spacing, bits)
        middles = (levels[1:] + levels[:-1]) / 2
        x = torch.cat([inputs.uniform((200,), 31, -2.0, 2.0).float(), middles, levels, torch.tensor([0.0, -9.0, 9.0])])
        x.requires_grad_(True)
        y = _quantizer(spacing, bits)(x)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert torch.equal(gradient, torch.ones_like(x)), "straight through, outside of the levels too"
        arrays |= {f"values/{spacing}/{bits}/x": x.detach(), f"values/{spacing}/{bits}/y": y.detach()}
    return arrays


def _cells(n: int) -> dict:
    """Makers of neurons, given their quantizer, with the names of what a step returns."""
    shared = {"spike_grad": surrogate.atan(2.0)}
    return {
        "leaky": (("spk", "mem"), lambda q: snntorch.Leaky(beta=0.875, state_quant=q, **shared)),
        "synaptic": (("spk", "syn", "mem"), lambda q: snntorch.Synaptic(alpha=0.75, beta=0.875, state_quant=q, **shared)),
        "rleaky": (("spk", "mem"), lambda q: snntorch.RLeaky(beta=0.875, linear_features=n, state_quant=q, **shared)),
    }


def _run(names: tuple, cell, x: torch.Tensor, weights: tuple) -> dict:
    is_recurrent = hasattr(cell, "recurrent")
    if is_recurrent:
        del cell.recurrent
        cell.recurrent = lambda s: torch.nn.functional.linear(s, *weights)
    values, steps = tuple(torch.zeros_like(x[0]) for _ in names), []
    for cur in x:
        values = cell(cur, *(values if is_recurrent else values[1:]))
        steps.append(values)
    return {name: torch.stack(of) for name, of in zip(names, zip(*steps))}


def _neurons() -> dict:
    x, g = inputs.uniform(SHAPE, 1, -0.3, 0.9).float(), inputs.uniform(SHAPE, 2, -1.0, 1.0).float()
    n = SHAPE[-1]
    w, b = inputs.uniform((n, n), 4, -0.5, 0.5).float(), inputs.uniform((n,), 5, -0.1, 0.1).float()
    arrays = {"x": x, "g_spk": g, "recurrent_w": w, "recurrent_b": b}
    for (kind, (names, make)), spacing, bits in itertools.product(_cells(n).items(), SPACINGS, NEURON_BITS):
        leaf = x.clone().requires_grad_(True)
        result = _run(names, make(_quantizer(spacing, bits)), leaf, (w, b))
        (gx,) = torch.autograd.grad((result["spk"] * g).sum(), leaf)
        stored = {k: v.detach().to(torch.uint8) if k == "spk" else v.detach() for k, v in result.items()}
        arrays |= {f"{kind}/{spacing}/{bits}/{k}": v for k, v in (stored | {"gx_spk": gx}).items()}
    return arrays


def make() -> dict:
    """All arrays of state_quant.npz."""
    return _tables() | _values() | _neurons()
