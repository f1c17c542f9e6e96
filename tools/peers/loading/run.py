"""Loading event files: snn-data beside Tonic and SpikingJelly, in one run, on the same files.

    python3 -m venv venv && venv/bin/pip install -r tools/peers/loading/requirements.txt
    venv/bin/python tools/peers/loading/run.py --rounds 5 --jsonl loading.jsonl

First it compares results: events must be equal, frames but for events at the edges of bins, whose widths the peers round. Then each round
runs all candidates after one another, on one thread (ours also on two); it prints the lowest CPU time (user and system, of all threads)
and the lowest time by the clock of each. Ratios are of CPU times, which other programs on the machine disturb less, and for two threads
of the clock. Times are of warm files: everything is read from the disk once before. `floor` is what nothing can be faster than on this machine by much:
reading the bytes, and one pass over frames of the size.

The AEDAT file is read ten times by one process (by SpikingJelly once): by ours into new columns each time, into the same columns, or as a
stream of chunks of which one is held at a time. Tonic's and SpikingJelly's arrays are new each time, but whether their memory is new from
the kernel or some that the process has freed before is a matter of what ran in it before: page faults are printed beside, and Tonic is also
measured in a process of its own, as ours is.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import time

import numpy as np
import make_files

ROOT = pathlib.Path(__file__).resolve().parents[3]
N_BINS = 25
TIMES = 10


# What is compared by the clock, for the second core.
ONE, TWO = "ours", "ours, 2 threads"


def tonic_bin():
    import tonic
    from tonic.io import read_mnist_file
    from tonic.transforms import ToFrame

    to_frame = ToFrame(sensor_size=(34, 34, 2), n_time_bins=N_BINS)

    def load(path):
        events = read_mnist_file(path, dtype=tonic.datasets.NMNIST.dtype)
        return events, to_frame(events)

    return load


def spikingjelly_bin():
    from spikingjelly.datasets.utils import integrate_events_by_fixed_frames_number, load_ATIS_bin

    def load(path):
        events = load_ATIS_bin(path)
        return events, integrate_events_by_fixed_frames_number(events, "time", N_BINS, 34, 34)

    return load


def tonic_aedat(path):
    # `read_dvs_ibm` of Tonic 1.7.0 raises: the header's reader returns three values and it takes two. This is its body.
    from tonic.io import get_aer_events_from_file, make_structured_array, read_aedat_header_from_file

    version, start, _ = read_aedat_header_from_file(path)
    raw = get_aer_events_from_file(path, version, start)
    address = raw["address"]
    return make_structured_array((address >> 17) & 0x1FFF, (address >> 2) & 0x1FFF, raw["timeStamp"], (address >> 1) & 1)


def spikingjelly_aedat(path):
    from spikingjelly.datasets.utils import load_aedat_v3

    return load_aedat_v3(path)


def ours(program, *args):
    """What the program prints, as JSON."""
    return json.loads(subprocess.run([program, *map(str, args)], check=True, capture_output=True, text=True).stdout)


def check_bins(program, files):
    """Events of each file equal, frames nearly: returns the share of events in another frame, of Tonic and of SpikingJelly."""
    ours_text = subprocess.run([program, "dump", *files], check=True, capture_output=True).stdout
    frames = np.frombuffer(ours_text, np.uint8).reshape(len(files), N_BINS, 2, 34, 34).astype(int)
    shares = []
    for load in (tonic_bin(), spikingjelly_bin()):
        n_moved = n_events = 0
        for path, mine in zip(files, frames):
            events, theirs = load(path)
            # What they leave out or put into the next frame counts once.
            n_moved += np.abs(np.asarray(theirs).astype(int) - mine).sum() / 2
            n_events += len(events["t"])
            assert mine.sum() == len(events["t"]), path
        shares.append(n_moved / n_events)
        assert shares[-1] < 2e-3, f"{shares[-1]:.2%} of the events are in other frames"
    return shares


def check_aedat(program, path):
    mine = ours(program, "aedat-sums", path)
    for events in (tonic_aedat(path), spikingjelly_aedat(path)):
        sums = [int(np.asarray(events[key]).astype(np.int64).sum()) for key in ("x", "y", "p", "t")]
        assert [len(events["t"]), *sums] == mine["sums"], (sums, mine)


def used(who):
    """Seconds of CPU, and page faults, up to now."""
    usage = resource.getrusage(who)
    return np.array([usage.ru_utime + usage.ru_stime, usage.ru_minflt])


def timed(work, n=1):
    """Seconds by the clock, of CPU, and page faults of a function in this process, of `n` times the mean."""
    clock, before = time.perf_counter(), used(resource.RUSAGE_SELF)
    for _ in range(n):
        work()
    return (time.perf_counter() - clock) / n, *((used(resource.RUSAGE_SELF) - before) / n).tolist()


def timed_alone(path):
    """The same of Tonic in a process that does nothing else; its start, imports and first load are not counted."""
    return ours(sys.executable, __file__, "--alone", path)


def timed_ours(program, *args, n=1):
    """The same of our program, which does its work `n` times: its own clock, and the rest of the whole process with its start."""
    before = used(resource.RUSAGE_CHILDREN)
    clock = ours(program, *args)["seconds"]
    return clock / n, *((used(resource.RUSAGE_CHILDREN) - before) / n).tolist()


def rounds(candidates, n):
    """Times of each candidate in each round; one before that warms up."""
    times = {name: [] for name in candidates}
    for k in range(n + 1):
        for name, run in candidates.items():
            took = run()
            if k > 0:
                times[name].append(took)
    return times


def report(work, times, amount, jsonl):
    """A table of the lowest times; ratios are to the first candidate."""
    print(f"\n{work}")
    print(f"{'':24}{'lowest CPU s':>14}{'lowest s':>10}{'per CPU s':>12}{'faults':>9}{'ratio':>10}")
    lowest = {name: [min(column) for column in zip(*pairs)] for name, pairs in times.items()}
    base = next(iter(lowest.values()))[1]
    for name, (clock, cpu, faults) in lowest.items():
        print(f"{name:24}{cpu:14.4f}{clock:10.4f}{amount / cpu:12.3g}{faults:9.0f}{cpu / base:9.2f}x")
        if jsonl:
            row = {"work": work, "who": name, "times": times[name], "clock": clock, "cpu": cpu, "faults": faults, "ratio": cpu / base}
            jsonl.write(json.dumps(row) + "\n")
    one, two = (lowest[name][0] for name in (ONE, TWO))
    print(f"second core: {one / two:.2f} times as fast by the clock")


def run_bins(program, folder, n_rounds, jsonl):
    files = sorted(map(str, folder.glob("Train/*/*.bin")))
    moved = check_bins(program, files[:100])
    print(f"events equal; in other frames: Tonic {moved[0]:.3%}, SpikingJelly {moved[1]:.3%} of the events")
    peers = {"tonic": tonic_bin(), "spikingjelly": spikingjelly_bin()}
    candidates = {
        ONE: lambda: timed_ours(program, "bins", folder, 1),
        TWO: lambda: timed_ours(program, "bins", folder, 2),
        "ours, through events": lambda: timed_ours(program, "bins-by-events", folder, 1),
        "floor": lambda: timed_ours(program, "floor", folder, 1),
    }
    for name, load in peers.items():
        candidates[name] = lambda load=load: timed(lambda: [load(path) for path in files])
    report("2,000 N-MNIST files to frames [25, 2, 34, 34]", rounds(candidates, n_rounds), len(files), jsonl)


def run_aedat(program, folder, n_rounds, jsonl):
    path = str(folder / "gesture.aedat")
    check_aedat(program, path)
    print("\nevents of the AEDAT 3.1 file: number and sums of x, y, p, t equal")
    candidates = {
        ONE: lambda: timed_ours(program, "aedat", "stream", path, 1, TIMES, n=TIMES),
        TWO: lambda: timed_ours(program, "aedat", "stream", path, 2, TIMES, n=TIMES),
        "ours, the same columns": lambda: timed_ours(program, "aedat", "reused", path, 1, TIMES, n=TIMES),
        "ours, new columns": lambda: timed_ours(program, "aedat", "fresh", path, 1, TIMES, n=TIMES),
        "tonic": lambda: timed(lambda: tonic_aedat(path), TIMES),
        "tonic, its own process": lambda: timed_alone(path),
        "spikingjelly": lambda: timed(lambda: spikingjelly_aedat(path)),
    }
    report("5 million events of AEDAT 3.1", rounds(candidates, n_rounds), make_files.N_EVENTS, jsonl)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=pathlib.Path, default=ROOT / "target/peers-loading")
    parser.add_argument("--program", help="the example `loading`, built; by default it is built now")
    parser.add_argument("--jsonl", type=argparse.FileType("w"))
    parser.add_argument("--alone", help="for this script itself: time Tonic on this AEDAT file")
    args = parser.parse_args()
    if args.alone:
        tonic_aedat(args.alone)
        return print(json.dumps(timed(lambda: tonic_aedat(args.alone), TIMES)))
    program = args.program
    if program is None:
        subprocess.run(["cargo", "build", "--release", "-p", "snn-data", "--example", "loading"], cwd=ROOT, check=True)
        program = str(ROOT / "target/release/examples/loading")
    make_files.make(args.files)
    make_files.forget(args.files)
    run_bins(program, args.files, args.rounds, args.jsonl)
    run_aedat(program, args.files, args.rounds, args.jsonl)


main()
