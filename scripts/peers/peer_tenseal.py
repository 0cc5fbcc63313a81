"""TenSEAL: CKKS on Microsoft SEAL. Numbers are approximate; outputs count as exact if they round to the right integer."""

import sys

import layers
import numpy as np
import tenseal as ts

INPUTS, OUTPUTS = 784, 64
SIDE, TAPS, CHANNELS = 28, 3, 8
OUT_SIDE = SIDE - TAPS + 1


def context(degree, bits, scale_bits, rotations):
    made = ts.context(ts.SCHEME_TYPE.CKKS, poly_modulus_degree=degree, coeff_mod_bit_sizes=bits)
    made.global_scale = 2**scale_bits
    if rotations:
        made.generate_galois_keys()
    # What a server needs to compute: no secret key, and relinearisation only where ciphertexts are multiplied.
    public = made.serialize(save_secret_key=False, save_galois_keys=rotations, save_relin_keys=False)
    return made, len(public)


def dense():
    """The library's own vector times matrix, by diagonals."""
    made, key_bytes = context(8192, [60, 40, 60], 40, rotations=True)
    (matrix,) = layers.weights((OUTPUTS, INPUTS))
    columns = matrix.T.tolist()
    return layers.Row(
        name="dense 784x64",
        ours="dense-784x64",
        shape=(INPUTS,),
        expected=lambda values: matrix @ values,
        encrypt=lambda values: ts.ckks_vector(made, values.tolist()),
        serve=lambda request: request.mm(columns),
        decrypt=lambda response: np.array(response.decrypt()),
        bytes_up=lambda request: len(request.serialize()),
        bytes_down=lambda response: len(response.serialize()),
        key_bytes=key_bytes,
        notes="CKKS, N = 8192, primes of 60, 40, 60 bits",
    )


def convolution():
    """Without the rotations of the library's `conv2d_im2col`: the client sends the image once a tap, shifted by it."""
    made, key_bytes = context(8192, [60, 40, 60], 40, rotations=False)
    (kernels,) = layers.weights((CHANNELS, TAPS, TAPS))
    taps = [(i, j) for i in range(TAPS) for j in range(TAPS)]

    def encrypt(image):
        return [ts.ckks_vector(made, image[i : i + OUT_SIDE, j : j + OUT_SIDE].ravel().tolist()) for i, j in taps]

    def serve(shifted):
        channels = []
        for kernel in kernels.reshape(CHANNELS, -1).tolist():
            total = shifted[0] * kernel[0]
            for image, weight in zip(shifted[1:], kernel[1:]):
                total += image * weight
            channels.append(total)
        return channels

    return layers.Row(
        name="conv 3x3, 28x28 -> 8 channels",
        ours="conv-3x3-28x28x8",
        shape=(SIDE, SIDE),
        expected=lambda image: layers.convolved(image, kernels),
        encrypt=encrypt,
        serve=serve,
        decrypt=lambda channels: np.array([channel.decrypt() for channel in channels]),
        bytes_up=lambda request: sum(len(image.serialize()) for image in request),
        bytes_down=lambda response: sum(len(channel.serialize()) for channel in response),
        key_bytes=key_bytes,
        notes="CKKS, N = 8192; nine shifted images up, no rotations: cheaper for it than its own `conv2d_im2col`",
    )


if __name__ == "__main__":
    layers.measure([dense(), convolution()], runs=int(sys.argv[1]))
