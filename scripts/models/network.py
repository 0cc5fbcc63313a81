"""Networks whose features are clipped and noised before the tail sees them: a head of any kind, a dense tail."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Recipe:
    """Everything a training run depends on besides the data."""

    head: tuple  # widths, input first, features last; between them what the kind of head says
    tail: tuple  # widths, features first, logits last
    clip: float  # L2 norm the released features are clipped to
    sigmas: tuple  # the noise levels the tail is trained to serve, one drawn per sample
    epochs: int
    batch: int
    rate: float
    decay: float  # weight decay
    scatter: float  # weight of the within-class spread of the clipped features
    overflow: float  # weight of the norm beyond the clip
    smoothing: float  # label smoothing
    seed: int


def initial_layers(key, widths):
    layers = []
    for fan_in, fan_out in zip(widths[:-1], widths[1:]):
        key, sub = jax.random.split(key)
        layers.append(
            {"w": jax.random.normal(sub, (fan_in, fan_out)) * np.sqrt(2 / fan_in), "b": jnp.zeros(fan_out)}
        )
    return layers


def dense(layers, x):
    """Dense layers with ReLU between them; the last one is linear."""
    for layer in layers[:-1]:
        x = jax.nn.relu(x @ layer["w"] + layer["b"])
    return x @ layers[-1]["w"] + layers[-1]["b"]


@dataclass(frozen=True)
class Kind:
    """How a head is made and run."""

    initial: callable  # (key, widths) -> parameters
    features: callable  # (parameters, inputs) -> features, as in training


DENSE = Kind(initial_layers, dense)


def clip_norm(features, limit):
    norm = jnp.sqrt(jnp.sum(features**2, axis=-1, keepdims=True) + 1e-12)
    return features * jnp.minimum(1.0, limit / norm)


def loss(params, recipe, kind, x, labels, key):
    classes = recipe.tail[-1]
    features = kind.features(params["head"], x)
    clipped = clip_norm(features, recipe.clip)
    key_sigma, key_noise = jax.random.split(key)
    sigma = jax.random.choice(key_sigma, jnp.array(recipe.sigmas), (len(labels), 1))
    seen = clipped + sigma * jax.random.normal(key_noise, clipped.shape)
    target = jax.nn.one_hot(labels, classes)
    smooth = target * (1 - recipe.smoothing) + recipe.smoothing / classes
    entropy = -jnp.mean(jnp.sum(smooth * jax.nn.log_softmax(dense(params["tail"], seen)), axis=1))
    # What the features say beyond the label is what an attacker can use: pull each class together.
    count = jnp.maximum(target.sum(axis=0), 1)[:, None]
    centre = jax.lax.stop_gradient(target.T @ clipped / count)
    scatter = jnp.mean(jnp.sum((clipped - centre[labels]) ** 2, axis=1))
    norm = jnp.sqrt(jnp.sum(features**2, axis=1) + 1e-12)
    overflow = jnp.mean(jax.nn.relu(norm - recipe.clip) ** 2)
    return entropy + recipe.scatter * scatter + recipe.overflow * overflow


def train(recipe: Recipe, inputs, labels, augment=None, kind=DENSE, each_epoch=lambda epoch, params: None):
    """AdamW with a cosine rate. Returns head and tail; dense ones as lists of (weights `[in, out]`, bias `[out]`)."""
    key = jax.random.PRNGKey(recipe.seed)
    key, key_head, key_tail = jax.random.split(key, 3)
    params = {"head": kind.initial(key_head, recipe.head), "tail": initial_layers(key_tail, recipe.tail)}
    moments = (jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))
    inputs, labels = jnp.asarray(inputs, jnp.float32), jnp.asarray(labels)
    batches = len(labels) // recipe.batch
    steps = recipe.epochs * batches

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params, moments, index, count, key):
        key_augment, key_loss = jax.random.split(key)
        x = inputs[index]
        if augment is not None:
            x = augment(key_augment, x)
        gradient = jax.grad(loss)(params, recipe, kind, x, labels[index], key_loss)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], gradient)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, moments[1], gradient)
        rate = recipe.rate * 0.5 * (1 + jnp.cos(jnp.pi * count / steps))

        def update(p, m, v):
            m_hat, v_hat = m / (1 - 0.9 ** (count + 1)), v / (1 - 0.999 ** (count + 1))
            return p - rate * (m_hat / (jnp.sqrt(v_hat) + 1e-8) + recipe.decay * p)

        return jax.tree.map(update, params, first, second), (first, second)

    order = np.random.default_rng(recipe.seed)
    count = 0
    for epoch in range(recipe.epochs):
        shuffled = order.permutation(len(labels))[: batches * recipe.batch].reshape(batches, -1)
        for index in shuffled:
            key, sub = jax.random.split(key)
            params, moments = step(params, moments, jnp.asarray(index), jnp.float32(count), sub)
            count += 1
        each_epoch(epoch, params)
    return {part: _plain(params[part]) for part in ("head", "tail")}


def _plain(layers):
    """Out of the device's memory; a dense stack as pairs."""
    layers = jax.tree.map(np.asarray, layers)
    return [(layer["w"], layer["b"]) for layer in layers] if isinstance(layers, list) else layers


def run(layers, x):
    """Clear float evaluation in numpy, for measuring."""
    for weights, bias in layers[:-1]:
        x = np.maximum(x @ weights + bias, 0)
    weights, bias = layers[-1]
    return x @ weights + bias


def affine_augment(side, shift, turn, stretch, context=0):
    """A batch augmentation: small random shifts (pixels), turns (radians) and stretches (fraction).

    Images come with `context` pixels around them, which are cut off.
    """

    full = side + 2 * context

    def augment(key, x):
        keys = jax.random.split(key, 5)
        n = len(x)
        uniform = lambda k, scale: jax.random.uniform(k, (n,), minval=-scale, maxval=scale)
        angle, size_x, size_y = uniform(keys[0], turn), 1 + uniform(keys[1], stretch), 1 + uniform(keys[2], stretch)
        shear = uniform(keys[3], turn)
        offset = jax.random.uniform(keys[4], (n, 2), minval=-shift, maxval=shift)
        middle = (side - 1) / 2
        rows, columns = jnp.meshgrid(jnp.arange(side) - middle, jnp.arange(side) - middle, indexing="ij")

        def one(image, a, sx, sy, sh, o):
            r = sy * (jnp.cos(a) * rows - jnp.sin(a) * columns) + o[0] + middle + context
            c = sx * (jnp.sin(a) * rows + jnp.cos(a) * columns + sh * rows) + o[1] + middle + context
            return jax.scipy.ndimage.map_coordinates(image.reshape(full, full), [r, c], order=1).reshape(-1)

        return jax.vmap(one)(x, angle, size_x, size_y, shear, offset)

    return augment


def light_augment(gain, offset, noise):
    """A batch augmentation: another brightness (fractions) and offset for each image, and noise for each pixel."""

    def augment(key, x):
        keys = jax.random.split(key, 3)
        n = (len(x), 1)
        factor = jnp.exp(jax.random.uniform(keys[0], n, minval=-gain, maxval=gain))
        shifted = x * factor + jax.random.uniform(keys[1], n, minval=-offset, maxval=offset)
        return jnp.clip(shifted + noise * jax.random.normal(keys[2], x.shape), 0, 1)

    return augment
