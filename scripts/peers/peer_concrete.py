"""Concrete: TFHE circuits compiled from Python. `--pbs` adds a convolution with ReLU by bootstraps: a minute a run."""

import sys

import layers
import numpy as np
from concrete import fhe

INPUTS, OUTPUTS = 784, 64
SIDE, TAPS, CHANNELS, PBS_CHANNELS = 28, 3, 8, 4
OUT_SIDE = SIDE - TAPS + 1


def row(name, ours, function, shape, expected, notes, bits=8, **more):
    """Compiles `function` of one encrypted tensor of `shape` with values of `bits` bits."""
    compiler = fhe.Compiler(function, {"values": "encrypted"})
    draws = layers.numbers(3, 10 * int(np.prod(shape))) % np.uint64(2**bits)
    inputs = list(draws.astype(np.int64).reshape(10, *shape)) + [np.full(shape, 2**bits - 1), np.zeros(shape, dtype=np.int64)]
    configuration = fhe.Configuration(p_error=2**-40, verbose=False)
    circuit = compiler.compile(inputs, configuration)
    circuit.keygen()
    keys = circuit.client.evaluation_keys
    return layers.Row(
        name=name,
        ours=ours,
        shape=shape,
        expected=lambda values: expected(values % 2**bits),
        encrypt=lambda values: circuit.encrypt(values % 2**bits),
        serve=circuit.run,
        decrypt=circuit.decrypt,
        bytes_up=lambda request: len(request.serialize()),
        bytes_down=lambda response: len(response.serialize()),
        key_bytes=len(keys.serialize()),
        notes=notes,
        **more,
    )


def dense():
    (matrix,) = layers.weights((OUTPUTS, INPUTS))
    columns = np.ascontiguousarray(matrix.T)
    notes = "8-bit weights and inputs, no bootstrap, p_error 2^-40"
    expected = lambda values: values @ columns
    return row("dense 784x64", "dense-784x64", lambda values: values @ columns, (INPUTS,), expected, notes)


def convolution():
    (kernels,) = layers.weights((CHANNELS, TAPS, TAPS))
    taps = kernels[:, None]
    return row(
        "conv 3x3, 28x28 -> 8 channels",
        "conv-3x3-28x28x8",
        lambda values: fhe.conv(values, taps),
        (1, 1, SIDE, SIDE),
        lambda values: layers.convolved(values[0, 0], kernels),
        "8-bit weights and inputs, no bootstrap, p_error 2^-40",
    )


def activated():
    """Weights and inputs of 4 bits; sums are rounded to the 4 bits that a bootstrap reads, then ReLU by a table."""
    (kernels,) = layers.weights((PBS_CHANNELS, TAPS, TAPS))
    kernels = kernels >> 4
    taps = kernels[:, None]
    # 9 taps of at most 8 * 15: 12 bits with the sign, of which the upper 4 go through the table.
    dropped_bits = 8

    def function(values):
        sums = fhe.round_bit_pattern(fhe.conv(values, taps), lsbs_to_remove=dropped_bits)
        return fhe.univariate(lambda x: np.maximum(x, 0) >> dropped_bits)(sums)

    def expected(values):
        half = 1 << (dropped_bits - 1)
        return np.maximum((layers.convolved(values[0, 0], kernels) + half) >> dropped_bits, 0)

    return row(
        "conv 3x3, 28x28 -> 4 channels, ReLU",
        "pbs-4bit",
        function,
        (1, 1, SIDE, SIDE),
        expected,
        "4-bit weights and inputs, one bootstrap an output, p_error 2^-40",
        bits=4,
        bootstraps=PBS_CHANNELS * OUT_SIDE**2,
    )


if __name__ == "__main__":
    count = int(sys.argv[1])
    layers.measure([dense(), convolution()], runs=count)
    if "--pbs" in sys.argv[2:]:
        # One run is 2,704 bootstraps: enough to tell their rate.
        layers.measure([activated()], runs=1)
