"""Reproducible .npz files: sorted entries, fixed dates, so that the same arrays give the same bytes."""

import io
import zipfile
from pathlib import Path

import numpy as np
import torch

_DATE = (1980, 1, 1, 0, 0, 0)


def to_numpy(value):
    """A C-order numpy array of a tensor, array, number or nested list."""
    if torch.is_tensor(value):
        value = value.detach().cpu().numpy()
    return np.ascontiguousarray(value).reshape(np.shape(value))


def write(path: Path, arrays: dict) -> None:
    """Writes `arrays` (key to tensor, array or number) as a compressed .npz."""
    with zipfile.ZipFile(path, "w") as archive:
        for key in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, to_numpy(arrays[key]), version=(1, 0))
            entry = zipfile.ZipInfo(f"{key}.npy", date_time=_DATE)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, buffer.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)


def read(path: Path) -> dict:
    """All arrays of an .npz, by key."""
    with np.load(path) as archive:
        return {key: archive[key] for key in archive.files}


def difference(want: dict, got: dict) -> str | None:
    """Says where `got` differs from `want` beyond rounding, or None."""
    if want.keys() != got.keys():
        return f"keys differ: {sorted(want.keys() ^ got.keys())}"
    for key in sorted(want):
        a, b = want[key], got[key]
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"{key}: {a.dtype}{a.shape} became {b.dtype}{b.shape}"
        rtol, atol = {"f8": (1e-11, 1e-13), "f4": (1e-4, 1e-6)}.get(a.dtype.str[1:], (0, 0))
        if not np.allclose(a, b, rtol=rtol, atol=atol):
            return f"{key}: largest difference {np.abs(a - b).max()}"
    return None
