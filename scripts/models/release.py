"""Reference of the release pipeline: clip, noise, codes. The client's own works on integers and samples exactly."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Policy:
    """How features leave the user. Lengths are in units of the clip norm's own scale."""

    name: str
    sigma: float
    bits: int
    clip: float = 1.0

    @property
    def step(self):
        """One code's worth: four standard deviations beyond the clip norm still have a code."""
        return (self.clip + 4 * self.sigma) / (2 ** (self.bits - 1) - 1)


def clip_norm(features, limit):
    norm = np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)
    return features * np.minimum(1.0, limit / norm)


def release(features, policy, rng):
    """What the tail receives: signed codes of `bits` bits, times the step."""
    noised = clip_norm(features, policy.clip)
    noised = noised + policy.sigma * rng.standard_normal(noised.shape)
    top = 2 ** (policy.bits - 1)
    return np.clip(np.round(noised / policy.step), -top, top - 1) * policy.step
