"""Writes the fixture `tests/fixtures/inside-model`: a small model whose first layers stay encrypted.

    inside.py FOLDER      writes model.onnx, columns.toml, calibration.csv, held-out.csv and sample.csv

Six numbers from 0 to 1; the class is whether the first three lie nearer to each other than the last three. No line
tells that, so the layers inside do something.
"""

import sys
from pathlib import Path

import numpy as np

import measure
import network
import onnx_file

NAMES = [f"number {at + 1}" for at in range(6)]
CLASSES = ("first", "last")


def samples(rng, count):
    numbers = rng.integers(0, 256, (count, 6)) / 255
    spread = lambda part: part.max(axis=1) - part.min(axis=1)
    apart = spread(numbers[:, :3]) - spread(numbers[:, 3:])
    kept = np.abs(apart) > 0.1
    return numbers[kept], (apart[kept] > 0).astype(np.int64)


def table(path, numbers, labels=None):
    header = ",".join(NAMES + ([] if labels is None else ["nearer"]))
    rows = [",".join(f"{number:.6f}" for number in row) for row in numbers]
    if labels is not None:
        rows = [f"{row},{CLASSES[label]}" for row, label in zip(rows, labels)]
    path.write_text("\n".join([header, *rows]) + "\n")


def main(folder):
    rng = np.random.default_rng(5)
    numbers, labels = samples(rng, 6000)
    recipe = network.Recipe(
        head=(6, 16, 8, 2), tail=(2, 8, 2), clip=1.0, sigmas=(0.1,), epochs=150, batch=100, rate=5e-3, decay=0.001,
        scatter=0.0, overflow=0.03, smoothing=0.0, seed=1,
    )
    model = network.train(recipe, numbers[600:], labels[600:])
    features = network.clip_norm(network.run(model["head"], numbers[:300]), 1.0)
    print(f"float {measure.accuracy(network.run(model['tail'], features), labels[:300]):.4f}")
    onnx_file.write(folder / "model.onnx", "numbers", (6,), model["head"], model["tail"], "inside")
    columns = [f'[[columns]]\nname = "{name}"\nlowest = 0.0\nhighest = 1.0\noffset = 0.0\nstep = {1 / 255!r}\n' for name in NAMES]
    (folder / "columns.toml").write_text("\n".join(columns))
    table(folder / "held-out.csv", numbers[:300], labels[:300])
    table(folder / "calibration.csv", numbers[300:500])
    table(folder / "sample.csv", numbers[:1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
