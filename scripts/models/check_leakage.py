"""Recomputes figures of a model's leakage report, from what `encompute model features` writes.

    scripts/models/check-leakage digits [POLICY]      # in a virtual environment of its own, versions pinned
    python check_leakage.py report.json features.npz balanced
    python check_leakage.py --vectors                 # similarities that the suite's own are held to

Nothing is shared with the report's program but the file of numbers: similarity is scikit-image's, the linear attack is
numpy's least squares, probabilities are scipy's. The release in the file was drawn by users' exact sampler, the
report's by its own: similarities and bounds agree to one part in a hundred, bits and names as far
as another draw of noise allows. Ends with 1 if one does not.
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy.special import log_ndtr
from skimage import io
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

FIXTURES = Path(__file__).resolve().parent.parent.parent / "tests" / "fixtures"
NAMED = 1_000  # targets on which the report tries attackers with an archive
TOLERANCE = 0.01


def clipped(features):
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1)


def linear(learnt, inputs, released):
    """Least squares from released features and a constant to the input."""
    ones = lambda rows: np.hstack([rows, np.ones((len(rows), 1))])
    weights, *_ = np.linalg.lstsq(ones(learnt), inputs, rcond=None)
    return ones(released) @ weights


def class_means(inputs, labels, wanted):
    means = {label: inputs[labels == label].mean(axis=0) for label in np.unique(labels)}
    return np.stack([means[label] for label in wanted])


def similarity(truth, guess, side):
    """Mean structural similarity of square pictures; mean explained variance of anything else."""
    if side is None:
        missed = ((truth - guess) ** 2).sum(axis=0)
        return float(np.mean(1 - missed / ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)))
    pictures = lambda rows: rows.reshape(len(rows), side, side).astype(np.float64)
    pairs = zip(pictures(truth), pictures(np.clip(guess, 0, 1)))
    return float(np.mean([structural_similarity(one, other, data_range=1.0) for one, other in pairs]))


def gaussian_bits(rows, sigma):
    covariance = np.atleast_2d(np.cov(rows.T, bias=True))
    return 0.5 * np.linalg.slogdet(np.eye(len(covariance)) + covariance / sigma**2)[1] / np.log(2)


def bound(rows, labels, sigma):
    parts = [(rows[labels == label], np.mean(labels == label)) for label in np.unique(labels)]
    by_class = sum(share * (gaussian_bits(part, sigma) - np.log2(share)) for part, share in parts)
    return min(gaussian_bits(rows, sigma), by_class)


def log_probability(codes, candidates, sigma, step, most):
    """ln p(code | candidate), feature by feature summed: `[releases, candidates]`."""
    total = np.zeros((len(codes), len(candidates)))
    for feature in range(candidates.shape[1]):
        values = candidates[:, feature]
        for code in np.unique(codes[:, feature]):
            low = -np.inf if code == -most - 1 else ((code - 0.5) * step - values) / sigma
            high = np.inf if code == most else ((code + 0.5) * step - values) / sigma
            low, high = np.broadcast_to(low, values.shape), np.broadcast_to(high, values.shape)
            near, far = np.where(low > -high, low, -high), np.where(low > -high, high, -low)
            # The upper tail beyond `near` less that beyond `far`, in logarithms.
            line = log_ndtr(-near) + np.log1p(-np.exp(np.minimum(log_ndtr(-far) - log_ndtr(-near), -1e-300)))
            total[codes[:, feature] == code] += line
    return total


def posterior(logs, own):
    """Bits that each release tells, and how often a guess among the most likely candidates is right."""
    top = logs.max(axis=1, keepdims=True)
    mean = np.log(np.exp(logs - top).mean(axis=1)) + top[:, 0]
    mine = logs[np.arange(len(logs)), own]
    equal = np.maximum((logs == top).sum(axis=1), 1)
    return (mine - mean) / np.log(2), np.where(mine == top[:, 0], 1 / equal, 0)


def recomputed(file):
    reference = file["reference"].astype(bool)
    part = lambda name: (file[name][reference].astype(np.float64), file[name][~reference].astype(np.float64))
    (known, inputs), (seen, released) = part("inputs"), part("released")
    labels = file["labels"]
    side = int(np.sqrt(inputs.shape[1])) if inputs.shape[1] >= 49 and np.sqrt(inputs.shape[1]) % 1 == 0 else None
    floor = max(
        similarity(inputs, class_means(known, labels[reference], labels[~reference]), side),
        similarity(inputs, np.broadcast_to(known.mean(axis=0), inputs.shape), side),
    )
    features = clipped(file["features"].astype(np.float64))
    archive = np.vstack([features[reference], features[~reference]])
    sigma, step, most = float(file["sigma"]), float(file["step"]), 2 ** (int(file["bits"]) - 1) - 1
    count = min(NAMED, len(released))
    chosen = np.arange(count) * len(released) // count
    logs = log_probability(np.round(released[chosen] / step), archive, sigma, step, most)
    bits, named = posterior(logs, reference.sum() + chosen)
    bare_known, bare = part("features")
    return {
        "similarity of the answer alone": floor,
        "similarity of the linear attack": similarity(inputs, linear(seen, known, released), side),
        "the same, nothing protected": similarity(inputs, linear(bare_known, known, bare), side),
        "bits at most": bound(features[~reference], labels[~reference], sigma),
        "bits, exact": bits,
        "named among all samples": named,
    }


def reported(split):
    leakage = split["leakage"]
    alike = lambda of: of["structural"]["mean"] if of["structural"] else of["explained"]
    linear = next(attack for attack in leakage["attacks"] if attack["name"] == "linear")
    return {
        "similarity of the answer alone": max(alike(leakage["floor_class"]), alike(leakage["floor_mean"])),
        "similarity of the linear attack": alike(linear["likeness"]),
        "the same, nothing protected": alike(leakage["unprotected"]),
        "bits at most": split["bits"],
        "bits, exact": split["posterior_bits"],
        "named among all samples": split["reid_10k"],
    }


def check(report, features, policy):
    """Prints both figures side by side; how many differ by more than the tolerance, or than another draw explains."""
    split = next(s for s in json.loads(Path(report).read_text())["splits"] if s["on_card"] and s["policy"] == policy)
    ours, theirs = recomputed(np.load(features)), reported(split)
    differ = 0
    for name, found in ours.items():
        # Means over releases come with their standard error: three of them, of two draws.
        drawn = 3 * np.sqrt(2 / np.size(found)) * np.std(found)
        found = float(np.mean(found))
        apart = abs(found - theirs[name])
        fails = apart > max(TOLERANCE * abs(theirs[name]), drawn)
        differ += int(fails)
        share = 100 * apart / max(abs(theirs[name]), 1e-9)
        print(f"{name:34} recomputed {found:8.4f}  report {theirs[name]:8.4f}  {share:6.2f} %{'  DIFFERS' if fails else ''}")
    return differ


def vectors():
    """Pairs of held-out digits, the second one changed, with scikit-image's figures."""
    sheet = io.imread(FIXTURES / "digits" / "held-out.png")
    a_row = sheet.shape[1] // 28
    digit = lambda at: sheet[at // a_row * 28 :][:28, at % a_row * 28 :][:, :28].astype(np.float32) / np.float32(255)
    changes = {
        "none": lambda picture: picture,
        "half": lambda picture: picture * np.float32(0.5),
        "negative": lambda picture: np.float32(1) - picture,
        "shifted": lambda picture: np.roll(picture, 1, axis=1),
        "grey": lambda picture: np.full_like(picture, 0.25),
    }
    pairs = [
        (0, 1, "none"), (5, 900, "none"), (17, 18, "none"), (250, 260, "none"), (1999, 3, "none"), (42, 42, "half"),
        (77, 77, "half"), (42, 42, "negative"), (600, 600, "negative"), (42, 42, "shifted"), (1234, 1234, "shifted"),
        (1234, 1235, "shifted"), (8, 8, "grey"), (1500, 1500, "grey"),
    ]
    for one, other, change in pairs:
        truth, guess = digit(one).astype(np.float64), changes[change](digit(other)).astype(np.float64)
        yield {
            "pair": [one, other],
            "change": change,
            "ssim": float(structural_similarity(truth, guess, data_range=1.0)),
            "mse": float(np.mean((truth - guess) ** 2)),
            "psnr": float(peak_signal_noise_ratio(truth, guess, data_range=1.0)),
        }


if __name__ == "__main__":
    if sys.argv[1:] == ["--vectors"]:
        print("[\n" + ",\n".join("  " + json.dumps(vector) for vector in vectors()) + "\n]")
    else:
        sys.exit(int(check(*sys.argv[1:]) > 0))
