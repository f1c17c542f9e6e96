"""bptt_f32.npz and bptt_f64.npz: gradients of whole networks by BPTT, and of single layers.

In f64 each network runs by formula and, where snnTorch has its neurons, by snnTorch with the surrogates of this folder;
both must agree. In f32 it is snnTorch with its own surrogates.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, cross_entropy, linear, max_pool2d

import dynamics
import inputs
import libraries
import losses
from dynamics import Lif
from surrogate import atan, fast_sigmoid

BETA = 0.75
RESETS = ("subtract", "zero", "none")
LOSSES = ("ce_count", "ce_rate", "ce_per_step", "mse_count")


def _per_step(layer, x: Tensor) -> Tensor:
    """Applies a layer of [B, ...] to all steps of [T, B, ...] at once."""
    return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def _conv_net(p: dict, x: Tensor, neuron) -> tuple[Tensor, dict]:
    """2x10x10 - 4C3 - max pool 2 - neuron - 6C3 - neuron - fully connected 5 - neuron."""
    h = neuron(_per_step(lambda s: max_pool2d(conv2d(s, p["w0"], p["b0"]), 2), x))["spk"]
    h = neuron(_per_step(lambda s: conv2d(s, p["w1"], p["b1"]), h))["spk"]
    out = neuron(linear(h.flatten(2), p["w2"], p["b2"]))
    return out["spk"], {"mem": out["mem"]}


def _norm_net(p: dict, x: Tensor, neuron) -> tuple[Tensor, dict]:
    """2x10x10 - 4C3 - batch norm over T, B, H, W - neuron - average pool 2 - fully connected 5 - neuron."""
    stats = {"running_mean": torch.zeros(4, dtype=x.dtype), "running_var": torch.ones(4, dtype=x.dtype)}

    def normed(s: Tensor) -> Tensor:
        cur = conv2d(s, p["w0"])
        return batch_norm(cur, **stats, weight=p["gamma"], bias=p["shift"], training=True, momentum=0.125, eps=1e-5)

    h = neuron(_per_step(normed, x))["spk"]
    h = _per_step(lambda s: avg_pool2d(s, 2).flatten(1), h)
    return neuron(linear(h, p["w1"], p["b1"]))["spk"], stats


def _pooled_spikes_net(p: dict, x: Tensor, neuron) -> tuple[Tensor, dict]:
    """2x10x10 - 4C3 - neuron - max pool 2 of the spikes (ties go to the first) - fully connected 5 - neuron."""
    h = neuron(_per_step(lambda s: conv2d(s, p["w0"], p["b0"]), x))["spk"]
    h = _per_step(lambda s: max_pool2d(s, 2).flatten(1), h)
    return neuron(linear(h, p["w1"], p["b1"]))["spk"], {}


@dataclass(frozen=True)
class _Net:
    run: callable
    shapes: dict
    seed: int

    def params(self) -> dict:
        """Biased to positive weights, so that all layers fire."""
        ranges = {"w": (-0.5, 0.75), "b": (-0.1, 0.1), "g": (0.75, 1.25), "s": (0.0, 0.5)}
        return {
            name: inputs.uniform(shape, self.seed + i, *ranges[name[0]])
            for i, (name, shape) in enumerate(self.shapes.items())
        }


CONV = _Net(
    _conv_net,
    {"w0": (4, 2, 3, 3), "b0": (4,), "w1": (6, 4, 3, 3), "b1": (6,), "w2": (5, 24), "b2": (5,)},
    22,
)
NORM = _Net(
    _norm_net, {"w0": (4, 2, 3, 3), "gamma": (4,), "shift": (4,), "w1": (5, 64), "b1": (5,)}, 32
)
POOLED_SPIKES = _Net(_pooled_spikes_net, {"w0": (4, 2, 3, 3), "b0": (4,), "w1": (5, 64), "b1": (5,)}, 72)


def _gradients(net: _Net, x: Tensor, y: Tensor, loss_name: str, neuron) -> dict:
    leaves = {name: value.to(x.dtype).requires_grad_(True) for name, value in net.params().items()}
    leaves["x"] = x.clone().requires_grad_(True)
    spk, extra = net.run(leaves, leaves["x"], neuron)
    assert 0.05 < spk.mean() < 0.95, f"{net.run.__name__}: spike rate {spk.mean()} tells little"
    loss = getattr(losses, loss_name)(spk, y)
    grads = torch.autograd.grad(loss, list(leaves.values()))
    named = {f"g_{name}": grad for name, grad in zip(leaves, grads)}
    return {"loss": loss, "spk": spk} | extra | named


def _assert_same(name: str, got: dict, want: dict) -> None:
    for key in want:
        error = (got[key] - want[key]).abs().max() / want[key].abs().max().clamp(min=1e-3)
        assert error < 1e-12, f"{name}/{key}: snnTorch and formula differ by {error}"


def _whole_net(name: str, net: _Net, x: Tensor, y: Tensor, loss_name: str, reset: str) -> dict:
    """The kept arrays of one network, loss and reset."""
    library = libraries.leaky(reset, beta=BETA)
    result = _gradients(net, x, y, loss_name, library)
    if x.dtype == torch.float64:
        formula = partial(dynamics.lif, p=Lif(beta=BETA, reset=reset, surrogate=atan(2.0)))
        plain = _gradients(net, x, y, loss_name, formula)
        _assert_same(name, result, plain)
        result = plain
    result["spk"] = result["spk"].to(torch.uint8)
    if loss_name != "ce_count":  # the outputs do not depend on the loss
        result = {key: value for key, value in result.items() if key == "loss" or key.startswith("g_")}
    if name != "conv/subtract/ce_count" or x.dtype == torch.float32:  # large: kept once
        del result["g_x"]
    return {f"{name}/{key}": value for key, value in result.items()}


def _nets(dtype) -> dict:
    x, y = inputs.spikes((8, 3, 2, 10, 10), 21, 0.15, dtype), torch.tensor([0, 3, 4])
    out = {"x": x.to(torch.uint8), "y": y.int()}
    for name, net in {"conv": CONV, "norm": NORM, "pooled_spikes": POOLED_SPIKES}.items():
        out |= {f"{name}_{key}": value.float() for key, value in net.params().items()}
    for reset in RESETS:
        for loss in LOSSES if reset == "subtract" else ("ce_count", "mse_count"):
            out |= _whole_net(f"conv/{reset}/{loss}", CONV, x, y, loss, reset)
    out |= _whole_net("norm/subtract/ce_count", NORM, x, y, "ce_count", "subtract")
    return out | _whole_net("pooled_spikes/zero/ce_count", POOLED_SPIKES, x, y, "ce_count", "zero")


RECURRENT_SHAPES = {"w_in": (10, 12), "b_in": (10,), "w_rec": (10, 10), "b_rec": (10,), "w_out": (4, 10), "b_out": (4,)}


def _recurrent_params(dtype) -> dict:
    ranges = {"w_in": (-0.5, 0.9), "w_rec": (-0.5, 0.5), "w_out": (-0.5, 0.9)}
    return {
        name: inputs.uniform(shape, 82 + i, *ranges.get(name, (-0.1, 0.1)), dtype)
        for i, (name, shape) in enumerate(RECURRENT_SHAPES.items())
    }


def _hidden(p: dict, x: Tensor) -> Tensor:
    """Spikes of the recurrent layer."""
    cur, weights = linear(x, p["w_in"], p["b_in"]), (p["w_rec"], p["b_rec"])
    library = libraries.rleaky("subtract", 10, beta=BETA, surrogate="fast_sigmoid")(cur, weights)["spk"]
    if x.dtype == torch.float32:
        return library
    plain = dynamics.cuba_lif(cur, 0.0, Lif(beta=BETA, surrogate=fast_sigmoid(10.0)), *weights)["spk"]
    assert torch.equal(plain, library)
    return plain


def _synaptic_loss(p: dict, hidden: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    cur = linear(hidden, p["w_out"], p["b_out"])
    if cur.dtype == torch.float32:
        out = libraries.synaptic("subtract", 0.5, BETA, "fast_sigmoid")(cur)
    else:
        out = dynamics.cuba_lif(cur, 0.5, Lif(beta=BETA, surrogate=fast_sigmoid(10.0)))
    return cross_entropy(out["spk"].sum(0), y), out["spk"].to(torch.uint8)


def _li_loss(p: dict, hidden: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    out = dynamics.li(linear(hidden, p["w_out"], p["b_out"]), 0.875)["mem"]
    return cross_entropy(out.mean(0), y), out


def _recurrent_nets(dtype) -> dict:
    """12 - recurrent LIF 10 - 4, read out by Synaptic neurons (counts) or by a leaky integrator (mean membrane)."""
    x, y = inputs.spikes((12, 3, 12), 81, 0.25, dtype), torch.tensor([1, 0, 3])
    params = _recurrent_params(dtype)
    out = {"recurrent_x": x.to(torch.uint8), "recurrent_y": y.int()}
    out |= {f"recurrent_{name}": value.float() for name, value in params.items()}
    for name, readout in (("synaptic", _synaptic_loss), ("li", _li_loss)):
        leaves = {key: value.clone().requires_grad_(True) for key, value in params.items()}
        hidden = _hidden(leaves, x)
        loss, output = readout(leaves, hidden, y)
        grads = torch.autograd.grad(loss, list(leaves.values()))
        arrays = {"loss": loss, "hidden": hidden.to(torch.uint8), "out": output}
        arrays |= {f"g_{key}": grad for key, grad in zip(leaves, grads)}
        out |= {f"recurrent/{name}/{key}": value for key, value in arrays.items()}
    return out


CONVOLUTIONS = {
    "plain": ((2, 3, 6, 7), (4, 3, 3, 3), {}),
    "strided": ((2, 3, 6, 7), (4, 3, 3, 3), {"stride": 2}),
    "padded": ((2, 3, 5, 4), (4, 3, 3, 3), {"padding": 1}),
    "strided_padded": ((2, 2, 7, 6), (3, 2, 5, 3), {"stride": (2, 1), "padding": (2, 1)}),
    "dilated": ((2, 2, 7, 7), (3, 2, 3, 3), {"dilation": 2}),
    "grouped": ((2, 4, 5, 5), (6, 2, 3, 3), {"groups": 2}),
    "depthwise": ((2, 3, 5, 5), (3, 1, 3, 3), {"groups": 3, "padding": 1}),
    "all": ((2, 4, 9, 8), (4, 2, 3, 3), {"stride": 2, "padding": 2, "dilation": 2, "groups": 2}),
}


def _convolution(x_shape, w_shape, options: dict, seed: int, dtype) -> dict:
    values = {"x": x_shape, "w": w_shape, "b": w_shape[:1]}
    leaves = {
        name: inputs.uniform(shape, seed + i, -1, 1, dtype).requires_grad_(True)
        for i, (name, shape) in enumerate(values.items())
    }
    y = conv2d(**{"input": leaves["x"], "weight": leaves["w"], "bias": leaves["b"]}, **options)
    gy = inputs.uniform(y.shape, seed + 3, -1, 1, dtype)
    grads = torch.autograd.grad((y * gy).sum(), list(leaves.values()))
    given = {name: value.float() for name, value in (leaves | {"gy": gy}).items()}
    return given | {"y": y} | {f"g_{name}": grad for name, grad in zip(leaves, grads)}


def _convolutions(dtype) -> dict:
    out = {}
    for i, (name, case) in enumerate(CONVOLUTIONS.items()):
        arrays = _convolution(*case, 100 + 10 * i, dtype)
        out |= {f"conv2d/{name}/{key}": value for key, value in arrays.items()}
    return out


def make() -> dict:
    """All arrays of both files."""
    f32 = _nets(torch.float32) | _recurrent_nets(torch.float32)
    f64 = _nets(torch.float64) | _recurrent_nets(torch.float64)
    for key, value in f32.items():
        error = (value.double() - f64[key].double()).abs().max()
        assert error <= (1e-5 if value.is_floating_point() else 0) * f64[key].abs().max(), f"{key}: {error}"
    return {"bptt_f32": f32, "bptt_f64": f64 | _convolutions(torch.float64)}
