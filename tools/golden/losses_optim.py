"""losses_optim.npz: losses with gradients, optimizer trajectories, schedules, gradient clipping."""

import torch
from snntorch import functional as snntorch_losses
from torch import Tensor, optim

import inputs
import losses

T, B, C = 16, 4, 6
N_PARAMS, N_STEPS = 7, 6


def _losses() -> dict:
    rates = {"correct_rate": losses.CORRECT_RATE, "incorrect_rate": losses.INCORRECT_RATE}
    library = {
        "ce_count": snntorch_losses.ce_count_loss(),
        "ce_per_step": snntorch_losses.ce_rate_loss(),
        "mse_count": snntorch_losses.mse_count_loss(**rates),
    }
    ours = {
        "ce_count": losses.ce_count,
        "ce_rate": losses.ce_rate,
        "ce_per_step": losses.ce_per_step,
        "tet": lambda out, y: losses.tet(out, y, weight=0.0625, target=1.0),
        "mse_count": losses.mse_count,
        "smooth_l1": losses.smooth_l1,
    }
    y = torch.tensor([0, 5, 2, 3])
    sources = {"spk": inputs.spikes((T, B, C), 51, 0.3), "mem": inputs.uniform((T, B, C), 52, -1.5, 2.5)}
    out = {"y": y.int(), "spk": sources["spk"].to(torch.uint8), "mem": sources["mem"].float()}
    for source, values in sources.items():
        for name, function in ours.items():
            leaf = values.clone().requires_grad_(True)
            loss = function(leaf, y)
            out[f"{name}/{source}/loss"] = loss
            out[f"{name}/{source}/grad"] = torch.autograd.grad(loss, leaf)[0]
            if name in library:
                assert abs(library[name](values.float(), y) - loss) < 1e-5 * loss, name
    return out


def _optimizers() -> dict:
    """Name to a maker of the optimizer of a parameter list."""
    return {
        "sgd": lambda p: optim.SGD(p, 0.125),
        "sgd_momentum": lambda p: optim.SGD(p, 0.125, momentum=0.875),
        "sgd_nesterov": lambda p: optim.SGD(p, 0.125, momentum=0.875, nesterov=True),
        "sgd_momentum_decay": lambda p: optim.SGD(p, 0.125, momentum=0.875, weight_decay=0.0625),
        "adam": lambda p: optim.Adam(p, 2.0**-6),
        "adam_decay": lambda p: optim.Adam(p, 2.0**-6, betas=(0.875, 0.9375), weight_decay=0.0625),
        "adamw": lambda p: optim.AdamW(p, 2.0**-6, weight_decay=0.0625),
        "adamax": lambda p: optim.Adamax(p, 2.0**-6),
        "adamax_decolle": lambda p: optim.Adamax(p, 2.0**-6, betas=(0.0, 0.9375)),
    }


def _trajectory(maker, start: Tensor, grads: list) -> Tensor:
    param = start.clone().requires_grad_(True)
    optimizer, steps = maker([param]), [start]
    for grad in grads:
        param.grad = grad.clone()
        optimizer.step()
        steps.append(param.detach().clone())
    return torch.stack(steps)


def _trajectories() -> dict:
    start = inputs.uniform((N_PARAMS,), 53, -1, 1)
    grads = [inputs.uniform((N_PARAMS,), 60 + k, -1, 1) for k in range(N_STEPS)]
    out = {f"optim/{name}": _trajectory(maker, start, grads) for name, maker in _optimizers().items()}
    return out | {"optim_start": start.float(), "optim_grads": torch.stack(grads).float()}


def _schedule(maker) -> Tensor:
    """Learning rate in each of 12 epochs, from 1."""
    optimizer = optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    scheduler, rates = maker(optimizer), []
    for _ in range(12):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return torch.tensor(rates, dtype=torch.float64)


def _schedules() -> dict:
    kinds = {
        "cosine": lambda o: optim.lr_scheduler.CosineAnnealingLR(o, 12, eta_min=0.0625),
        "step": lambda o: optim.lr_scheduler.StepLR(o, 4, gamma=0.5),
        "warmup": lambda o: optim.lr_scheduler.LinearLR(o, start_factor=0.25, total_iters=3),
    }
    return {f"schedule/{name}": _schedule(maker) for name, maker in kinds.items()}


def _clipping() -> dict:
    """Two tensors clipped together to the norm of 1.5, and as they are under a bound of 100."""
    grads = [inputs.uniform((N_PARAMS,), 70, -1, 1), inputs.uniform((3, 2), 71, -1, 1)]
    out = {f"clip/grad{i}": grad.float() for i, grad in enumerate(grads)}
    for name, bound in (("bound_1.5", 1.5), ("bound_100", 100.0)):
        params = [torch.zeros_like(grad, requires_grad=True) for grad in grads]
        for param, grad in zip(params, grads):
            param.grad = grad.clone()
        out["clip/norm"] = torch.nn.utils.clip_grad_norm_(params, bound)
        out |= {f"clip/{name}/grad{i}": param.grad for i, param in enumerate(params)}
    return out


def make() -> dict:
    """All arrays of losses_optim.npz."""
    return _losses() | _trajectories() | _schedules() | _clipping()
