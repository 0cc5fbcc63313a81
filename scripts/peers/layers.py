"""What every peer's program shares: the layers with our bench's own weights, and how a row is measured in turns.

A program measures its rows one after another. Before each run it prints {"event": "ready"} and waits for a line on stdin,
so that whoever started it can run ours in between: the machine's noise then hits both. By hand: `yes | python peer_NAME.py`.
"""

import json
import os
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any, Callable

import numpy as np

# Libraries print what they like on stdout, which is for rows here.
_rows = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def numbers(seed, count):
    """The first `count` numbers of SplitMix64 from `seed`, as worker/head/src/measure.rs draws them: u64."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def weights(*shapes):
    """The weights of our heads, i8 as i64, layer after layer: what `encompute bench head` multiplies by."""
    counts = [int(np.prod(shape)) for shape in shapes]
    drawn = numbers(1, sum(counts)).astype(np.uint8).view(np.int8).astype(np.int64)
    return [part.reshape(shape) for part, shape in zip(np.split(drawn, np.cumsum(counts)[:-1]), shapes)]


def convolved(image, kernels):
    """`[height, width] * [channels, k, k] -> [channels, height-k+1, width-k+1]`, the definition: no padding, no stride."""
    windows = np.lib.stride_tricks.sliding_window_view(image, kernels.shape[1:])
    return np.einsum("hwij,cij->chw", windows, kernels)


@dataclass
class Row:
    """One layer at one peer. Values are u8 as i64 in the shape of `shape`; `expected` is the layer's definition."""

    name: str
    # The row of `encompute bench head` to hold against it; None if there is none.
    ours: str | None
    shape: tuple[int, ...]
    expected: Callable[[np.ndarray], np.ndarray]
    encrypt: Callable[[np.ndarray], Any]
    # The server's call alone, from the decoded request to the response: the only part that is timed.
    serve: Callable[[Any], Any]
    decrypt: Callable[[Any], np.ndarray]
    # None: the library offers no bytes, so nothing is said about them.
    bytes_up: Callable[[Any], int] | None
    bytes_down: Callable[[Any], int] | None
    key_bytes: int | None
    # What else there is to know: parameters, and how it differs from our layer.
    notes: str
    # Whether outputs are integers, equal or not; else only their error counts.
    integers: bool = True
    # Programmable bootstraps of one call.
    bootstraps: int = 0


def measure(rows, runs):
    """Runs each row `runs` times in turns, each time on fresh input, and prints what was found."""
    for row in rows:
        _print(_measured(row, runs))


def _measured(row, runs):
    wall_ms, work_ms, equal, outputs, largest_error, largest = [], [], 0, 0, 0.0, 0.0
    size = int(np.prod(row.shape))
    inputs = (numbers(2, runs * size) % np.uint64(256)).astype(np.int64).reshape(runs, *row.shape)
    for values in inputs:
        request = row.encrypt(values)
        _print({"event": "ready", "name": row.name, "ours": row.ours})
        if not sys.stdin.readline():
            raise SystemExit("nobody gives this program its turns: stdin is closed")
        began, worked = time.perf_counter(), time.process_time()
        response = row.serve(request)
        work_ms.append((time.process_time() - worked) * 1000)
        wall_ms.append((time.perf_counter() - began) * 1000)
        found = np.asarray(row.decrypt(response), dtype=np.float64).ravel()
        wanted = np.asarray(row.expected(values), dtype=np.float64).ravel()
        if found.shape != wanted.shape:
            raise SystemExit(f"{row.name}: {found.size} outputs, the layer has {wanted.size}")
        equal += int(np.sum(np.rint(found) == wanted))
        outputs += wanted.size
        largest_error = max(largest_error, float(np.max(np.abs(found - wanted))))
        largest = max(largest, float(np.max(np.abs(wanted))))
    correct = {"largest_error": largest_error, "largest_output": largest}
    if row.integers:
        correct["exact_share"] = equal / outputs
    return {
        "event": "row",
        "name": row.name,
        "ours": row.ours,
        "ms_median": statistics.median(wall_ms),
        "ms_fastest": min(wall_ms),
        "ms_work": statistics.median(work_ms),
        "bytes_up": row.bytes_up and row.bytes_up(request),
        "bytes_down": row.bytes_down and row.bytes_down(response),
        "key_bytes": row.key_bytes,
        "bootstraps": row.bootstraps,
        "runs": runs,
        "correct": correct,
        "notes": row.notes,
    }


def _print(value):
    print(json.dumps(value), file=_rows, flush=True)
