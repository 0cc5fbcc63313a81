"""Orion: PyTorch networks under CKKS by Lattigo. Outputs are approximate; only their error counts."""

import sys

import layers
import numpy as np
import orion
import orion.nn as on
import torch

# Inputs and weights of 8 bits as fractions, which CKKS wants.
UNIT = 256.0


class Dense(on.Module):
    """Dense layers with squares in between: CKKS has no ReLU, a square is the cheapest that it has."""

    def __init__(self, matrices):
        super().__init__()
        self.layers = torch.nn.ModuleList()
        for matrix in matrices:
            if len(self.layers) > 0:
                self.layers.append(on.Quad())
            layer = on.Linear(matrix.shape[1], matrix.shape[0], bias=False)
            layer.weight.data = torch.tensor(matrix, dtype=torch.float32)
            self.layers.append(layer)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def scheme(levels):
    """Ring of 8192, as its own MLP example, but with no more primes than the levels need: that example's 463 bits of
    modulus are far beyond the 218 which give 128-bit security there."""
    return {
        "ckks_params": {
            "LogN": 13,
            "LogQ": [29] + [26] * levels,
            "LogP": [29],
            "LogScale": 26,
            "H": 8192,
            "RingType": "Standard",
        },
        "orion": {
            "margin": 2,
            "embedding_method": "hybrid",
            "backend": "lattigo",
            "fuse_modules": True,
            "debug": False,
            "io_mode": "none",
        },
    }


def row(name, ours, network, shape, levels, notes):
    """A row for `network` on images of `shape`. The scheme is global in this library: rows must not overlap."""
    orion.init_scheme(scheme(levels))
    images = torch.tensor(layers.numbers(3, 16 * int(np.prod(shape))) % np.uint64(256), dtype=torch.float32)
    network.eval()
    orion.fit(network, images.reshape(16, *shape)[:1] / UNIT)
    level = orion.compile(network)

    def clear(values):
        network.eval()
        return network(torch.tensor(values / UNIT, dtype=torch.float32).unsqueeze(0)).detach().numpy()

    def encrypt(values):
        return orion.encrypt(orion.encode(torch.tensor(values / UNIT, dtype=torch.float32).unsqueeze(0), level))

    def serve(request):
        return network(request)

    def under_encryption(values):
        request = encrypt(values)
        network.he()
        return request

    return layers.Row(
        name=name,
        ours=ours,
        shape=shape,
        expected=clear,
        encrypt=under_encryption,
        serve=serve,
        decrypt=lambda response: response.decrypt().decode().numpy(),
        bytes_up=None,
        bytes_down=None,
        key_bytes=None,
        notes=notes,
        integers=False,
    )


def matrices(*widths):
    shapes = list(zip(widths[1:], widths[:-1]))
    # Scaled so that squares of squares stay within what the modulus can hold.
    return [matrix / 128 / np.sqrt(matrix.shape[1]) for matrix in layers.weights(*shapes)]


def dense():
    return row("dense 784x64", "dense-784x64", Dense(matrices(784, 64)), (784,), 1, "CKKS, ring of 8192")


def network():
    notes = "784-128-64-16 with squares, ours with ReLU; CKKS, ring of 8192"
    return row("three dense layers", "rounds-3x-28x28", Dense(matrices(784, 128, 64, 16)), (784,), 5, notes)


if __name__ == "__main__":
    # The network comes last: Lattigo panics for want of a rotation key, and ends this program.
    for make in [dense, network]:
        layers.measure([make()], runs=int(sys.argv[1]))
