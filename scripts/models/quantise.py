"""Reference of the integer head: i8 weights with a scale per output, u8 activations, a fixed-point rescale between
layers and one to the feature grid at the end."""

import numpy as np

# Grid units in the clip norm: fine enough that rounding to it is far below any noise.
CLIP_UNITS = 1 << 14
# A feature on the grid: signed, 24 bits.
FEATURE_LIMIT = 1 << 23


def fixed_point(scales):
    """`scales` as (multipliers, shift): `x * multiplier >> shift`, the largest multiplier in 2^30 .. 2^31."""
    shift = 30 - int(np.floor(np.log2(scales.max())))
    return np.round(scales * 2.0**shift).astype(np.int64), shift


def quantise(head, step, offset, calibration, clip):
    """Integer rounds from float layers. `x = offset + step * q` for the u8 input q; calibration is u8 `[n, inputs]`."""
    x = calibration.astype(np.float64) * step + offset
    rounds, in_unit = [], 1.0
    for index, (weights, bias) in enumerate(head):
        w, b = weights.astype(np.float64), bias.astype(np.float64)
        x = x @ w + b
        if index == 0:
            b = b + np.broadcast_to(offset, w.shape[:1]) @ w
            w = w * np.broadcast_to(step, w.shape[:1])[:, None]
        scale = np.maximum(np.abs(w).max(axis=0), 1e-30) / 127
        last = index == len(head) - 1
        x = x if last else np.maximum(x, 0)
        out_unit = clip / CLIP_UNITS if last else x.max() / 255
        rounds.append({
            "weights": np.clip(np.round(w / scale), -127, 127).astype(np.int64),
            "bias": np.round(b / (scale * in_unit)).astype(np.int64),
            "rescale": fixed_point(scale * in_unit / out_unit),
            "range": (-FEATURE_LIMIT, FEATURE_LIMIT - 1) if last else (0, 255),
        })
        in_unit = out_unit
    return rounds


def run(rounds, q):
    """Features as integers `[n, k]`, in units of clip / CLIP_UNITS."""
    x = q.astype(np.int64)
    for entry in rounds:
        x = x @ entry["weights"] + entry["bias"]
        multipliers, shift = entry["rescale"]
        low, high = entry["range"]
        if low == 0:
            x = np.maximum(x, 0)
        x = np.clip((x * multipliers + (1 << (shift - 1))) >> shift, low, high)
    return x
