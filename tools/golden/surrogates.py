"""surrogates.npz: forward, first and second derivative of each surrogate on a grid."""

import norse.torch.functional.threshold as norse_threshold
import torch
from snntorch import surrogate as snntorch_surrogate
from spikingjelly.activation_based import surrogate as sj_surrogate

import surrogate
from surrogate import spike

CASES = {
    "atan_2": (surrogate.atan(2.0), snntorch_surrogate.atan(2.0)),
    "atan_1": (surrogate.atan(1.0), sj_surrogate.ATan(1.0)),
    "fast_sigmoid_25": (surrogate.fast_sigmoid(25.0), snntorch_surrogate.fast_sigmoid(25)),
    "fast_sigmoid_10": (surrogate.fast_sigmoid(10.0), snntorch_surrogate.fast_sigmoid(10)),
    "fast_sigmoid_1": (surrogate.fast_sigmoid(1.0), norse_threshold.superspike_fn),
    "sigmoid_25": (surrogate.sigmoid(25.0), snntorch_surrogate.sigmoid(25)),
    "sigmoid_4": (surrogate.sigmoid(4.0), sj_surrogate.Sigmoid(4.0)),
    "triangular_1": (surrogate.triangular(1.0, 1.0), sj_surrogate.PiecewiseQuadratic(1.0)),
    "triangular_half": (surrogate.triangular(2.0, 0.5), sj_surrogate.PiecewiseQuadratic(2.0)),
    "boxcar_half": (surrogate.boxcar(1.0, 0.5), None),
    "boxcar_2": (surrogate.boxcar(0.25, 2.0), None),
    "gaussian_half": (surrogate.gaussian(0.5), None),
    "straight_through": (surrogate.straight_through(), snntorch_surrogate.straight_through_estimator()),
}


def _grid() -> torch.Tensor:
    """Multiples of 1/16 in [-2, 2], which hold all kinks and edges, and points close to 0."""
    near_zero = torch.tensor([-(2.0**-20), 2.0**-20, -0.046875, 0.046875], dtype=torch.float64)
    return torch.cat([torch.arange(-32, 33, dtype=torch.float64) / 16, near_zero])


def _library_grad(function, grid: torch.Tensor) -> torch.Tensor:
    u = grid.float().requires_grad_(True)
    return torch.autograd.grad(function(u).sum(), u)[0]


def _case(kind: surrogate.Surrogate, library, grid: torch.Tensor) -> dict:
    u = grid.clone().requires_grad_(True)
    (grad,) = torch.autograd.grad(spike(u, kind).sum(), u, create_graph=True)
    (grad2,) = torch.autograd.grad(grad.sum(), u)
    integral = kind.integral(u)
    (slope,) = torch.autograd.grad(integral.sum(), u)
    smooth = (grid.abs() != 0.5) & (grid.abs() != 2.0)  # edges of the boxcars
    assert torch.allclose(slope[smooth], grad[smooth], rtol=1e-13, atol=1e-15)
    arrays = {"grad": grad, "grad2": grad2, "integral": integral}
    if library is not None:
        arrays["library_grad"] = _library_grad(library, grid)
        assert torch.allclose(arrays["library_grad"].double(), grad, rtol=2e-4, atol=1e-12)
    return arrays


def make() -> dict:
    """All arrays of surrogates.npz."""
    grid = _grid()
    kind = surrogate.straight_through()
    forward = {"above": spike(grid, kind), "at_or_above": spike(grid, kind, at_or_above=True)}
    out = {"u": grid} | {name: value.to(torch.uint8) for name, value in forward.items()}
    for name, (kind, library) in CASES.items():
        out |= {f"{name}/{key}": value for key, value in _case(kind, library, grid).items()}
    return out
