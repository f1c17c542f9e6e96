"""Trains the same networks here and in the Python frameworks, alternately in one run.

Before any time counts, loss and gradients must agree. Prints a table, and a JSON line for each work and number of threads.

    python3 bench.py                        # makes its own environment on the first call
    python3 bench.py --works train_fc --threads 1 2 --peers snntorch
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
ENVIRONMENT = Path(os.environ.get("PEERS_ENV", ROOT / "target" / "peers-env"))


def enter_environment():
    """Goes on in the project's own environment with the pinned versions."""
    python = ENVIRONMENT / "bin" / "python"
    if Path(sys.prefix).resolve() == ENVIRONMENT.resolve():
        return
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt"], check=True)
    os.execv(python, [str(python), *sys.argv])


class Ours:
    """Our process."""

    def __init__(self, work, neuron, file, threads):
        build = ["cargo", "build", "--release", "-q", "-p", "snn-bench", "--example", "peer_worker"]
        subprocess.run(build, cwd=ROOT, check=True)
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        args = [work.notation, neuron, ",".join(map(str, work.input)), file, str(threads)]
        pipe = subprocess.PIPE
        program = target / "release" / "examples" / "peer_worker"
        self.process = subprocess.Popen([program, *args], stdin=pipe, stdout=pipe, text=True)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"our process ended at `{command}`")
        return float(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Peer:
    """A framework in this process."""

    def __init__(self, name, work, arrays):
        import torch
        from nets import PEERS

        built = PEERS[name](work, arrays)
        self.missing = built is None
        if self.missing:
            return
        self.name = name
        self.params, self.run = built
        self.x = torch.from_numpy(arrays["x"])
        self.labels = torch.from_numpy(arrays["labels"]).long()
        self.optimizer = torch.optim.Adam(self.params.values(), lr=0.0)

    def loss(self):
        import torch

        return torch.nn.functional.cross_entropy(self.run(self.x).sum(0), self.labels)

    def step(self):
        start = time.perf_counter()
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        self.optimizer.step()
        self.last_loss = loss.item()
        return (time.perf_counter() - start) * 1e3

    def forward(self):
        import torch

        with torch.inference_mode():
            start = time.perf_counter()
            self.run(self.x)
            return (time.perf_counter() - start) * 1e3


def disagreement(peer, ours, folder):
    """The largest difference of a gradient tensor, relative to its norm, and that of the losses."""
    import numpy as np
    from works import transposed

    file = folder / "grads.npz"
    ours_loss = ours.ask(f"grads {file}")
    peer.step()
    grads = np.load(file)
    factor = 2 if peer.name == "norse" else 1
    worst = abs(ours_loss - peer.last_loss) / max(abs(ours_loss), 1e-6)
    for name, parameter in peer.params.items():
        mine = transposed(name, grads[name])
        theirs = parameter.grad.numpy() * factor
        scale = np.linalg.norm(mine)
        if scale > 0:
            worst = max(worst, float(np.linalg.norm(mine - theirs) / scale))
    return worst


def compare(name, threads, peers, seconds):
    """Times one work; the result as a JSON object."""
    import numpy as np
    import torch
    from nets import NEURON
    from works import WORKS, arrays, transposed

    torch.set_num_threads(threads)
    work = WORKS[name]
    data = arrays(work)
    result = {"work": name, "threads": threads, "peers": {}, "ratios": {}, "disagreement": {}}
    ours_times = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        file = folder / "work.npz"
        np.savez(file, **{key: transposed(key, array) for key, array in data.items()})
        for peer_name in peers:
            peer = Peer(peer_name, work, data)
            if peer.missing:
                continue
            ours = Ours(work, NEURON[peer_name], file, threads)
            worst = disagreement(peer, ours, folder)
            comparable = not ("BN" in work.notation and peer_name == "snntorch")
            if comparable and worst > 2e-3:
                raise SystemExit(f"{name}: loss or gradients of {peer_name} differ from ours by {worst:.1e}")
            mine, theirs = [], []
            end = time.perf_counter() + seconds
            while len(mine) < 5 or time.perf_counter() < end:
                mine.append(ours.ask("step"))
                theirs.append(peer.step())
            ours.close()
            ours_times += mine
            result["disagreement"][peer_name] = worst
            result["peers"][peer_name] = round(statistics.median(theirs), 2)
            result["ratios"][peer_name] = round(statistics.median(theirs) / statistics.median(mine), 2)
            result.setdefault("lowest", {})[peer_name] = [round(min(mine), 2), round(min(theirs), 2)]
    result["ours_ms"] = round(statistics.median(ours_times), 2)
    return result


def main():
    enter_environment()
    sys.path.insert(0, str(HERE))
    from nets import PEERS
    from works import WORKS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--works", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--seconds", type=float, default=10.0, help="for each pair of ours and a peer")
    args = parser.parse_args()
    rows = []
    for name in args.works:
        for threads in args.threads:
            result = compare(name, threads, args.peers, args.seconds)
            print(json.dumps(result), flush=True)
            rows.append(result)
    print(f"\n| work | threads | ours, ms | {' | '.join(args.peers)} |\n|{'---|' * (3 + len(args.peers))}")
    for row in rows:
        cells = [f"{row['peers'][p]} ms, {row['ratios'][p]}x" if p in row["peers"] else "-" for p in args.peers]
        print(f"| {row['work']} | {row['threads']} | {row['ours_ms']} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
