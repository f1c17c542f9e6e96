"""Makes the NIR files in tests/golden/nir, or checks them.

    python make_golden.py nir snntorch norse spikingjelly     # with requirements.txt
    python make_golden.py sinabs                              # with requirements-sinabs.txt
    python make_golden.py --check snntorch                    # make again elsewhere and compare with the committed ones

`<library>.npz` has for each case of cases.py the input `<case>/x`, the output `<case>/y`, and in `<case>/nir` the bytes of the file
that `nir.write` makes of the library's export; packed, since most of such a file is zeros. MANIFEST.toml has the versions,
sizes and hashes.
"""

import argparse
import hashlib
import importlib.metadata
import io
import os
import platform
import sys
import tempfile
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "golden"))

import nir
import numpy as np
import torch

import cases
import compare
import npz

FOLDER = HERE.parents[1] / "tests" / "golden" / "nir"
COMMON = ("torch", "numpy", "h5py", "nir", "nirtorch")


def file_bytes(graph) -> np.ndarray:
    """What `nir.write` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.nir"
        nir.write(path, graph)
        return np.frombuffer(path.read_bytes(), dtype=np.uint8)


def make(library: str, folder: Path) -> Path:
    """Writes the file of one library into `folder`."""
    arrays = {}
    for case in cases.LIBRARIES[library]:
        graph, x, y = case()
        arrays[f"{case.__name__}/nir"] = file_bytes(graph)
        if x is None:
            continue
        y = y.detach().numpy()
        if not set(np.unique(y)) == {0.0, 1.0}:
            raise ValueError(f"{case.__name__}: outputs are {np.unique(y)}, not both 0 and 1")
        arrays[f"{case.__name__}/x"] = x.numpy().astype(np.uint8)
        arrays[f"{case.__name__}/y"] = y.astype(np.uint8)
        print(f"{case.__name__}: {int(y.sum())} of {y.size} outputs are spikes")
    path = folder / f"{library}.npz"
    npz.write(path, arrays)
    return path


def write_manifest(library: str, file: Path) -> None:
    """Versions, size and hash of the library's file; those of other libraries stay."""
    path = FOLDER / "MANIFEST.toml"
    sections = {}
    if path.exists():
        for section in path.read_text().split("\n[")[1:]:
            title, _, body = section.partition("]\n")
            sections[title] = body.strip()
    own = [f'python = "{platform.python_version()}"']
    own += [f'{name} = "{importlib.metadata.version(name)}"' for name in dict.fromkeys((*COMMON, library))]
    sections[f"versions.{library}"] = "\n".join(own)
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    sections[f'files."{file.name}"'] = f'bytes = {len(data)}\nsha256 = "{digest}"'
    text = "".join(f"\n[{title}]\n{sections[title]}\n" for title in sorted(sections))
    path.write_text("# Written by tools/nir/make_golden.py\n" + text)


def check(library: str) -> bool:
    """Makes the file again and compares values with the committed one."""
    committed = npz.read(FOLDER / f"{library}.npz")
    with tempfile.TemporaryDirectory() as folder:
        fresh = npz.read(make(library, Path(folder)))
    graphs = [key for key in committed.keys() & fresh.keys() if key.endswith("/nir")]
    pairs = [(io.BytesIO(committed.pop(key)), io.BytesIO(fresh.pop(key))) for key in graphs]
    difference = npz.difference(committed, fresh) or next(filter(None, map(compare.files, *zip(*pairs))), None)
    print(f"{library}: {difference or 'same values'}")
    return difference is None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("libraries", nargs="+", choices=cases.LIBRARIES)
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.check:
        return 0 if all([check(library) for library in args.libraries]) else 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    for library in args.libraries:
        write_manifest(library, make(library, FOLDER))
    return 0


if __name__ == "__main__":
    sys.exit(main())
