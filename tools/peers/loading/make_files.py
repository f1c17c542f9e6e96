"""The files that are loaded: 2,000 like N-MNIST's and one like DVS128 Gesture's, from a seed.

Each of the 2,000 has 3,000 to 5,000 events in the 40-bit layout, over 306 ms, in the middle 24x24 of 34x34 pixels. The other has 5 million
events of a 128x128 sensor, 1 or 2 us apart, in AEDAT 3.1 packets of 8,192.
"""

import os

import numpy as np

N_FILES = 2_000
N_EVENTS = 5_000_000
PACKET = 8_192
HEADER = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"


def bin_file(rng):
    n = int(rng.integers(3_000, 5_001))
    t = np.sort(rng.integers(0, 306_000, n))
    x, y = rng.integers(5, 29, n), rng.integers(5, 29, n)
    on = rng.integers(0, 2, n)
    return np.stack([x, y, on << 7 | t >> 16, t >> 8 & 255, t & 255], axis=1).astype(np.uint8)


def write_bins(folder, rng):
    for k in range(N_FILES):
        path = folder / "Train" / str(k % 10) / f"{k:05}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        bin_file(rng).tofile(path)


def write_aedat(path, rng):
    t = np.cumsum(rng.integers(1, 3, N_EVENTS))
    x, y = rng.integers(0, 128, N_EVENTS), rng.integers(0, 128, N_EVENTS)
    on = rng.integers(0, 2, N_EVENTS)
    words = np.stack([x << 17 | y << 2 | on << 1 | 1, t], axis=1).astype("<u4")
    with open(path, "wb") as file:
        file.write(HEADER)
        for start in range(0, N_EVENTS, PACKET):
            packet = words[start : start + PACKET]
            n = len(packet)
            file.write(np.array([1, 1], "<i2").tobytes() + np.array([8, 4, 0, n, n, n], "<i4").tobytes())
            file.write(packet.tobytes())


def make(folder):
    """Writes all files into `folder`, unless that was done."""
    done = folder / "done"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.Generator(np.random.PCG64(1))
        write_bins(folder, rng)
        write_aedat(folder / "gesture.aedat", rng)
        done.touch()


def forget(folder):
    """Has the system forget what it holds of the files, so that it holds them afterwards as it does files that were read, not written.

    Reading the AEDAT file took up to three times as long after it was written here than after it was read from the disk.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    for path in filter(lambda path: path.is_file(), folder.rglob("*.*")):
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)
