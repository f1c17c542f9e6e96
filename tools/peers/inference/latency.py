"""Inference of one recording at a time, and of 128: our integer engine and our float path beside snnTorch and PyTorch, in one run.

Programs take turns of several runs, so that each finds its weights and code where its own run left them. Before any time counts, the spikes of all float networks must be the same, but for one in a hundred that rounding may flip.
Prints a table, and a JSON line for each work.

    python3 latency.py                        # makes its own environment on the first call
    python3 latency.py --works nmnist_3 --no-compile
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "training"))

from bench import Ours, enter_environment  # noqa: E402

BITS = (8, 4, 2, 1)
TURN = 5


def works():
    """Batches of one, 25 steps, at several rates of input spikes in percent, and of 128 at one rate."""
    from works import WORKS

    made = {}
    for name, source in [("nmnist", "train_nmnist_b32_t25"), ("fc", "train_fc")]:
        for percent in (1, 3, 13):
            made[f"{name}_{percent}"] = replace(WORKS[source], batch=1, density=percent / 100)
        made[f"{name}_3_b128"] = replace(WORKS[source], batch=128, density=0.03)
    return made


def peers(work, data, with_compile):
    """Functions from input to output spikes."""
    import torch
    from nets import common, snntorch
    from torch_forms import forms
    from works import BETA, layers

    torch.set_num_threads(1)
    x = torch.from_numpy(data["x"])
    modules = []
    for kind, name, sizes in layers(work):
        modules.append(torch.nn.Identity() if kind == "lif" else common(kind, name, sizes, data, {}, work))
    made = {"snntorch": snntorch(work, data)[1]}
    made.update(forms(modules, BETA, x, with_compile))
    return x, made


def timed(run, x):
    start = time.perf_counter()
    run(x)
    return (time.perf_counter() - start) * 1e3


def compare(name, work, seconds, with_compile):
    """Times one work; the result as a JSON object."""
    import numpy as np
    import torch
    from works import arrays, transposed

    data = arrays(work)
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        file, output = folder / "work.npz", folder / "output.npz"
        np.savez(file, **{key: transposed(key, array) for key, array in data.items()})
        ours = Ours(work, "snntorch", file, 1)
        ours.ask(f"outputs {output}")
        want = np.load(output)["spikes"]
        x, made = peers(work, data, with_compile)
        for peer, run in made.items():
            differ = int((run(x).numpy() != want).sum())
            if differ > want.size / 100:
                raise SystemExit(f"{name}: {differ} of {want.size} outputs of {peer} are not ours")
        times = {peer: [] for peer in [*made, "ours, float", *(f"ours, {bits} bits" for bits in BITS)]}
        end = time.perf_counter() + seconds
        while len(times["snntorch"]) < 4 * TURN or time.perf_counter() < end:
            for peer, run in made.items():
                times[peer] += [timed(run, x) for _ in range(TURN)]
            times["ours, float"] += ours.turn("forward", TURN)
            for bits in BITS:
                times[f"ours, {bits} bits"] += ours.turn(f"integer {bits}", TURN)
        bytes_of = {bits: [int(ours.ask(f"{what} {bits}")) for what in ("model_bytes", "memory_bytes")] for bits in BITS}
        ours.close()
    lowest = {peer: round(min(all), 4) for peer, all in times.items()}
    median = {peer: round(statistics.median(all), 4) for peer, all in times.items()}
    best = min(value for peer, value in lowest.items() if "traced" in peer or "compiled" in peer)
    integer = {bits: lowest[f"ours, {bits} bits"] for bits in BITS}
    ratios = {bits: [round(lowest["snntorch"] / ours, 1), round(best / ours, 1)] for bits, ours in integer.items()}
    return {"work": name, "output_spikes": int(want.sum()), "lowest_ms": lowest, "median_ms": median,
            "times_snntorch_and_best_torch": ratios, "model_and_memory_bytes": bytes_of}


def main():
    enter_environment()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--works", nargs="+", choices=list(works()), default=list(works()))
    parser.add_argument("--seconds", type=float, default=10.0, help="for each work")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    args = parser.parse_args()
    rows = []
    for name in args.works:
        rows.append(compare(name, works()[name], args.seconds, not args.no_compile))
        print(json.dumps(rows[-1]), flush=True)
    columns = list(rows[0]["lowest_ms"])
    print(f"\nlowest, ms\n\n| work | {' | '.join(columns)} |\n|{'---|' * (1 + len(columns))}")
    for row in rows:
        print(f"| {row['work']} | {' | '.join(str(row['lowest_ms'].get(peer, '-')) for peer in columns)} |")


if __name__ == "__main__":
    main()
