"""Installs peers, runs their rows and ours in turns, prints and writes what was found. Standard library only."""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys

import report

HERE = pathlib.Path(__file__).parent
# The wheels of all of them at once exist for this Python alone.
PYTHON = shutil.which("python3.11") or sys.executable
# name -> (version, program), least disk first.
PEERS = {
    "concrete-ml-extensions": ("0.2.0", "peer_concrete_ml_extensions"),
    "tenseal": ("0.3.18", "peer_tenseal"),
    "orion-fhe": ("1.0.2", "peer_orion"),
    "concrete-python": ("2.11.0", "peer_concrete"),
}
# Rows of ours that are reported even without a peer beside them.
OURS = [
    "dense-784x64",
    "rounds-3x-28x28",
    "conv-3x3-28x28x8",
    "matmul-128x768x768",
    "stem-224",
    "minilm-32-tokens",
    "gpt2-token",
    "pbs-4bit",
]
RUNS, QUICK_RUNS = 7, 3


class PeerFailed(Exception):
    """A peer could not be installed or stopped; the rest goes on."""


def say(words):
    print(f"bench-peers: {words}", file=sys.stderr, flush=True)


def reason(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Go ends a panic with its stack: the reason stands before.
    lines = [line for line in lines if line.startswith("panic: ")] or lines
    return lines[-1][:300] if lines else "no word of why"


def environment(folder, requirements):
    """The Python of an environment in `folder`, made if it is not there yet."""
    python, done = folder / "bin" / "python", folder / "installed"
    wanted = requirements.read_text()
    if done.exists() and done.read_text() == wanted:
        return python
    say(f"installing {folder.name}")
    shutil.rmtree(folder, ignore_errors=True)
    for command in [
        [PYTHON, "-m", "venv", folder],
        # Compiling thousands of modules that are never imported, and keeping gigabytes of downloads, serves nobody.
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-compile",
         "--only-binary", ":all:", "--requirement", requirements],
    ]:
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode != 0:
            raise PeerFailed(f"cannot be installed: {reason(made.stderr)}")
    done.write_text(wanted)
    return python


class Ours:
    """Our bench: each call of `run` is one measured row, itself a median of many runs."""

    def __init__(self, program):
        self.program, self.rows, self.head = program, {}, {}

    def run(self, name):
        command = [self.program, "bench", "head", "--only", name, "--json"]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
        self.head = {key: found[key] for key in ["machine", "code_path", "build"]}
        row = found["rows"][0]
        if not row["exact"]:
            raise SystemExit(f"bench-peers: our row {name} is not exact")
        self.rows.setdefault(name, []).append(row)

    def medians(self):
        """One row a name: the median of the medians."""
        middle = lambda rows, key: statistics.median(row[key] for row in rows)
        return {
            name: {**rows[0], "ms_median": middle(rows, "ms_median"), "ms_fastest": min(r["ms_median"] for r in rows),
                   "ms_bytes_to_bytes": middle(rows, "ms_bytes_to_bytes"),
                   "ms_per_bootstrap": rows[0]["bootstraps"] and middle(rows, "ms_per_bootstrap"), "turns": len(rows)}
            for name, rows in self.rows.items()
        }


def in_turns(name, python, program, arguments, ours, log):
    """The rows of one peer; before each of its runs comes one of ours."""
    command = [python, HERE / f"{program}.py", *arguments]
    rows = []
    with open(log, "w") as errors, subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=log.parent
    ) as peer:
        for line in peer.stdout:
            event = json.loads(line)
            if event["event"] == "row":
                rows.append({**event, "peer": name})
                say(f"{name}: {event['name']}: {event['ms_median']:.1f} ms")
                continue
            if event["ours"]:
                ours.run(event["ours"])
            with contextlib.suppress(BrokenPipeError):  # It died meanwhile: its exit says so.
                peer.stdin.write("\n")
                peer.stdin.flush()
    if peer.returncode < 0:
        return rows, f"ended by signal {-peer.returncode} after {len(rows)} rows"
    if peer.returncode != 0:
        return rows, f"stopped: {reason(log.read_text(errors='replace'))}"
    return rows, None


def compared(name, folder, arguments, ours):
    """One peer's rows, and why there are no more of them."""
    _, program = PEERS[name]
    try:
        python = environment(folder / name, HERE / f"{program}.txt")
    except PeerFailed as failed:
        return [], str(failed)
    return in_turns(name, python, program, arguments, ours, folder / f"{name}.log")


def plot(rows, ours, folder, out):
    """Draws the bars in an environment of their own; says why if that does not work."""
    try:
        python = environment(folder / "plot", HERE / "plot.txt")
    except PeerFailed as failed:
        return str(failed)
    drawn = subprocess.run([python, HERE / "plot.py", out], input=json.dumps({"rows": rows, "ours": ours}),
                           capture_output=True, text=True)
    return None if drawn.returncode == 0 else reason(drawn.stderr)


def main():
    asked = argparse.ArgumentParser(prog="bench-peers", description="Other systems' encrypted layers beside ours.")
    asked.add_argument("--target", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    asked.add_argument("--only", action="append", choices=PEERS, help="this peer alone; may be given several times")
    asked.add_argument("--list", action="store_true", help="names and versions of the peers")
    asked.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} runs a row instead of {RUNS}")
    asked.add_argument("--pbs", action="store_true", help="with Concrete's bootstraps: a minute a run")
    asked.add_argument("--discard", action="store_true", help="remove each environment after its rows")
    asked.add_argument("--json", action="store_true", help="stdout is one JSON object")
    options = asked.parse_args()
    if options.list:
        print("\n".join(f"{name} {version}" for name, (version, _) in PEERS.items()))
        return
    folder = options.target / "peers"
    folder.mkdir(parents=True, exist_ok=True)
    runs = QUICK_RUNS if options.quick else RUNS
    arguments = [str(runs)] + (["--pbs"] if options.pbs else [])
    ours, rows, missing = Ours(options.target / "debug" / "encompute"), [], {}
    began, load_before = datetime.datetime.now(datetime.timezone.utc), os.getloadavg()[0]
    # Stopped by hand, it tells what it has.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    left = [*(options.only or PEERS)]
    try:
        while left:
            name = left[0]
            found, why = compared(name, folder, arguments, ours)
            left.pop(0)
            rows += found
            if why:
                missing[name] = why
                say(f"{name}: {why}")
            if options.discard:
                shutil.rmtree(folder / name, ignore_errors=True)
        if not options.only:
            for name in OURS:
                if name not in ours.rows:
                    say(f"ours: {name}")
                    ours.run(name)
    except KeyboardInterrupt:
        missing |= {name: "the run was stopped by hand before its rows were done" for name in left}
    if not ours.rows:
        raise SystemExit("bench-peers: nothing was measured: " + "; ".join(f"{name}: {why}" for name, why in missing.items()))
    found = {
        "began": began.isoformat(timespec="minutes"), "load": [load_before, os.getloadavg()[0]], "runs": runs,
        "pbs": options.pbs, **ours.head, "cores": os.cpu_count(), "kernel": os.uname().release,
        "peers": {name: version for name, (version, _) in PEERS.items()},
        "ours": ours.medians(), "rows": rows, "missing": missing,
    }
    if not options.only:
        found["plot_missing"] = plot(rows, found["ours"], folder, HERE / "REPORT.svg")
        (HERE / "REPORT.md").write_text(report.markdown(found))
    print(json.dumps(found) if options.json else report.table(found))


if __name__ == "__main__":
    main()
