"""The same neurons as the libraries compute them, in the dtype of the input.

Each maker returns a function from a current sequence [T, B, ...] to a dict of sequences, as in `dynamics`. In f32 the
libraries use their own surrogates; in f64 ours, because theirs cast spikes to f32.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

warnings.filterwarnings("ignore")
import norse.torch as norse
import snntorch
from norse.torch.functional.lif_box import LIFBoxParameters
from norse.torch.functional.reset import reset_subtract, reset_value
from snntorch import surrogate as snntorch_surrogate
from spikingjelly.activation_based import neuron as sj_neuron
from spikingjelly.activation_based import surrogate as sj_surrogate

from surrogate import Surrogate, atan, fast_sigmoid, spike

Neuron = Callable[[Tensor], dict]

_SURROGATES = {
    "atan": (snntorch_surrogate.atan(2.0), atan(2.0)),
    "fast_sigmoid": (snntorch_surrogate.fast_sigmoid(10), fast_sigmoid(10)),
}


def _spike_grad(dtype, surrogate: str) -> Callable[[Tensor], Tensor]:
    theirs, ours = _SURROGATES[surrogate]
    return theirs if dtype == torch.float32 else lambda u: spike(u, ours)


def _stack(steps: list, names: tuple) -> dict:
    return {name: torch.stack(values) for name, values in zip(names, zip(*steps))}


def _snntorch(kind, names: tuple, surrogate: str, **options) -> Neuron:
    """`names` are the values that a step returns, in the library's order."""

    def run(x: Tensor, weights: tuple | None = None) -> dict:
        cell = kind(spike_grad=_spike_grad(x.dtype, surrogate), **options).to(x.dtype)
        if weights is not None:
            del cell.recurrent
            cell.recurrent = lambda s: torch.nn.functional.linear(s, *weights)
        values, steps = tuple(torch.zeros_like(x[0]) for _ in names), []
        for cur in x:
            values = cell(cur, *(values if weights is not None else values[1:]))
            steps.append(values)
        return _stack(steps, names)

    return run


def leaky(reset: str, delayed: bool = True, beta: float = 0.875, surrogate: str = "atan") -> Neuron:
    options = {"beta": beta, "reset_mechanism": reset, "reset_delay": delayed}
    return _snntorch(snntorch.Leaky, ("spk", "mem"), surrogate, **options)


def synaptic(reset: str, alpha: float = 0.75, beta: float = 0.875, surrogate: str = "atan") -> Neuron:
    options = {"alpha": alpha, "beta": beta, "reset_mechanism": reset}
    return _snntorch(snntorch.Synaptic, ("spk", "syn", "mem"), surrogate, **options)


def rleaky(reset: str, features: int, beta: float = 0.875, surrogate: str = "atan") -> Neuron:
    options = {"beta": beta, "linear_features": features, "reset_mechanism": reset}
    return _snntorch(snntorch.RLeaky, ("spk", "mem"), surrogate, **options)


def rsynaptic(reset: str, features: int, alpha: float = 0.75, beta: float = 0.875) -> Neuron:
    options = {"alpha": alpha, "beta": beta, "linear_features": features, "reset_mechanism": reset}
    return _snntorch(snntorch.RSynaptic, ("spk", "syn", "mem"), "atan", **options)


def spikingjelly(leaky: bool, soft: bool, detached: bool, decay_input: bool = False) -> Neuron:
    kind, options = (sj_neuron.LIFNode, {"decay_input": decay_input}) if leaky else (sj_neuron.IFNode, {})

    def run(x: Tensor) -> dict:
        cell = kind(
            v_reset=None if soft else 0.0,
            detach_reset=detached,
            surrogate_function=sj_surrogate.ATan(2.0),
            step_mode="m",
            store_v_seq=True,
            **options,
        )
        return {"spk": cell(x), "mem": cell.v_seq}

    return run


def lif_box(subtract: bool) -> Neuron:
    reset = reset_subtract if subtract else reset_value

    def run(x: Tensor) -> dict:
        rate = torch.tensor(500.0, dtype=x.dtype)  # dt * rate = 0.5
        cell = norse.LIFBoxCell(p=LIFBoxParameters(tau_mem_inv=rate, reset_method=reset), dt=1e-3)
        state, steps = None, []
        for cur in x:
            spk, state = cell(cur, state)
            steps.append((spk, state.v))
        return _stack(steps, ("spk", "mem"))

    return run
