"""The works that are compared: networks in our notation, inputs, weights and labels, all drawn from splitmix64, so that
anyone can make the same numbers in another language."""

from dataclasses import dataclass, replace

import numpy as np

BETA = 0.5


@dataclass(frozen=True)
class Work:
    """One network on one input, in float or trained quantized."""

    notation: str
    input: tuple
    density: float
    classes: int
    batch: int
    steps: int
    gains: tuple
    # Widths of weights (even levels up to the greatest of a tensor) and of membranes (snnTorch's levels around the threshold).
    weight_bits: int | None = None
    state_bits: int | None = None
    # What is timed: a training `step`, a `forward` pass, or a Hutchinson `probe`.
    measure: str = "step"

    def quantization(self):
        """Such as `w4s4`; empty in float."""
        widths = [("w", self.weight_bits), ("s", self.state_bits)]
        return "".join(f"{part}{bits}" for part, bits in widths if bits)

    def float(self):
        """The same in float."""
        return replace(self, weight_bits=None, state_bits=None)


NMNIST = ("12C5-P2-LIF-32C5-P2-LIF-10-LIF", (2, 34, 34), 0.03, 10)
BLOCK = "32C3p1-BN-LIF-P2"
GAINS = {
    "nmnist": (3.3, 2.2, 8.0),
    "gesture_32": (5.0, 2.5, 2.5, 2.6, 4.0),
    "gesture_128": (5.0, 2.5, 2.5, 2.5, 2.5, 2.6, 4.0),
}
WORKS = {
    "train_nmnist_b32_t10": Work(*NMNIST, 32, 10, GAINS["nmnist"]),
    "train_nmnist_b32_t25": Work(*NMNIST, 32, 25, GAINS["nmnist"]),
    "train_nmnist_b128_t10": Work(*NMNIST, 128, 10, GAINS["nmnist"]),
    "train_nmnist_b128_t25": Work(*NMNIST, 128, 25, GAINS["nmnist"]),
    "train_fc": Work("1000-LIF-10-LIF", (784,), 0.13, 10, 128, 25, (3.5, 6.0)),
    "train_rsnn": Work("256-RLIF-20-LIF", (700,), 0.02, 20, 64, 100, (9.0, 9.0)),
    "train_gesture_32": Work("-".join([BLOCK] * 3 + ["256-LIF-11-LIF"]), (2, 32, 32), 0.05, 11, 16, 16, GAINS["gesture_32"]),
    "train_gesture_128": Work("-".join([BLOCK] * 5 + ["256-LIF-11-LIF"]), (2, 128, 128), 0.05, 11, 4, 16, GAINS["gesture_128"]),
}
WORKS["hessian"] = replace(WORKS["train_nmnist_b32_t10"], measure="probe")
WORKS["infer_b128"] = replace(WORKS["train_nmnist_b128_t25"], measure="forward")
QUANTIZED = {"nmnist": WORKS["train_nmnist_b32_t25"], "fc": WORKS["train_fc"]}
WORKS |= {f"qat_{name}_w4s4": replace(work, weight_bits=4, state_bits=4) for name, work in QUANTIZED.items()}
WORKS |= {f"qat_{name}_s8": replace(work, state_bits=8) for name, work in QUANTIZED.items()}


def splitmix(seed, n):
    """The first n numbers of splitmix64 from this state, as floats in [0, 1) with 24 bits."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)


def uniform(shape, gain, seed):
    """Uniform in +-gain / sqrt(fan in)."""
    bound = np.float32(gain / np.sqrt(np.prod(shape[1:])))
    return ((splitmix(seed, int(np.prod(shape))) * 2 - 1) * bound).reshape(shape)


def directions(work, lanes):
    """For each lane a random sign for each parameter."""
    made = {}
    parameters = {key: array for key, array in arrays(work).items() if key not in ("x", "labels")}
    for lane in range(lanes):
        for i, (name, array) in enumerate(parameters.items()):
            signs = np.where(splitmix(5000 + 100 * lane + i, array.size) < 0.5, -1, 1)
            made[f"{lane}/{name}"] = signs.astype(np.float32).reshape(array.shape)
    return made


def layers(work):
    """The network as a list of (kind, name, sizes); the sizes of weights are those of PyTorch."""
    channels, side, flat = work.input[0], work.input[-1], len(work.input) == 1
    features, counts, out = (channels if flat else None), {}, []

    def name(kind):
        counts[kind] = counts.get(kind, 0) + 1
        return f"{kind}{counts[kind]}"

    for token in work.notation.split("-"):
        if token == "LIF":
            out.append(("lif", name("lif"), ()))
        elif token == "RLIF":
            out.append(("rlif", name("lif"), (features,)))
        elif token == "BN":
            out.append(("bn", name("bn"), (channels,)))
        elif token == "P2":
            side //= 2
            out.append(("pool", None, ()))
        elif "C" in token:
            n, rest = token.split("C")
            padding = 1 if rest.endswith("p1") else 0
            kernel = int(rest[0])
            out.append(("conv", name("conv"), (int(n), channels, kernel, padding)))
            channels, side = int(n), side + 2 * padding - kernel + 1
        else:
            if features is None:
                out.append(("flatten", None, ()))
                features = channels * side * side
            out.append(("fc", name("fc"), (int(token), features)))
            features = int(token)
    return out


def arrays(work):
    """Input, labels and parameters; weights as PyTorch has them."""
    shape = (work.steps, work.batch, *work.input)
    spikes = splitmix(42, int(np.prod(shape))) < np.float32(work.density)
    made = {"x": spikes.astype(np.float32).reshape(shape)}
    made["labels"] = (np.arange(work.batch) % work.classes).astype(np.float32)
    has_norm = "BN" in work.notation
    weighted = 0
    for kind, name, sizes in layers(work):
        if kind in ("conv", "fc"):
            weight = (*sizes[:2], sizes[2], sizes[2]) if kind == "conv" else sizes
            made[f"{name}.weight"] = uniform(weight, work.gains[weighted], 1000 + weighted)
            fan_in = int(np.prod(weight[1:]))
            bias = uniform((weight[0], fan_in), 0.1, 2000 + weighted)[:, 0].copy()
            # In front of a normalization a bias has no effect; peers have none there.
            made[f"{name}.bias"] = bias * np.float32(not (has_norm and kind == "conv"))
            weighted += 1
        elif kind == "rlif":
            n = sizes[0]
            made[f"{name}.recurrent"] = uniform((n, n), 1.0, 3000)
            made[f"{name}.recurrent_bias"] = np.zeros(n, np.float32)
        elif kind == "bn":
            n = sizes[0]
            made[f"{name}.gamma"], made[f"{name}.beta"] = np.ones(n, np.float32), np.zeros(n, np.float32)
            made[f"{name}.stats"] = np.stack([np.zeros(n, np.float32), np.ones(n, np.float32)])
    return made


def transposed(name, array):
    """A weight as we store it, from PyTorch's order, or back: of fully connected layers (in, out)."""
    is_matrix = array.ndim == 2 and (name.startswith("fc") or name.endswith(".recurrent"))
    return np.ascontiguousarray(array.T) if is_matrix else array
