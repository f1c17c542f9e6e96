"""Loihi's current-based neurons in numpy, as published integer networks use them: an independent reference for
`snn-bench import` and `run --counts`.

    python3 cuba.py net.toml recording.bin

prints the spikes of each output, separated by blanks. Needs Python 3.11 (tomllib) and numpy. Recordings are those of N-MNIST
(40 bits an event). The formulas stand at `step`; nothing is shared with the Rust sources.
"""

import sys
import tomllib
from pathlib import Path

import numpy as np


def events(path):
    raw = np.fromfile(path, dtype=np.uint8).astype(np.int64).reshape(-1, 5)
    t = ((raw[:, 2] & 0x7F) << 16) | (raw[:, 3] << 8) | raw[:, 4]
    return raw[:, 0], raw[:, 1], raw[:, 2] >> 7, t  # x, y, polarity, microseconds


def frames(path, shape, binning):
    x, y, p, t = events(path)
    bins = np.round(t / binning["bin_us"]).astype(np.int64)  # numpy rounds halves to even
    c, h, w = shape
    spikes = np.zeros((binning["n_steps"], c, h, w), dtype=np.int64)
    inside = (bins < binning["n_steps"]) & (x < w) & (y < h)
    spikes[bins[inside], p[inside], y[inside], x[inside]] = 1
    return spikes


def toward_zero(v, keep):
    return np.sign(v) * ((np.abs(v) * keep) >> 12)


def dense(weight, s):
    return weight.reshape(-1, s.size) @ s.reshape(-1)


def conv(weight, s, stride, padding):
    o, _, kh, kw = weight.shape
    s = np.pad(s, ((0, 0), (padding, padding), (padding, padding)))
    oh, ow = (s.shape[1] - kh) // stride + 1, (s.shape[2] - kw) // stride + 1
    out = np.zeros((o, oh, ow), dtype=np.int64)
    for y in range(oh):
        for x in range(ow):
            window = s[:, y * stride : y * stride + kh, x * stride : x * stride + kw]
            out[:, y, x] = np.tensordot(weight, window, axes=3)
    return out


def sum_pool(weight, s, kernel):
    c, h, w = s.shape
    s = s[:, : h // kernel * kernel, : w // kernel * kernel]
    return weight * s.reshape(c, h // kernel, kernel, w // kernel, kernel).sum(axis=(2, 4))


class Layer:
    def __init__(self, fields, common, arrays):
        self.fields = fields
        get = lambda key: fields.get(key, common.get(key))
        self.threshold, self.du, self.dv = get("threshold"), get("current_decay"), get("voltage_decay")
        self.weight = arrays[fields["weight"]].astype(np.int64) if isinstance(fields["weight"], str) else fields["weight"]
        self.u = self.v = 0
        self.spikes = []

    def total(self, s):
        kind = self.fields["kind"]
        if kind == "dense":
            return dense(self.weight, s)
        if kind == "conv2d":
            return conv(self.weight, s, self.fields.get("stride", 1), self.fields.get("padding", 0))
        return sum_pool(self.weight, s, self.fields["kernel"])

    def step(self, s):
        """u = trunc(u (4096 - du) / 4096) + 64 sum(w s); v = trunc(v (4096 - dv) / 4096) + u; spike if v > 64 theta."""
        self.u = toward_zero(self.u, 4096 - self.du) + 64 * self.total(s)
        self.v = toward_zero(self.v, 4096 - self.dv) + self.u
        out = (self.v > 64 * self.threshold).astype(np.int64)
        self.v = np.where(out == 1, 0, self.v)
        self.spikes.append(out)
        delay = self.fields.get("delay", 1)
        return self.spikes[-1 - delay] if len(self.spikes) > delay else np.zeros_like(out)


def counts(description, recording):
    net = tomllib.loads(Path(description).read_text())
    arrays = np.load(Path(description).parent / net["weights"])
    layers = [Layer(fields, net.get("neuron", {}), arrays) for fields in net["layers"]]
    spikes = frames(recording, net["input"], net["binning"])
    for s in spikes[net["binning"].get("first_step", 0) :]:
        for layer in layers:
            s = layer.step(s)
    return sum(layers[-1].spikes)


if __name__ == "__main__":
    print(" ".join(str(n) for n in counts(sys.argv[1], sys.argv[2])))
