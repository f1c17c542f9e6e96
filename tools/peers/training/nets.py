"""The same network in each framework. Each builder gives the parameters by our names, and a function from input to the
outputs of all steps."""

from functools import partial

import torch
from torch import nn

from works import BETA, layers


def copy_in(parameter, array):
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(array))
    return parameter


def weighted(bits):
    """Convolution and product, with weights of some bits by Brevitas or in float."""
    if not bits:
        return nn.Conv2d, nn.Linear
    import brevitas.nn as qnn

    return partial(qnn.QuantConv2d, weight_bit_width=bits), partial(qnn.QuantLinear, weight_bit_width=bits)


def common(kind, name, sizes, arrays, params, work):
    """Layers that all frameworks take from PyTorch."""
    conv2d, linear = weighted(work.weight_bits)
    if kind == "conv":
        n, channels, kernel, padding = sizes
        layer = conv2d(channels, n, kernel, padding=padding, bias="BN" not in work.notation)
    elif kind == "fc":
        layer = linear(sizes[1], sizes[0], bias=True)
    elif kind == "bn":
        layer = nn.BatchNorm2d(sizes[0])
        params[f"{name}.gamma"], params[f"{name}.beta"] = layer.weight, layer.bias
        return layer
    else:
        return nn.MaxPool2d(2) if kind == "pool" else nn.Flatten()
    params[f"{name}.weight"] = copy_in(layer.weight, arrays[f"{name}.weight"])
    if layer.bias is not None:
        params[f"{name}.bias"] = copy_in(layer.bias, arrays[f"{name}.bias"])
    return layer


def snntorch(work, arrays):
    import snntorch as snn
    from snntorch import surrogate, utils
    from snntorch.functional import quant

    params, modules = {}, []
    network = layers(work)
    states = {"state_quant": quant.state_quant(work.state_bits, uniform=False)} if work.state_bits else {}
    for i, (kind, name, sizes) in enumerate(network):
        settings = dict(beta=BETA, spike_grad=surrogate.atan(alpha=2.0), init_hidden=True, output=i + 1 == len(network))
        settings |= states
        if kind == "lif":
            modules.append(snn.Leaky(**settings))
        elif kind == "rlif":
            neuron = snn.RLeaky(linear_features=sizes[0], **settings)
            params[f"{name}.recurrent"] = copy_in(neuron.recurrent.weight, arrays[f"{name}.recurrent"])
            params[f"{name}.recurrent_bias"] = copy_in(neuron.recurrent.bias, arrays[f"{name}.recurrent_bias"])
            modules.append(neuron)
        else:
            modules.append(common(kind, name, sizes, arrays, params, work))
    net = nn.Sequential(*modules)

    def run(x):
        utils.reset(net)
        return torch.stack([net(step)[0] for step in x])

    return params, run


def spikingjelly(work, arrays):
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    if work.quantization() or "RLIF" in work.notation:
        return None
    params, modules = {}, []
    for kind, name, sizes in layers(work):
        if kind == "lif":
            atan = surrogate.ATan(alpha=2.0)
            modules.append(neuron.LIFNode(2.0, False, 1.0, None, atan, True))
        else:
            plain = common(kind, name, sizes, arrays, params, work)
            modules.append(layer.SeqToANNContainer(plain))
    net = nn.Sequential(*modules)
    functional.set_step_mode(net, "m")

    def run(x):
        functional.reset_net(net)
        return net(x)

    return params, run


def norse(work, arrays):
    import norse.torch as nt
    from norse.torch.functional.lif_box import LIFBoxParameters
    from norse.torch.functional.reset import reset_subtract

    if work.quantization() or "RLIF" in work.notation or "BN" in work.notation:
        return None
    # Half of the input arrives, so that weights and biases are doubled; their gradients are halved again below.
    doubled = {name: array * 2 for name, array in arrays.items() if name != "x"}
    params, modules = {}, []
    for kind, name, sizes in layers(work):
        if kind == "lif":
            cell = LIFBoxParameters(tau_mem_inv=torch.as_tensor(500.0), reset_method=reset_subtract)
            modules.append(nt.LIFBoxCell(p=cell, dt=0.001))
        else:
            modules.append(common(kind, name, sizes, doubled, params, work))
    net = nt.SequentialState(*modules)

    def run(x):
        state, steps = None, []
        for step in x:
            out, state = net(step, state)
            steps.append(out)
        return torch.stack(steps)

    return params, run


class Scan(torch.autograd.Function):
    """A LIF layer over all steps by hand: it saves the membrane only."""

    @staticmethod
    def forward(ctx, x):
        mem, spikes = torch.empty_like(x), torch.empty_like(x)
        mem[0] = x[0]
        spikes[0] = mem[0] > 1
        for t in range(1, len(x)):
            torch.add(x[t], mem[t - 1], alpha=BETA, out=mem[t])
            mem[t].sub_(spikes[t - 1])
            spikes[t] = mem[t] > 1
        ctx.save_for_backward(mem)
        return spikes

    @staticmethod
    def backward(ctx, g):
        (mem,) = ctx.saved_tensors
        gx = g / (1 + (torch.pi * (mem - 1)) ** 2)
        for t in range(len(gx) - 2, -1, -1):
            gx[t].add_(gx[t + 1], alpha=BETA)
        return gx


def torch_by_hand(work, arrays):
    if work.quantization() or "RLIF" in work.notation:
        return None
    params, modules = {}, []
    for kind, name, sizes in layers(work):
        modules.append(None if kind == "lif" else common(kind, name, sizes, arrays, params, work))

    def run(x):
        steps, batch = x.shape[:2]
        x = x.flatten(0, 1)
        for module in modules:
            x = module(x) if module else Scan.apply(x.unflatten(0, (steps, batch))).flatten(0, 1)
        return x.unflatten(0, (steps, batch))

    return params, run


PEERS = {"snntorch": snntorch, "spikingjelly": spikingjelly, "norse": norse, "torch_by_hand": torch_by_hand}
# The neuron that ours is given beside each.
NEURON = {"snntorch": "snntorch", "spikingjelly": "spikingjelly", "norse": "norse", "torch_by_hand": "snntorch"}
