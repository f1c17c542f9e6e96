"""hessian.npz: exact Hessians and Gauss-Newton matrices of small spiking networks, by double backward.

g(w) is what BPTT returns: Heaviside forward, sigma' backward. H = dg/dw by differentiating that backward graph again,
where each spike has derivative sigma', sigma' has derivative sigma'', and detached reset spikes are constants. The
script checks that H is symmetric, and that it equals the ordinary Hessian of the smooth network in which every spike
is replaced by its 2-jet at the same point.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, cross_entropy, linear

import dynamics
import inputs
from dynamics import Lif
from surrogate import atan, fast_sigmoid, sigmoid

BETA = 0.75
KINDS = {"atan_2": atan(2.0), "sigmoid_5": sigmoid(5.0), "fast_sigmoid_10": fast_sigmoid(10.0)}
DENSE_SHAPES = {"w0": (5, 6), "b0": (5,), "w1": (3, 5), "b1": (3,)}
CONV_SHAPES = {"w0": (2, 1, 3, 3), "b0": (2,), "w1": (3, 8), "b1": (3,)}


def _dense_net(params: dict, x: Tensor, neuron) -> Tensor:
    """Spike counts [B, 3] of 6-5-3."""
    hidden = neuron(linear(x, params["w0"], params["b0"]))
    return neuron(linear(hidden, params["w1"], params["b1"])).sum(0)


def _conv_net(params: dict, x: Tensor, neuron) -> Tensor:
    """Spike counts [B, 3] of 1x6x6 - 2C3 - LIF - average pool 2 - LIF 3."""
    t, b = x.shape[:2]
    cur = conv2d(x.flatten(0, 1), params["w0"], params["b0"])
    hidden = neuron(cur.unflatten(0, (t, b)))
    pooled = avg_pool2d(hidden.flatten(0, 1), 2).flatten(1)
    return neuron(linear(pooled, params["w1"], params["b1"]).unflatten(0, (t, b))).sum(0)


def _flat(grads) -> Tensor:
    return torch.cat([g.reshape(-1) for g in grads])


def _full_hessian(flat_gradient: Tensor, params: list) -> Tensor:
    rows = [_flat(torch.autograd.grad(g, params, retain_graph=True)) for g in flat_gradient]
    return torch.stack(rows)


def _gauss_newton(counts: Tensor, y: Tensor, params: list) -> Tensor:
    """J^T H_L J, J the surrogate Jacobian of the counts, H_L the Hessian of the loss by the counts."""
    jacobian = torch.stack([_flat(torch.autograd.grad(c, params, retain_graph=True)) for c in counts.reshape(-1)])
    loss = lambda c: cross_entropy(c.reshape(counts.shape), y)
    outer = torch.autograd.functional.hessian(loss, counts.detach().reshape(-1))
    return jacobian.T @ outer @ jacobian


class _JetNeuron:
    """A LIF layer with subtractive, delayed, detached reset whose spikes are frozen 2-jets of a recorded run.

    The first pass over the network records each layer's membranes; later passes replay them in the same order.
    """

    def __init__(self, p: Lif):
        self.p, self.layers, self.next = p, [], None

    def __call__(self, x: Tensor) -> Tensor:
        if self.next is None:
            run = dynamics.lif(x, self.p)
            self.layers.append((run["mem"].detach(), run["spk"].detach()))
            return run["spk"]
        mem0, spk0 = self.layers[self.next % len(self.layers)]
        self.next += 1
        return self._replay(x, mem0, spk0)

    def _replay(self, x: Tensor, mem0: Tensor, spk0: Tensor) -> Tensor:
        u0 = (mem0 - self.p.threshold).requires_grad_(True)
        slope = self.p.surrogate.grad(u0)
        (curvature,) = torch.autograd.grad(slope.sum(), u0)
        mem, spikes = torch.zeros_like(x[0]), []
        for t, cur in enumerate(x):
            reset = spk0[t - 1] if t > 0 else torch.zeros_like(cur)
            mem = self.p.beta * mem + cur - self.p.threshold * reset
            d = mem - mem0[t]
            spikes.append(spk0[t] + slope[t].detach() * d + curvature[t] * d * d / 2)
        return torch.stack(spikes)


def _jet_hessian(net, params: dict, x: Tensor, y: Tensor, p: Lif) -> Tensor:
    neuron, names = _JetNeuron(p), list(params)
    net(params, x, neuron)
    neuron.next = 0
    loss = lambda *values: cross_entropy(net(dict(zip(names, values)), x, neuron), y)
    values = tuple(value.detach() for value in params.values())
    blocks = torch.autograd.functional.hessian(loss, values)
    sizes = [value.numel() for value in values]
    rows = [torch.cat([b.reshape(n, m) for b, m in zip(row, sizes)], 1) for row, n in zip(blocks, sizes)]
    return torch.cat(rows)


def _assert_close(a: Tensor, b: Tensor, what: str) -> None:
    error = (a - b).abs().max() / b.abs().max()
    assert error < 1e-13, f"{what}: relative error {error}"


def _lower_triangle(matrix: Tensor) -> Tensor:
    """Rows (i, 0..=i), one after another."""
    i, j = torch.tril_indices(*matrix.shape)
    return matrix[i, j]


def _traces(matrix: Tensor, params: dict) -> Tensor:
    sizes = [value.numel() for value in params.values()]
    return torch.stack([block.sum() for block in matrix.diagonal().split(sizes)])


def _case(net, params: dict, x: Tensor, y: Tensor, p: Lif) -> tuple[dict, Tensor, Tensor]:
    """Loss, gradient and traces; the Hessian; the Gauss-Newton matrix."""
    leaves = {name: value.clone().requires_grad_(True) for name, value in params.items()}
    counts = net(leaves, x, lambda cur: dynamics.lif(cur, p)["spk"])
    assert counts.unique().numel() >= 4, "the network hardly fires"
    loss = cross_entropy(counts, y)
    gradient = _flat(torch.autograd.grad(loss, list(leaves.values()), create_graph=True))
    hessian = _full_hessian(gradient, list(leaves.values()))
    _assert_close(hessian, hessian.T, "asymmetry")
    if not p.through:
        _assert_close(_jet_hessian(net, params, x, y, p), hessian, "2-jet network")
    gauss_newton = _gauss_newton(counts, y, list(leaves.values()))
    arrays = {"loss": loss, "counts": counts, "gradient": gradient}
    arrays |= {"trace": _traces(hessian, params), "gauss_newton_trace": _traces(gauss_newton, params)}
    return arrays, hessian, gauss_newton


def _params(shapes: dict, seed: int, high: float) -> dict:
    """Weights in [-high/2, high), so that the networks fire, and biases in [-0.1, 0.1)."""
    ranges = {"w": (-high / 2, high), "b": (-0.1, 0.1)}
    return {
        name: inputs.uniform(shape, seed + i, *ranges[name[0]])
        for i, (name, shape) in enumerate(shapes.items())
    }


def _given(prefix: str, x: Tensor, y: Tensor, params: dict) -> dict:
    given = {"x": x.to(torch.uint8), "y": y.int()} | {name: value.float() for name, value in params.items()}
    return {f"{prefix}_{name}": value for name, value in given.items()}


def _dense_cases() -> dict:
    x, y = inputs.spikes((6, 4, 6), 41, 0.4), torch.tensor([0, 1, 2, 1])
    params = _params(DENSE_SHAPES, 42, 1.25)
    out = _given("dense", x, y, params)
    for name, kind, through in [(n, k, False) for n, k in KINDS.items()] + [("atan_2", KINDS["atan_2"], True)]:
        arrays, hessian, gauss_newton = _case(_dense_net, params, x, y, Lif(beta=BETA, through=through, surrogate=kind))
        arrays["hessian"] = _lower_triangle(hessian)
        if name == "atan_2":
            arrays["gauss_newton"] = _lower_triangle(gauss_newton)
        case = f"dense/{name}/{'through' if through else 'detached'}"
        out |= {f"{case}/{key}": value for key, value in arrays.items()}
    return out


def _conv_cases() -> dict:
    x, y = inputs.spikes((5, 3, 1, 6, 6), 51, 0.4), torch.tensor([2, 0, 1])
    params = _params(CONV_SHAPES, 52, 1.25)
    out = _given("conv", x, y, params)
    for name in ("atan_2", "sigmoid_5"):
        arrays, hessian, gauss_newton = _case(_conv_net, params, x, y, Lif(beta=BETA, surrogate=KINDS[name]))
        probes = inputs.signs((4, len(hessian)), 56)
        arrays |= {"hv": probes @ hessian, "gauss_newton_v": probes @ gauss_newton}
        out["conv_probes"] = probes.to(torch.int8)
        out |= {f"conv/{name}/detached/{key}": value for key, value in arrays.items()}
    return out


def make() -> dict:
    """All arrays of hessian.npz."""
    return _dense_cases() | _conv_cases()
