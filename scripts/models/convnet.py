"""A convolutional network for small grey pictures: the head of `digits-conv`.

Widths are (channels in, channels of each convolution, width of the dense layer, features). The first convolution is
5×5, the others 3×3, each at half the size of what it reads; then two dense layers. ReLU is between all of them.
"""

import jax
import jax.numpy as jnp
import numpy as np

import network

STRIDE = 2
SIDE = 28


def kernel(index):
    """Side of a convolution."""
    return 5 if index == 0 else 3


def initial(key, widths):
    """Parameters of a head."""
    *channels, width, features = widths
    keys = iter(jax.random.split(key, len(channels)))
    convs, side = [], SIDE
    for index, (fan_in, fan_out) in enumerate(zip(channels[:-1], channels[1:])):
        shape = (kernel(index), kernel(index), fan_in, fan_out)
        scale = np.sqrt(2 / (shape[0] * shape[1] * fan_in))
        convs.append({"w": jax.random.normal(next(keys), shape) * scale, "b": jnp.zeros(fan_out)})
        side = -(-side // STRIDE)
    dense = network.initial_layers(next(keys), (side * side * channels[-1], width, features))
    return {"convs": convs, "dense": dense}


def _features(params, x):
    x = x.reshape(-1, SIDE, SIDE, 1)
    for layer in params["convs"]:
        around = layer["w"].shape[0] // 2
        x = jax.lax.conv_general_dilated(x, layer["w"], (STRIDE, STRIDE), [(around, around)] * 2,
                                         dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.nn.relu(x + layer["b"])
    # Channel by channel, as ONNX flattens.
    return network.dense(params["dense"], x.transpose(0, 3, 1, 2).reshape(len(x), -1))


KIND = network.Kind(initial, _features)


def run(params, x):
    """Features of flat pictures in clear floats, for measuring."""
    return np.asarray(_features(params, jnp.asarray(x, jnp.float32)))
