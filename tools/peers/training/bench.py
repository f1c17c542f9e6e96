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

    def __init__(self, work, neuron, file, threads, keeps_memory=True):
        build = ["cargo", "build", "--release", "-q", "-p", "snn-bench", "--example", "peer_worker"]
        subprocess.run(build, cwd=ROOT, check=True)
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        args = [work.notation, neuron, ",".join(map(str, work.input)), file, str(threads), work.quantization()]
        pipe = subprocess.PIPE
        program = target / "release" / "examples" / "peer_worker"
        # The steps of a training follow each other. Here a peer's lie between, and the allocator would give the system what it
        # has kept for a second.
        env = os.environ | ({"MIMALLOC_PURGE_DELAY": "-1"} if keeps_memory else {})
        self.process = subprocess.Popen([program, *args], stdin=pipe, stdout=pipe, text=True, env=env)

    def ask(self, command):
        return self.turn(command, 1)[0]

    def turn(self, command, times):
        """The answers to a command that is done several times in a row."""
        self.process.stdin.write(f"turn {times} {command}\n")
        self.process.stdin.flush()
        answers = [self.process.stdout.readline() for _ in range(times)]
        if not all(answers):
            raise RuntimeError(f"our process ended at `{command}`")
        return [float(answer) for answer in answers]

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

    def curvature(self):
        """PyHessian's operator, which keeps the graph of the gradient."""
        import pyhessian
        import torch

        if not hasattr(self, "operator"):
            peer = self

            class Summed(torch.nn.Module):
                def __init__(self):
                    super().__init__()
                    self.weights = torch.nn.ParameterList(peer.params.values())

                def forward(self, x):
                    return peer.run(x).sum(0)

            data = (self.x, self.labels)
            self.operator = pyhessian.hessian(Summed(), torch.nn.functional.cross_entropy, data=data, cuda=False)
        return self.operator

    def probe(self):
        """Its trace from one probe."""
        operator = self.curvature()
        start = time.perf_counter()
        operator.trace(maxIter=1, tol=0.0)
        return (time.perf_counter() - start) * 1e3

    def product(self, direction):
        """The Hessian times a direction, by our names."""
        import torch
        from pyhessian.utils import hessian_vector_product

        operator = self.curvature()
        vectors = [torch.from_numpy(direction[name]) for name in self.params]
        products = hessian_vector_product(operator.gradsH, operator.params, vectors)
        return dict(zip(self.params, (product.numpy() for product in products)))

    def forward(self):
        import torch

        with torch.inference_mode():
            start = time.perf_counter()
            self.run(self.x)
            return (time.perf_counter() - start) * 1e3


def compared(peer, work):
    """The parameters whose gradients must agree: of quantized weights those behind the last pooling. Before it, entries of a
    window are often equal but for the rounding of sums, which decides where the gradient goes."""
    convolves = bool(work.weight_bits) and "C" in work.notation
    return {name: p for name, p in peer.params.items() if not (convolves and name.startswith("conv"))}


def disagreement(peer, ours, folder, work):
    """The largest difference of a gradient tensor, relative to its norm, and that of the losses.

    Brevitas differentiates through the scale of quantized weights, which the greatest weight of a tensor sets, and we do not:
    the gradient of that weight is left out.
    """
    import numpy as np
    from works import transposed

    file = folder / "grads.npz"
    ours_loss = ours.ask(f"grads {file}")
    peer.step()
    grads = np.load(file)
    factor = 2 if peer.name == "norse" else 1
    worst = abs(ours_loss - peer.last_loss) / max(abs(ours_loss), 1e-6)
    for name, parameter in compared(peer, work).items():
        mine = transposed(name, grads[name])
        theirs = parameter.grad.numpy() * factor
        scale = np.linalg.norm(mine)
        if work.weight_bits and name.endswith(".weight"):
            size = np.abs(parameter.detach().numpy())
            mine, theirs = (np.where(size == size.max(), 0, gradient) for gradient in (mine, theirs))
        if scale > 0:
            worst = max(worst, float(np.linalg.norm(mine - theirs) / scale))
    return worst


def disagreement_of_products(peer, ours, file, directions):
    """The largest difference of a tensor of the Hessian times the first direction, relative to its norm; `directions` has
    that one alone."""
    import numpy as np
    from works import transposed

    ours.ask(f"probe {file}")
    found = np.load(file.with_suffix(".out.npz"))
    first = {name.removeprefix("0/"): array for name, array in directions.items()}
    worst = 0.0
    for name, theirs in peer.product(first).items():
        mine = transposed(name, found[f"0/{name}"])
        worst = max(worst, float(np.linalg.norm(mine - theirs) / np.linalg.norm(mine)))
    return worst


# Steps of a turn: those of a training follow each other, while the first one of a turn may find the caches full of another's
# numbers, and the cores busy with the other's threads, which look for work for a while before they sleep.
IN_A_ROW = 4


def alternate(steps, seconds):
    """Milliseconds of each call of the functions, which take turns."""
    times = [[] for _ in steps]
    end = time.perf_counter() + seconds
    while len(times[0]) < 2 * IN_A_ROW or time.perf_counter() < end:
        for of_step, step in zip(times, steps):
            of_step.extend(step() for _ in range(IN_A_ROW))
    return times


def compare_probes(work, data, file, threads, seconds):
    """As [`compare_with`], of a Hutchinson probe beside PyHessian's of the snnTorch network; `ours_of_four_ms` is our time of
    one of four probes that share a pass."""
    import numpy as np
    from works import directions, transposed

    peer, ours = Peer("snntorch", work, data), Ours(work, "snntorch", file, threads)
    files = {}
    for lanes in (1, 4):
        drawn = directions(work, lanes)
        files[lanes] = file.with_name(f"probe{lanes}.npz")
        np.savez(files[lanes], **{key: transposed(key.split("/")[1], array) for key, array in drawn.items()})
    first = directions(work, 1)
    worst = max(disagreement_of_products(peer, ours, path, first) for path in files.values())
    if worst > 2e-3:
        raise SystemExit(f"{work}: Hessian products differ from PyHessian's by {worst:.1e}")
    probes = [lambda path=path: ours.ask(f"probe {path}") for path in files.values()]
    times = alternate([*probes, peer.probe], seconds)
    ours.close()
    one, four, theirs = (round(statistics.median(of_probe), 2) for of_probe in times)
    found = {"ours_ms": one, "peer_ms": theirs, "ratio": round(theirs / one, 2), "disagreement": worst}
    return found | {"ours_of_four_ms": four, "ratio_of_four": round(theirs / four, 2)}


def compare_with(peer_name, work, data, file, threads, seconds):
    """Medians, lowest times and ratios of ours and one peer; of a quantized work also those of the same in float."""
    from nets import NEURON

    if work.measure == "probe":
        return compare_probes(work, data, file, threads, seconds) if peer_name == "snntorch" else None
    peer = Peer(peer_name, work, data)
    if peer.missing:
        return None
    ours = Ours(work, NEURON[peer_name], file, threads)
    worst = disagreement(peer, ours, file.parent, work)
    comparable = not ("BN" in work.notation and peer_name == "snntorch")
    if comparable and worst > 2e-3:
        raise SystemExit(f"{work}: loss or gradients of {peer_name} differ from ours by {worst:.1e}")
    timed = {"step": peer.step, "forward": peer.forward}[work.measure]
    times = alternate([lambda: ours.ask(work.measure), timed], seconds)
    medians = [round(statistics.median(of_step), 2) for of_step in times]
    found = {"ours_ms": medians[0], "peer_ms": medians[1], "ratio": round(medians[1] / medians[0], 2)}
    found |= {"lowest": [round(min(of_step), 2) for of_step in times], "disagreement": worst}
    if work.quantization():
        in_float = Ours(work.float(), NEURON[peer_name], file, threads)
        peer_in_float = Peer(peer_name, work.float(), data)
        found |= to_float("ours", [lambda: ours.ask("step"), lambda: in_float.ask("step")], seconds)
        found |= to_float("peer", [peer.step, peer_in_float.step], seconds)
        in_float.close()
    ours.close()
    return found


def to_float(whose, steps, seconds):
    """The ratio of a quantized step to its float twin's, in turns without a third between them, which would leave the caches
    of one otherwise than those of the other."""
    quantized, in_float = (statistics.median(of_step) for of_step in alternate(steps, seconds))
    return {f"{whose}_float_ms": round(in_float, 2), f"{whose}_to_float": round(quantized / in_float, 2)}


def compare(name, threads, peers, seconds):
    """Times one work; the result as a JSON object."""
    import numpy as np
    import torch
    from works import WORKS, arrays, transposed

    torch.set_num_threads(threads)
    work = WORKS[name]
    data = arrays(work)
    result = {"work": name, "threads": threads, "ours_ms": None, "peers": {}, "against": {}}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "work.npz"
        np.savez(file, **{key: transposed(key, array) for key, array in data.items()})
        for peer_name in peers:
            found = compare_with(peer_name, work, data, file, threads, seconds)
            if found:
                result["peers"][peer_name] = found["peer_ms"]
                result["against"][peer_name] = found
    if result["against"]:
        result["ours_ms"] = min(found["ours_ms"] for found in result["against"].values())
    return result


def cell(found):
    """What a peer took, and how many times ours that is; of a quantized work also what each takes of its float step."""
    if not found:
        return "-"
    text = f"{found['peer_ms']} ms, {found['ratio']}x"
    if "ours_to_float" in found:
        text += f" (to float: ours {found['ours_to_float']}, theirs {found['peer_to_float']})"
    if "ours_of_four_ms" in found:
        text += f" (four at once: {found['ours_of_four_ms']} ms each, {found['ratio_of_four']}x)"
    return text


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
        cells = [cell(row["against"].get(peer)) for peer in args.peers]
        print(f"| {row['work']} | {row['threads']} | {row['ours_ms']} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
