"""neurons.npz: step sequences and input gradients of each neuron preset."""

import torch
from torch import Tensor
from torch.nn.functional import linear

import dynamics
import inputs
import libraries
from dynamics import Decolle, Lif
from surrogate import boxcar, fast_sigmoid

T, B, N = 20, 2, 6
SHAPE = (T, B, N)
ALPHA, BETA = 0.75, 0.875
BOXCAR = boxcar(1.0, 0.5)


def _cotangents() -> dict:
    return {"spk": inputs.uniform(SHAPE, 2, -1, 1), "mem": inputs.uniform(SHAPE, 3, -1, 1)}


def _gradients(sequences: dict, cotangents: dict, leaves: dict) -> dict:
    """Gradient of sum(sequence * cotangent) for each leaf and for each of spk and mem that there is."""
    out = {}
    for of in ("spk", "mem"):
        if of not in sequences or not sequences[of].requires_grad:
            continue
        loss = (sequences[of] * cotangents[of].to(sequences[of].dtype)).sum()
        grads = torch.autograd.grad(loss, list(leaves.values()), retain_graph=True, allow_unused=True)
        out |= {f"g{name}_{of}": grad for name, grad in zip(leaves, grads) if grad is not None}
    return out


def _assert_same(name: str, got: dict, want: dict, tolerance: float) -> None:
    for key in got.keys() & want.keys():
        error = (got[key].double() - want[key]).abs().max() / want[key].abs().max().clamp(min=1.0)
        assert error <= tolerance, f"{name}/{key}: library and formula differ by {error}"


def _leaves(values: dict, dtype=torch.float64) -> dict:
    return {name: value.to(dtype).clone().requires_grad_(True) for name, value in values.items()}


def _stored(sequences: dict) -> dict:
    """Spikes as bytes, everything else as it is."""
    return {k: v.to(torch.uint8) if k == "spk" else v for k, v in sequences.items()}


class _Cases:
    """Runs each case in f64 by formula, and in f64 and f32 by the library where there is one."""

    def __init__(self, x: Tensor):
        self.x, self.cotangents, self.arrays = x, _cotangents(), {}

    def _run(self, neuron, values: dict, dtype) -> dict:
        leaves = _leaves(values, dtype)
        weights = tuple(leaves[name] for name in ("w", "b") if name in leaves)
        sequences = neuron(leaves["x"], weights) if weights else neuron(leaves["x"])
        return sequences | _gradients(sequences, self.cotangents, leaves)

    def add(self, name: str, plain, library=None, weights: dict | None = None, scale: float = 1.0) -> None:
        """`plain` and `library` map x (and the weights, if there are any) to sequences."""
        values = {"x": scale * self.x} | (weights or {})
        result = self._run(plain, values, torch.float64)
        rate = result["spk"].mean().item() if "spk" in result else 0.5
        assert 0.05 < rate < 0.95, f"{name}: spike rate {rate} tells little"
        arrays = _stored(result)
        if library is not None:
            _assert_same(name, self._run(library, values, torch.float64), result, 1e-12)
            in_f32 = self._run(library, values, torch.float32)
            _assert_same(name, in_f32, result, 1e-4)
            arrays["library_gx_spk"] = in_f32["gx_spk"]
        if scale != 1.0:
            arrays["x_scale"] = torch.tensor(scale, dtype=torch.float64)
        self.arrays |= {f"{name}/{k}": v for k, v in arrays.items()}


def _snntorch_cases(cases: _Cases) -> None:
    for reset in ("subtract", "zero", "none"):
        p = Lif(beta=BETA, reset=reset)
        cases.add(f"leaky/{reset}/delayed", lambda x: dynamics.lif(x, p), libraries.leaky(reset))
        formula = dynamics.clearing if reset == "zero" else dynamics.cuba_lif
        plain = lambda x: formula(x, ALPHA, p)
        cases.add(f"synaptic/{reset}", plain, libraries.synaptic(reset), scale=0.5)
    for reset in ("subtract", "zero"):
        p = Lif(beta=BETA, reset=reset, delayed=False, through=True)
        cases.add(f"leaky/{reset}/immediate", lambda x: dynamics.lif(x, p), libraries.leaky(reset, delayed=False))
        p = Lif(beta=1.0, reset=reset)
        cases.add(f"if/{reset}", lambda x: dynamics.lif(x, p), libraries.leaky(reset, beta=1.0))


def _recurrent_weights() -> dict:
    return {"w": inputs.uniform((N, N), 4, -0.5, 0.5), "b": inputs.uniform((N,), 5, -0.1, 0.1)}


def _recurrent_cases(cases: _Cases) -> None:
    weights = _recurrent_weights()
    subtract, zero = Lif(beta=BETA), Lif(beta=BETA, reset="zero")
    runs = {
        "rleaky/subtract": (dynamics.cuba_lif, 0.0, subtract, libraries.rleaky("subtract", N)),
        "rleaky/zero": (dynamics.clearing, 0.0, zero, libraries.rleaky("zero", N)),
        "rsynaptic/subtract": (dynamics.cuba_lif, ALPHA, subtract, libraries.rsynaptic("subtract", N)),
        "rlif/zero": (dynamics.cuba_lif, 0.0, zero, None),
        "rlif/subtract/through": (dynamics.cuba_lif, 0.0, Lif(beta=BETA, through=True), None),
    }
    for name, (formula, alpha, p, library) in runs.items():
        scale = 0.25 if alpha else 1.0
        cases.add(name, lambda x, w: formula(x, alpha, p, *w), library, weights, scale)


def _spikingjelly_cases(cases: _Cases) -> None:
    for soft in (True, False):
        for detached in (True, False):
            p = {"delayed": False, "through": not detached, "at_or_above": True}
            p["reset"] = "subtract" if soft else "zero"
            name = f"{'soft' if soft else 'hard'}/{'detached' if detached else 'through'}"
            plain = lambda x: dynamics.lif(x, Lif(beta=1.0, **p))
            cases.add(f"sj_if/{name}", plain, libraries.spikingjelly(False, soft, detached))
            for decay in (True, False):
                plain = lambda x: dynamics.lif(x, Lif(beta=0.5, gain=0.5 if decay else 1.0, **p))
                library = libraries.spikingjelly(True, soft, detached, decay)
                name_ = f"sj_lif/{name}/{'decay_input' if decay else 'whole_input'}"
                cases.add(name_, plain, library, scale=2.5 if decay else 1.5)


def _norse_cases(cases: _Cases) -> None:
    for reset in ("subtract", "zero"):
        p = Lif(beta=0.5, gain=0.5, reset=reset, delayed=False, through=True, surrogate=fast_sigmoid(1.0))
        library = libraries.lif_box(reset == "subtract")
        cases.add(f"norse_lifbox/{reset}", lambda x: dynamics.lif(x, p), library, scale=2.5)


def _formula_cases(cases: _Cases) -> None:
    for reset in ("subtract", "zero"):
        for delayed in (True, False):
            p = Lif(beta=BETA, reset=reset, delayed=delayed, through=delayed)
            order = "delayed/through" if delayed else "immediate/detached"
            cases.add(f"lif/{reset}/{order}", lambda x: dynamics.lif(x, p))
    p = Lif(beta=BETA, reset="zero")
    cases.add("cuba/zero", lambda x: dynamics.cuba_lif(x, ALPHA, p), scale=0.5)
    cases.add("li", lambda x: dynamics.li(x, BETA))
    for reset in ("subtract", "zero"):
        for through in (False, True):
            p = Lif(beta=BETA, reset=reset, delayed=False, through=through)
            name = f"alif/{reset}/{'through' if through else 'detached'}"
            cases.add(name, lambda x: dynamics.alif(x, p, rho=0.9375, kappa=0.25))


def _synaptic_inputs() -> dict:
    """Input spikes, weights and biases of the neurons that are defined with their synapses."""
    n_in = 5
    return {
        "s_in": inputs.spikes((T, B, n_in), 6, 0.3),
        "w": inputs.uniform((N, n_in), 7, -0.6, 1.0),
        "b": inputs.uniform((N,), 8, -0.3, 0.1),
    }


def _lui_neftci_cases() -> dict:
    """The one-state neuron and, as a check, the four-variable form of the same."""
    given, cotangents, arrays = _synaptic_inputs(), _cotangents(), {}
    for reset_grad in ("detached", "through", "constant"):
        leaves = _leaves({"w": given["w"], "b": given["b"]})
        x = linear(given["s_in"], leaves["w"], leaves["b"])
        result = dynamics.lui_neftci(x, BETA, reset_grad, BOXCAR)
        result |= _gradients(result, cotangents, leaves | {"x": x})
        arrays |= {f"lui_neftci/{reset_grad}/{k}": v for k, v in _stored(result).items()}
    leaves = _leaves({"w": given["w"], "b": given["b"]})
    four = dynamics.lui_neftci_four_variables(given["s_in"], leaves["w"], leaves["b"], BETA, BOXCAR)
    four |= _gradients(four, cotangents, leaves)
    same = {k.rsplit("/")[-1]: v for k, v in arrays.items() if k.startswith("lui_neftci/constant/")}
    _assert_same("lui_neftci", {k: four[k] for k in ("spk", "mem", "gw_spk", "gw_mem")}, same, 1e-12)
    kept = {k: four[k] for k in ("mem", "r", "gw_spk", "gb_spk")}
    return arrays | {f"lui_neftci/four_variables/{k}": v for k, v in kept.items()} | {"lui_neftci_x": x}


def _decolle_cases() -> dict:
    """The four-state neuron; its input weights are small because its filters sum up to 1/((1-a)(1-b))^2 = 1024."""
    given, cotangents, arrays = _synaptic_inputs(), _cotangents(), {}
    for through in (False, True):
        leaves = _leaves({"w": given["w"] / 256})
        x = linear(given["s_in"], leaves["w"])
        result = dynamics.decolle(x, Decolle(through=through), BOXCAR)
        result |= _gradients(result, cotangents, leaves | {"x": x})
        synaptic = dynamics.decolle_synapses(given["s_in"], leaves["w"], Decolle(through=through), BOXCAR)
        synaptic |= _gradients(synaptic, cotangents, leaves)
        _assert_same("decolle", synaptic, result, 1e-12)
        name = "through" if through else "detached"
        arrays |= {f"decolle/{name}/{k}": v for k, v in _stored(result).items()}
    return arrays | {"decolle_x": x}


def make() -> dict:
    """All arrays of neurons.npz."""
    cases = _Cases(inputs.uniform(SHAPE, 1, -0.3, 0.9))
    for group in (_snntorch_cases, _recurrent_cases, _spikingjelly_cases, _norse_cases, _formula_cases):
        group(cases)
    shared = {"x": cases.x, "g_spk": cases.cotangents["spk"], "g_mem": cases.cotangents["mem"]}
    shared = {name: value.float() for name, value in shared.items()}
    shared |= {f"recurrent_{name}": value.float() for name, value in _recurrent_weights().items()}
    given = _synaptic_inputs()
    shared |= {"s_in": given["s_in"].to(torch.uint8), "w_in": given["w"].float(), "b_in": given["b"].float()}
    return shared | cases.arrays | _lui_neftci_cases() | _decolle_cases()
