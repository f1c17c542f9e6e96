"""Small networks of each library, run over spikes and exported by the library itself.

A case is a function without arguments that returns the library's NIR graph, the input and the output, both `[T, ...]`.
Decays and thresholds are dyadic where the library lets them be. Weights come from `tools/golden/inputs.py`.
"""

import numpy as np
import torch

import inputs

T = 40
DT_NORSE = 1e-3


def _draw(module: torch.nn.Module, seed: int, bound: float) -> None:
    """Fills the weights of layers with numbers in ±bound, and their biases with small positive ones."""
    for k, p in enumerate(p for m in module.modules() for p in m.parameters(recurse=False) if _has_weights(m)):
        low, high = (-bound, bound) if p.dim() > 1 else (0.0, bound / 4)
        p.data = inputs.uniform(p.shape, seed + k, low, high, torch.float32)


def _has_weights(module: torch.nn.Module) -> bool:
    return isinstance(module, (torch.nn.Linear, torch.nn.Conv2d))


def _spikes(shape, seed: int) -> torch.Tensor:
    return inputs.spikes((T, *shape), seed, 0.4, torch.float32)


@torch.no_grad()
def _steps(net, x: torch.Tensor) -> torch.Tensor:
    """Runs a network with hidden state over `[T, ...]`, each step as a batch of one."""
    return torch.stack([net(step[None])[0] for step in x])


def _snntorch(net, shape, seed: int, bound: float):
    from snntorch.export_nir import export_to_nir

    _draw(net, seed, bound)
    x = _spikes(shape, seed + 50)
    # without `ignore_dims` the batch axis of the sample becomes part of the graph, and `nir` refuses it
    graph = export_to_nir(net, x[:1], ignore_dims=[0])
    for module in net.modules():
        if hasattr(module, "reset_mem"):
            module.reset_mem()
    return graph, x, _steps(net, x)


def _leaky(shape, beta: float, threshold=1.0, **kwargs):
    """Parameters as arrays: from single numbers snnTorch makes nodes that `nir` refuses."""
    import snntorch

    settings = {"reset_mechanism": "zero", "reset_delay": False} | kwargs
    threshold = torch.as_tensor(threshold).expand(shape).clone()
    return snntorch.Leaky(beta=torch.full(shape, beta), threshold=threshold, init_hidden=True, **settings)


def snntorch_leaky():
    net = torch.nn.Sequential(
        torch.nn.Linear(12, 16), _leaky((16,), 0.875), torch.nn.Linear(16, 8, bias=False), _leaky((8,), 0.75, 0.5)
    )
    return _snntorch(net, (12,), 100, 0.75)


def snntorch_subtract():
    """snnTorch's defaults, which its files do not tell from the hard reset."""
    default = {"reset_mechanism": "subtract", "reset_delay": True}
    net = torch.nn.Sequential(
        torch.nn.Linear(12, 16), _leaky((16,), 0.875, **default), torch.nn.Linear(16, 8), _leaky((8,), 0.75, **default)
    )
    return _snntorch(net, (12,), 200, 0.75)


def snntorch_thresholds():
    net = torch.nn.Sequential(torch.nn.Linear(12, 8), _leaky((8,), 0.875, torch.arange(4, 12) / 8))
    return _snntorch(net, (12,), 300, 0.75)


def snntorch_conv():
    net = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1),
        torch.nn.AvgPool2d(2),
        _leaky((4, 4, 4), 0.75, 0.5),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 6),
        _leaky((6,), 0.875),
    )
    return _snntorch(net, (2, 8, 8), 400, 0.5)


def snntorch_synaptic():
    import snntorch

    neuron = snntorch.Synaptic(
        alpha=torch.full((8,), 0.5),
        beta=torch.full((8,), 0.75),
        threshold=torch.ones(8),
        init_hidden=True,
        reset_mechanism="zero",
        reset_delay=False,
    )
    return _snntorch(torch.nn.Sequential(torch.nn.Linear(12, 8), neuron), (12,), 500, 0.5)


def snntorch_rleaky():
    import snntorch

    neuron = snntorch.RLeaky(
        beta=0.875, linear_features=8, init_hidden=True, reset_mechanism="zero", reset_delay=False
    )
    net = torch.nn.Sequential(torch.nn.Linear(12, 8), neuron, torch.nn.Linear(8, 6), _leaky((6,), 0.75))
    return _snntorch(net, (12,), 600, 0.75)


def _norse(net, shape, seed: int, bound: float):
    from norse.torch.utils.export_nir import to_nir

    _draw(net, seed, bound)
    x = _spikes(shape, seed + 50)
    graph = to_nir(net, x[0], dt=DT_NORSE)
    spikes, state = [], None
    with torch.no_grad():
        for step in x:
            spike, state = net(step, state)
            spikes.append(spike)
    return graph, x, torch.stack(spikes)


def _lif_box(n: int, tau_mem_inv: float, threshold: torch.Tensor, v_leak: float = 0.0):
    import norse.torch as norse

    parameters = norse.LIFBoxParameters(
        tau_mem_inv=torch.full((n,), tau_mem_inv),
        v_th=threshold.expand(n).clone(),
        v_leak=torch.full((n,), v_leak),
        v_reset=torch.full((n,), v_leak),
    )
    return norse.LIFBoxCell(parameters, dt=DT_NORSE)


def norse_lif_box():
    import norse.torch as norse

    first = _lif_box(16, 125.0, torch.arange(2, 18) / 32)
    second = _lif_box(8, 250.0, torch.tensor(0.125))
    net = norse.SequentialState(torch.nn.Linear(12, 16), first, torch.nn.Linear(16, 8), second)
    return _norse(net, (12,), 700, 2.0)


def norse_iaf():
    import norse.torch as norse

    first, second = (norse.IAFCell(norse.IAFParameters(v_th=torch.full((n,), v))) for n, v in ((16, 2.0), (8, 1.5)))
    net = norse.SequentialState(torch.nn.Linear(12, 16), first, torch.nn.Linear(16, 8), second)
    return _norse(net, (12,), 800, 0.75)


def norse_leak():
    """A leak potential, to which spikes reset; but Norse writes `v_reset` as 0."""
    import norse.torch as norse

    net = norse.SequentialState(torch.nn.Linear(12, 8), _lif_box(8, 125.0, torch.tensor(0.5), 0.25))
    return _norse(net, (12,), 900, 2.0)


def _spikingjelly(net, shape, seed: int, bound: float):
    from spikingjelly.activation_based import functional
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    _draw(net, seed, bound)
    x = _spikes(shape, seed + 50)
    graph = export_to_nir(net, x[:1])
    functional.reset_net(net)
    return graph, x, _steps(net, x)


def spikingjelly_lif():
    from spikingjelly.activation_based import neuron

    net = torch.nn.Sequential(
        torch.nn.Linear(12, 16),
        neuron.LIFNode(tau=4.0, v_threshold=0.5),
        torch.nn.Linear(16, 8),
        neuron.LIFNode(tau=2.0, decay_input=False, v_threshold=1.0, v_reset=0.25),
    )
    return _spikingjelly(net, (12,), 1000, 1.0)


def spikingjelly_conv():
    from spikingjelly.activation_based import layer, neuron

    net = torch.nn.Sequential(
        layer.Conv2d(2, 4, 3, stride=2, bias=False),
        neuron.IFNode(v_threshold=1.0),
        layer.Flatten(),
        layer.Linear(36, 6, bias=False),
        neuron.IFNode(v_threshold=1.5),
    )
    return _spikingjelly(net, (2, 8, 8), 1100, 0.75)


def sinabs_conv():
    import sinabs.activation
    import sinabs.layers
    from sinabs.nir import to_nir

    one = {"batch_size": 1, "spike_fn": sinabs.activation.SingleSpike}
    tau, threshold = torch.full((6,), 8.0), torch.full((6,), 0.75)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, bias=False),
        sinabs.layers.IAFSqueeze(spike_threshold=torch.tensor(1.0), **one),
        sinabs.layers.SumPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(36, 6),
        sinabs.layers.LIFSqueeze(tau_mem=tau, spike_threshold=threshold, norm_input=False, **one),
    )
    _draw(net, 1200, 0.5)
    x = _spikes((2, 8, 8), 1250)
    with torch.no_grad():
        y = net(x)
    graph = to_nir(net, x)
    # Sinabs leaves the inputs of `Conv2d` and `Flatten` open, which `nir` 1.0.4 cannot write
    graph.nodes["0"].input_shape = (8, 8)
    graph.nodes["3"].input_type = {"input": np.array([4, 3, 3])}
    return graph, x, y


def nir_all():
    """One node of each type and a subgraph, with metadata of all kinds, by `nir` itself. It computes nothing."""
    import nir

    n = np.arange(1, 4) / 4
    image = {"stride": (2, 1), "padding": (1, 0)}
    conv = {"dilation": 1, "groups": 1, "bias": np.zeros(4, np.float32)}
    metadata = {"text": "τ > 0", "number": 0.5, "count": 3, "flag": True, "inner": {"levels": np.arange(-2, 2, dtype=np.int16)}}
    nodes = [
        nir.Input(np.array([2, 8, 8])),
        nir.Output(np.array([4])),
        nir.Affine(np.ones((4, 3), np.float32), np.arange(4, dtype=np.int32)),
        nir.Linear(np.array([[-7, 0, 7], [1, -1, 3]], np.int8)),
        nir.Conv1d(input_shape=9, weight=np.ones((4, 2, 3), np.float32), stride=1, padding="same", **conv),
        nir.Conv2d(input_shape=(8, 8), weight=np.ones((4, 2, 3, 3)), **image, **conv),
        nir.AvgPool2d(np.array([2, 2]), np.array([2, 1]), np.array([0, 0])),
        nir.SumPool2d(np.array([2, 2]), np.array([2, 1]), np.array([0, 0])),
        nir.Flatten({"input": np.array([2, 8, 8])}, 0, -1),
        nir.Scale(n),
        nir.Threshold(n),
        nir.Delay(n),
        nir.I(n),
        nir.LI(n, n, n),
        nir.IF(n, n, n),
        nir.LIF(n, n, n, n, n, metadata=metadata),
        nir.CubaLI(n, n, n, n),
        nir.CubaLIF(n, n, n, n, n, n, n),
    ]
    names = [type(node).__name__.lower() for node in nodes]
    edges = list(zip(names, names[1:]))
    # `type_check=False` does not reach subgraphs, so this one has to fit together
    inner = nir.NIRGraph(
        {"in": nir.Input(np.array([3])), "lif": nir.LIF(n, n, n, n), "w": nir.Linear(np.eye(3)), "out": nir.Output(np.array([3]))},
        [("in", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "out")],
        metadata={"text": ""},
    )
    outer = dict(zip(names, nodes)) | {"graph": inner}
    return nir.NIRGraph(outer, edges, metadata=metadata, type_check=False), None, None


LIBRARIES = {
    "nir": [nir_all],
    "snntorch": [
        snntorch_leaky,
        snntorch_subtract,
        snntorch_thresholds,
        snntorch_conv,
        snntorch_synaptic,
        snntorch_rleaky,
    ],
    "norse": [norse_lif_box, norse_iaf, norse_leak],
    "spikingjelly": [spikingjelly_lif, spikingjelly_conv],
    "sinabs": [sinabs_conv],
}
