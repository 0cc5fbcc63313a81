"""Reference of the release pipeline: clip, noise, quantise. The client's own is in Rust, on integers."""

import numpy as np


def clip_norm(features, limit):
    norm = np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)
    return features * np.minimum(1.0, limit / norm)


def quantise(features, bits, reach):
    """Rounds each number to one of `2^bits` evenly spaced levels of `[-reach, reach]`."""
    levels = 2**bits - 1
    step = 2 * reach / levels
    index = np.clip(np.round((features + reach) / step), 0, levels)
    return index * step - reach


def release(features, policy, rng):
    """Features as the creator receives them under a policy."""
    clipped = clip_norm(features, policy["clip"])
    noised = clipped + policy["sigma"] * rng.standard_normal(clipped.shape)
    return quantise(noised, policy["bits"], policy["clip"] + 4 * policy["sigma"])
