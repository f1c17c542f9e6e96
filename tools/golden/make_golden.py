"""Makes the reference arrays in tests/golden, or checks them.

    python make_golden.py                      # all files and MANIFEST.toml
    python make_golden.py neurons hessian      # only these
    python make_golden.py --check              # make all again elsewhere and compare with the committed ones

Install requirements.txt first. README.md beside this file says what each array is.
"""

import argparse
import hashlib
import importlib
import importlib.metadata
import os
import platform
import sys
import tempfile
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""
import torch

import npz

TOPICS = ("neurons", "surrogates", "bptt", "hessian", "losses_optim", "state_quant")
PACKAGES = ("torch", "snntorch", "spikingjelly", "norse", "numpy")
GOLDEN_DIR = Path(__file__).resolve().parents[2] / "tests" / "golden"
MAX_TOTAL_BYTES = 1_000_000


def make(topic: str, folder: Path) -> None:
    """Writes the file or files of one topic into `folder`."""
    made = importlib.import_module(topic).make()
    for name, arrays in made.items() if topic == "bptt" else [(topic, made)]:
        path = folder / f"{name}.npz"
        npz.write(path, arrays)
        print(f"{path.name}: {path.stat().st_size} bytes, {len(arrays)} arrays")


def write_manifest(folder: Path) -> None:
    """Versions, and sizes and hashes of all files."""
    lines = ["# Written by tools/golden/make_golden.py", "", "[versions]", f'python = "{platform.python_version()}"']
    lines += [f'{name} = "{importlib.metadata.version(name)}"' for name in PACKAGES]
    for path in sorted(folder.glob("*.npz")):
        data = path.read_bytes()
        lines += ["", f'[files."{path.name}"]', f"bytes = {len(data)}"]
        lines += [f'sha256 = "{hashlib.sha256(data).hexdigest()}"']
    (folder / "MANIFEST.toml").write_text("\n".join(lines) + "\n")


def compare(fresh: Path, committed: Path) -> tuple[bool, str]:
    """Whether two files hold the same values up to rounding, and what to say about them."""
    if not committed.exists():
        return False, "not committed"
    if fresh.read_bytes() == committed.read_bytes():
        return True, "same bytes"
    difference = npz.difference(npz.read(committed), npz.read(fresh))
    return difference is None, difference or "same values up to rounding, other bytes"


def check(topics: list[str]) -> bool:
    """Makes the files again and compares them with the committed ones."""
    all_same = True
    with tempfile.TemporaryDirectory() as folder:
        for topic in topics:
            make(topic, Path(folder))
        for fresh in sorted(Path(folder).glob("*.npz")):
            same, message = compare(fresh, GOLDEN_DIR / fresh.name)
            print(f"{fresh.name}: {message}")
            all_same &= same
    return all_same


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"one of {', '.join(TOPICS)}; default all")
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    args = parser.parse_args()
    if unknown := set(args.topics) - set(TOPICS):
        parser.error(f"unknown topic {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    topics = args.topics or list(TOPICS)
    if args.check:
        return 0 if check(topics) else 1
    GOLDEN_DIR.mkdir(parents=True, exist_ok=True)
    for topic in topics:
        make(topic, GOLDEN_DIR)
    write_manifest(GOLDEN_DIR)
    total = sum(path.stat().st_size for path in GOLDEN_DIR.glob("*.npz"))
    print(f"{total} bytes in all")
    return 0 if total < MAX_TOTAL_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
