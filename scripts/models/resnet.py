"""A residual network for small grey pictures: the head of `brain-regions`.

Widths are (channels in, channels of each stage, features). A 3×3 convolution leads to the first stage; each stage
is one residual block of two 3×3 convolutions, from the second on at half the size, with a 1×1 convolution on the
shortcut; the mean over what is left of the picture goes into a dense layer. Every convolution is normalised over
the batch in training, and over the population afterwards.
"""

import jax
import jax.numpy as jnp
import numpy as np

import network

EPSILON = 1e-5


def _initial_conv(key, side, fan_in, channels):
    return {
        "w": jax.random.normal(key, (side, side, fan_in, channels)) * np.sqrt(2 / (side * side * fan_in)),
        "scale": jnp.ones(channels),
        "shift": jnp.zeros(channels),
    }


def initial(key, widths):
    """Parameters of a head."""
    channels_in, *stages, features = widths
    keys = iter(jax.random.split(key, 3 * len(stages) + 2))
    params = {"stem": _initial_conv(next(keys), 3, channels_in, stages[0]), "stages": []}
    width = stages[0]
    for index, channels in enumerate(stages):
        stage = {"one": _initial_conv(next(keys), 3, width, channels),
                 "two": _initial_conv(next(keys), 3, channels, channels)}
        if index > 0:
            stage["shortcut"] = _initial_conv(next(keys), 1, width, channels)
        params["stages"].append(stage)
        width = channels
    params["dense"] = {"w": jax.random.normal(next(keys), (width, features)) * np.sqrt(2 / width),
                       "b": jnp.zeros(features)}
    return params


def stride(index):
    """Of a stage's first convolution and of its shortcut."""
    return 1 if index == 0 else 2


def _convolved(weights, x, step):
    around = (weights.shape[0] - 1) // 2
    return jax.lax.conv_general_dilated(x, weights, (step, step), [(around, around)] * 2,
                                        dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _normalised(layer, y, mean, variance):
    return (y - mean) * (layer["scale"] / jnp.sqrt(variance + EPSILON)) + layer["shift"]


def _by_batch(layer, y):
    return _normalised(layer, y, y.mean(axis=(0, 1, 2)), y.var(axis=(0, 1, 2)))


def _by_population(layer, y):
    return _normalised(layer, y, layer["mean"], layer["variance"])


def _run(params, x, normalise, inside=None):
    """Features; with `inside`, a `bootstrapped` split's rounding of the stem and the first stage."""
    conv = lambda layer, x, step=1: normalise(layer, _convolved(layer["w"], x, step))
    activate, weigh = (inside.activate, inside.weigh) if inside else (jax.nn.relu, lambda layer: layer)
    x = activate(conv(params["stem"], x))
    for index, stage in enumerate(params["stages"]):
        if index > 0:
            activate, weigh = jax.nn.relu, lambda layer: layer
        branch = conv(weigh(stage["two"]), activate(conv(weigh(stage["one"]), x, stride(index))))
        shortcut = conv(stage["shortcut"], x, stride(index)) if "shortcut" in stage else x
        x = activate(branch + shortcut)
        if inside and index == 0:
            x = inside.sent(x)
    return x.mean(axis=(1, 2)) @ params["dense"]["w"] + params["dense"]["b"]


def _pictures(x):
    side = int(np.sqrt(x.shape[-1]))
    return x.reshape(-1, side, side, 1)


KIND = network.Kind(initial, lambda params, x: _run(params, _pictures(x), _by_batch))


class Inside:
    """How the head's first layers see numbers that never leave encryption, as `client/model/src/inside.rs` rounds them.
    Gradients pass as if nothing were rounded."""

    BINS, MARGIN = 16, 0.06  # of a table; share of a channel's range that is added at either end
    DEVIATIONS = 13.5  # of a looked-up sum's noise in a bin
    NORM = 40.0  # of the integer weights behind a table
    SENT = 15.0  # largest integer of the last table

    def __init__(self, key):
        self.key = key

    def activate(self, y):
        least, most = y.min(axis=(0, 1, 2)), y.max(axis=(0, 1, 2))
        margin = self.MARGIN * (most - least)
        least, width = least - margin, (most - least + 2 * margin) / self.BINS + 1e-9
        self.key, noise = jax.random.split(self.key)
        seen = y + jax.random.normal(noise, y.shape) * width / self.DEVIATIONS
        bins = jnp.clip(jnp.floor((seen - least) / width), 0, self.BINS - 1)
        return _passed(jax.nn.relu(y), jax.nn.relu(least + (bins + 0.5) * width))

    def weigh(self, layer):
        unit = jnp.sqrt((layer["w"] ** 2).sum(axis=(0, 1, 2))) / self.NORM + 1e-9
        return layer | {"w": _passed(layer["w"], jnp.round(layer["w"] / unit) * unit)}

    def sent(self, x):
        unit = x.max(axis=(0, 1, 2)) / self.SENT + 1e-9
        return _passed(x, jnp.round(x / unit) * unit)


def _passed(exact, rounded):
    return exact + jax.lax.stop_gradient(rounded - exact)


def _inside(params, x):
    # Noise of its own for every batch.
    key = jax.random.fold_in(jax.random.PRNGKey(1), jax.lax.bitcast_convert_type(x.sum(), jnp.int32))
    return _run(params, _pictures(x), _by_batch, Inside(key))


INSIDE = network.Kind(initial, _inside)


def settled(params, population):
    """Parameters with each convolution's mean and variance over `population`, flat pictures `[n, pixels]`."""

    def recorded(layer, y):
        layer["mean"], layer["variance"] = y.mean(axis=(0, 1, 2)), y.var(axis=(0, 1, 2))
        return _by_population(layer, y)

    params = jax.tree.map(jnp.asarray, params)
    _run(params, _pictures(jnp.asarray(population, jnp.float32)), recorded)
    return jax.tree.map(np.asarray, params)


def run(params, x):
    """Features of flat pictures in clear floats, for measuring."""
    return np.asarray(_run(params, _pictures(jnp.asarray(x, jnp.float32)), _by_population))
