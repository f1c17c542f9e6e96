"""The networks of the works in plain PyTorch, for inference: what tracing and compiling can see through."""

import torch
from torch import nn


class Steps(nn.Module):
    """All layers in a step, step after step, as recordings arrive."""

    def __init__(self, modules, beta):
        super().__init__()
        self.layers, self.beta = nn.ModuleList(modules), beta

    def forward(self, x):
        mems = [torch.zeros(()) for layer in self.layers if isinstance(layer, nn.Identity)]
        outputs = []
        for step in x:
            k = 0
            for layer in self.layers:
                if isinstance(layer, nn.Identity):
                    late = (mems[k] > 1.0).float()
                    mems[k] = self.beta * mems[k] + step - late
                    step = (mems[k] > 1.0).float()
                    k += 1
                else:
                    step = layer(step)
            outputs.append(step)
        return torch.stack(outputs)


class Layers(nn.Module):
    """A layer for all steps at once, then the next: faster, but the whole recording must be there."""

    def __init__(self, modules, beta):
        super().__init__()
        self.layers, self.beta = nn.ModuleList(modules), beta

    def forward(self, x):
        steps, batch = x.shape[:2]
        for layer in self.layers:
            if isinstance(layer, nn.Identity):
                mem, outputs = torch.zeros(()), []
                for drive in x:
                    late = (mem > 1.0).float()
                    mem = self.beta * mem + drive - late
                    outputs.append((mem > 1.0).float())
                x = torch.stack(outputs)
            else:
                x = layer(x.flatten(0, 1)).unflatten(0, (steps, batch))
        return x


def forms(modules, beta, x, with_compile):
    """Each form with its function from input to outputs: eager, traced, compiled where that works."""
    made = {}
    for name, form in [("steps", Steps), ("layers", Layers)]:
        net = form(modules, beta).eval()
        made[f"torch {name}"] = net
        made[f"torch {name}, traced"] = torch.jit.freeze(torch.jit.trace(net, x))
        if not with_compile:
            continue
        try:
            compiled = torch.compile(net)
            compiled(x)
            made[f"torch {name}, compiled"] = compiled
        except Exception as error:  # no compiler on this machine, or one that fails
            print(f"torch.compile of {name}: {str(error).splitlines()[0]}")
    return made
