"""Peak memory of training steps here and in the Python frameworks: each in a process of its own, one after the other.

Counted is what the steps take at most on top of the memory that a process has when everything is imported and the batch is
there; of ours also the peak of the whole process meanwhile. Linux only.

    python3 memory.py                       # makes its own environment on the first call
    python3 memory.py --works train_fc --peers snntorch
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import Ours, Peer, enter_environment

STEPS = 3
MIB = 1024


def of_process(pid, field):
    """KiB that Linux counts for a process: `VmRSS` now, `VmHWM` at the most."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise RuntimeError(f"no {field} for process {pid}")


def of_steps(pid, step):
    """KiB that a process takes in training steps on top of what it has before."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # The peak counts from here on.
    before = of_process(pid, "VmRSS")
    for _ in range(STEPS):
        step()
    return of_process(pid, "VmHWM") - before


def of_peer(name, work):
    """KiB of the steps of a framework; `None` where it has no such network."""
    import torch
    from works import arrays

    torch.set_num_threads(1)
    peer = Peer(name, work, arrays(work))
    return None if peer.missing else of_steps(os.getpid(), peer.step)


def of_ours(work):
    """KiB of our steps, and of the whole process at the most."""
    import numpy as np
    from nets import NEURON
    from works import arrays, transposed

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "work.npz"
        np.savez(file, **{key: transposed(key, array) for key, array in arrays(work).items()})
        ours = Ours(work, NEURON["snntorch"], file, 1, keeps_memory=False)
        # What reading the file took goes back to the system after a second, when memory is asked for again.
        ours.ask("forward")
        time.sleep(2)
        ours.ask("forward")
        steps = of_steps(ours.process.pid, lambda: ours.ask("step"))
        whole = of_process(ours.process.pid, "VmHWM")
        ours.close()
    return steps, whole


def in_another_process(name, work_name):
    """`of_peer` in a fresh process."""
    command = [sys.executable, __file__, "--only", name, "--works", work_name]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(answer.splitlines()[-1])


def main():
    enter_environment()
    from nets import PEERS
    from works import WORKS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--works", nargs="+", choices=list(WORKS), default=["train_nmnist_b128_t25", "train_fc", "train_rsnn"])
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--only", choices=list(PEERS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        print(json.dumps(of_peer(args.only, WORKS[args.works[0]])))
        return
    for name in args.works:
        steps, whole = of_ours(WORKS[name])
        found = {"work": name, "ours_mib": round(steps / MIB), "our_whole_process_mib": round(whole / MIB), "peers_mib": {}}
        for peer in args.peers:
            increment = in_another_process(peer, name)
            if increment is not None:
                found["peers_mib"][peer] = round(increment / MIB)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
