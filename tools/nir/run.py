"""Runs `.nir` files in another library.

    python run.py snntorch|norse FOLDER

For each `<case>.nir` of the folder, `<case>.x.npz` holds the input `x` `[T, B, features...]`; `<case>.y.npz` gets `y`, what the
library's importer makes of the file, step by step. Each sample runs alone and without batch axis, which both libraries would
flatten away (`Flatten(0, -1)`). The time step is that of the file's metadata, where the library takes one.
"""

import sys
from pathlib import Path

import nir
import numpy as np
import torch


def snntorch(graph: nir.NIRGraph):
    from snntorch.import_nir import import_from_nir

    net = import_from_nir(graph)  # the step of 1e-4 is built in
    return lambda x: net(x)[0]


def norse(graph: nir.NIRGraph):
    from norse.torch.utils.import_nir import from_nir

    net, state = from_nir(graph, dt=float(graph.metadata["sim"]["dt"])), None

    def step(x):
        nonlocal state
        y, state = net(x, state)
        return y

    return step


def run(library, path: Path) -> None:
    x = torch.from_numpy(np.load(path.with_suffix(".x.npz"))["x"]).float()
    samples = []
    for sample in x.unbind(1):
        step = library(nir.read(path))  # anew, at rest
        with torch.no_grad():
            samples.append(torch.stack([step(frame) for frame in sample]))
    y = torch.stack(samples, 1)
    np.savez(path.with_suffix(".y.npz"), y=y.numpy().astype(np.float32))


def main() -> None:
    library, folder = sys.argv[1:]
    for path in sorted(Path(folder).glob("*.nir")):
        run({"snntorch": snntorch, "norse": norse}[library], path)


if __name__ == "__main__":
    main()
