"""Accuracy, and the bits that released features carry about the input (Gaussian noise, before quantising)."""

import numpy as np


def accuracy(logits, labels):
    return float(np.mean(np.argmax(logits, axis=1) == labels))


def bits_bound(clipped, sigma):
    """Upper bound for any input law with this feature covariance: half the sum of log2(1 + eigenvalue / sigma^2)."""
    eigenvalues = np.maximum(np.linalg.eigvalsh(np.atleast_2d(np.cov(clipped.T))), 0)
    return float(0.5 * np.sum(np.log2(1 + eigenvalues / sigma**2)))


def bits_bound_by_class(clipped, labels, sigma):
    """The same bound, class by class, plus the entropy of the label: I(X;Y) <= H(L) + I(X;Y|L). Tight where classes cluster."""
    total = 0.0
    for label in np.unique(labels):
        part = labels == label
        share = part.mean()
        total += share * (bits_bound(clipped[part], sigma) - np.log2(share))
    return float(total)


def bits_exact(clipped, sigma, rng, draws=2000):
    """Mutual information when the input is one of these N, each as likely; at most log2 N."""
    n = len(clipped)
    picked = rng.integers(0, n, draws)
    seen = clipped[picked] + sigma * rng.standard_normal((draws, clipped.shape[1]))
    squares = (seen**2).sum(1)[:, None] - 2 * seen @ clipped.T + (clipped**2).sum(1)[None, :]
    log_p = -squares / (2 * sigma**2)
    own = log_p[np.arange(draws), picked]
    top = log_p.max(axis=1)
    mixture = top + np.log(np.exp(log_p - top[:, None]).mean(axis=1))
    return float(np.mean(own - mixture) / np.log(2))


def odds_of_naming(clipped, sigma, rng, archive=1000, draws=2000):
    """How often the best attacker picks the right one of `archive` candidates."""
    gallery = clipped[rng.permutation(len(clipped))[: min(archive, len(clipped))]]
    picked = rng.integers(0, len(gallery), draws)
    seen = gallery[picked] + sigma * rng.standard_normal((draws, gallery.shape[1]))
    squares = -2 * seen @ gallery.T + (gallery**2).sum(1)[None, :]
    return float(np.mean(squares.argmin(axis=1) == picked))
