"""Spiking neurons in plain torch, in the dtype of their input: the equations that tools/golden/README.md states.

Each function maps a current sequence [T, B, ...] to a dict of sequences of the same shape: "spk" (except for the leaky
integrator), "mem" as stored for the next step, and further states. All states start at zero.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from surrogate import Surrogate, atan, spike


def _identity(s: Tensor) -> Tensor:
    return s


def _reset_path(through: bool):
    """What the reset sees of a spike: with its gradient or without."""
    return _identity if through else Tensor.detach


class _Record:
    """Collects named values step by step and stacks them over time."""

    def __init__(self):
        self._steps = {}

    def add(self, **values):
        for name, value in values.items():
            self._steps.setdefault(name, []).append(value)

    def stacked(self) -> dict:
        return {name: torch.stack(steps) for name, steps in self._steps.items()}


@dataclass(frozen=True)
class Lif:
    """Parameters of the leaky integrate-and-fire neuron and of those built on it."""

    beta: float = 0.875
    gain: float = 1.0
    threshold: float = 1.0
    reset: str = "subtract"
    delayed: bool = True
    through: bool = False
    at_or_above: bool = False
    surrogate: Surrogate = atan(2.0)

    def fire(self, mem: Tensor) -> Tensor:
        return spike(mem - self.threshold, self.surrogate, self.at_or_above)

    def after_reset(self, mem: Tensor, spk: Tensor) -> Tensor:
        """Membrane right after a spike."""
        spk = _reset_path(self.through)(spk)
        if self.reset == "subtract":
            return mem - self.threshold * spk
        return mem * (1 - spk) if self.reset == "zero" else mem

    def charge(self, mem: Tensor, spk: Tensor, cur: Tensor) -> Tensor:
        """Membrane of the next step in the delayed order, `spk` being the last spike."""
        if self.reset == "zero":
            return self.beta * self.after_reset(mem, spk) + cur
        return self.after_reset(self.beta * mem + cur, spk)


def lif(x: Tensor, p: Lif) -> dict:
    """LIF, reset in the next step (delayed) or in the same one."""
    record, mem, spk = _Record(), torch.zeros_like(x[0]), torch.zeros_like(x[0])
    for cur in p.gain * x:
        mem = p.charge(mem, spk, cur) if p.delayed else p.beta * mem + cur
        spk = p.fire(mem)
        if not p.delayed:
            mem = p.after_reset(mem, spk)
        record.add(spk=spk, mem=mem)
    return record.stacked()


def li(x: Tensor, beta: float) -> dict:
    """Leaky integrator: U = beta U + I."""
    record, mem = _Record(), torch.zeros_like(x[0])
    for cur in x:
        mem = beta * mem + cur
        record.add(mem=mem)
    return record.stacked()


def cuba_lif(x: Tensor, alpha: float, p: Lif, w_rec: Tensor | None = None, b_rec: Tensor | None = None) -> dict:
    """Current-based LIF (a synaptic current of decay alpha), optionally recurrent: syn += W_rec S[t-1] + b_rec.

    alpha = 0 is the recurrent LIF without synaptic current.
    """
    record, mem, syn, spk = _Record(), *(torch.zeros_like(x[0]) for _ in range(3))
    for cur in x:
        feedback = 0.0 if w_rec is None else torch.nn.functional.linear(spk, w_rec, b_rec)
        syn = alpha * syn + cur + feedback
        mem = p.charge(mem, spk, syn)
        spk = p.fire(mem)
        record.add(spk=spk, mem=mem, syn=syn)
    return record.stacked()


def clearing(x: Tensor, alpha: float, p: Lif, w_rec: Tensor | None = None, b_rec: Tensor | None = None) -> dict:
    """As `cuba_lif`, but reset to zero also drops what arrives in the step after a spike: U = (1 - R)(beta U + syn).

    That is what snnTorch's Synaptic, RLeaky and RSynaptic do (its Leaky does not).
    """
    record, mem, syn, spk = _Record(), *(torch.zeros_like(x[0]) for _ in range(3))
    for cur in x:
        feedback = 0.0 if w_rec is None else torch.nn.functional.linear(spk, w_rec, b_rec)
        syn = alpha * syn + cur + feedback
        mem = (1 - spk.detach()) * (p.beta * mem + syn)
        spk = p.fire(mem)
        record.add(spk=spk, mem=mem, syn=syn)
    return record.stacked()


def alif(x: Tensor, p: Lif, rho: float, kappa: float) -> dict:
    """Adaptive LIF: S = [U > theta + kappa A], A[t+1] = rho A[t] + S[t], reset by theta (or to zero) in the same step.

    The adaptation always keeps the gradient of its spikes. "adapt" is the A[t] that the threshold of step t used.
    """
    record, mem, adapt = _Record(), torch.zeros_like(x[0]), torch.zeros_like(x[0])
    for cur in x:
        mem = p.beta * mem + cur
        spk = spike(mem - (p.threshold + kappa * adapt), p.surrogate)
        mem = p.after_reset(mem, spk)
        record.add(spk=spk, mem=mem, adapt=adapt)
        adapt = rho * adapt + spk
    return record.stacked()


def lui_neftci(x: Tensor, alpha: float, reset_grad: str, surrogate: Surrogate) -> dict:
    """One-state hard-reset neuron: U = alpha U (1 - S) + I, S = [U > 0].

    `reset_grad`: "detached" (S in the reset is a constant), "through", or "constant" (the term alpha U S is one).
    """
    record, mem, spk = _Record(), torch.zeros_like(x[0]), torch.zeros_like(x[0])
    for cur in x:
        if reset_grad == "constant":
            mem = alpha * mem - (alpha * mem * spk).detach() + cur
        else:
            mem = alpha * mem * (1 - _reset_path(reset_grad == "through")(spk)) + cur
        spk = spike(mem, surrogate)
        record.add(spk=spk, mem=mem)
    return record.stacked()


def lui_neftci_four_variables(s_in: Tensor, w: Tensor, b: Tensor, alpha: float, surrogate: Surrogate) -> dict:
    """The same neuron as its authors' program has it: P over the inputs, R over the outputs, R a constant in BPTT.

    P = alpha P + S_in;  R = alpha R + alpha U S - alpha b [t > 0];  U = W P + b - R;  S = [U > 0].
    """
    record, first = _Record(), torch.nn.functional.linear(s_in[0], w)
    p, r, mem, spk = torch.zeros_like(s_in[0]), *(torch.zeros_like(first) for _ in range(3))
    for t, s in enumerate(s_in):
        p = alpha * p + s
        r = (alpha * r + alpha * mem * spk - (alpha * b if t > 0 else 0.0)).detach()
        mem = torch.nn.functional.linear(p, w, b) - r
        spk = spike(mem, surrogate)
        record.add(spk=spk, mem=mem, r=r)
    return record.stacked()


@dataclass(frozen=True)
class Decolle:
    """Parameters of the four-state neuron of DECOLLE (Kaiser, Mostafa, Neftci 2020)."""

    alpha: float = 0.875
    beta: float = 0.75
    alpha_refractory: float = 0.5
    w_refractory: float = 1.0
    through: bool = False


def decolle(x: Tensor, p: Decolle, surrogate: Surrogate) -> dict:
    """Q = beta Q + x/(1-beta);  P = alpha P + Q[t-1]/(1-alpha);  R = alpha_r R - w_r S[t-1];  U = P + R;  S = [U > 0].

    Filters the current x = W S_in; as the filter is linear this equals W times the filtered inputs, as in the paper.
    """
    record, q, psp, r, spk = _Record(), *(torch.zeros_like(x[0]) for _ in range(4))
    for cur in x:
        q, psp = p.beta * q + cur / (1 - p.beta), p.alpha * psp + q / (1 - p.alpha)
        r = p.alpha_refractory * r - p.w_refractory * _reset_path(p.through)(spk)
        mem = psp + r
        spk = spike(mem, surrogate)
        record.add(spk=spk, mem=mem, q=q, p=psp, r=r)
    return record.stacked()


def decolle_synapses(s_in: Tensor, w: Tensor, p: Decolle, surrogate: Surrogate) -> dict:
    """The same neuron as its authors' program has it: Q and P filter the inputs, U = W P + R."""
    record, first = _Record(), torch.nn.functional.linear(s_in[0], w)
    q, psp, r, spk = *(torch.zeros_like(s_in[0]) for _ in range(2)), *(torch.zeros_like(first) for _ in range(2))
    for s in s_in:
        q, psp = p.beta * q + s / (1 - p.beta), p.alpha * psp + q / (1 - p.alpha)
        r = p.alpha_refractory * r - p.w_refractory * _reset_path(p.through)(spk)
        mem = torch.nn.functional.linear(psp, w) + r
        spk = spike(mem, surrogate)
        record.add(spk=spk, mem=mem)
    return record.stacked()
