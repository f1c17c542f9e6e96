"""Says whether h5py and `nir` read the same from two `.nir` files.

    python compare.py A.nir B.nir

Exits with 1 and names the first entry that differs in value, shape or type. The order of edges, which some exporters leave to
chance, plays no part.
"""

import sys

import h5py
import nir
import numpy as np


def difference(a, b, path: str) -> str | None:
    """Where two values or dictionaries differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return f"{path}: {sorted(a)} and {sorted(b)}"
        return next((d for key in a if (d := difference(a[key], b[key], f"{path}/{key}"))), None)
    a, b = np.asarray(a), np.asarray(b)
    is_flag = bool in (a.dtype, b.dtype)  # kept as 0 and 1
    if a.shape != b.shape or not np.array_equal(a, b) or (a.dtype != b.dtype and not is_flag):
        return f"{path}: {a.dtype} {a.shape} {a} and {b.dtype} {b.shape} {b}"
    return None


def entries(path) -> dict:
    """All that the file says; edges are sorted."""
    with h5py.File(path, "r") as file:
        found = nir.serialization.hdf2dict(file)
    _sort_edges(found["node"])
    return found


def _sort_edges(node: dict) -> None:
    for child in node.get("nodes", {}).values():
        _sort_edges(child)
    if "edges" in node:
        node["edges"] = sorted(map(tuple, node["edges"]))


def files(a, b) -> str | None:
    """Where two files differ."""
    return difference(entries(a), entries(b), "")


def main() -> int:
    a, b = sys.argv[1:]
    for path in (a, b):
        nir.read(path, type_check=False)
    found = files(a, b)
    print(found or "same")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
