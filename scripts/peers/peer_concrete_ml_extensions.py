"""concrete-ml-extensions: encrypted rows times a clear matrix on TFHE's ring, answers packed by a keyswitch."""

import sys

import concrete_ml_extensions as cml
import layers
import numpy as np

INPUTS, OUTPUTS = 784, 64


def dense():
    parameters = cml.MatmulCryptoParameters.deserialize(cml.default_params())
    key, packing_key = cml.create_private_key(parameters)
    (matrix,) = layers.weights((OUTPUTS, INPUTS))
    # The library computes modulo 2^64: negative weights wrap.
    columns = np.ascontiguousarray(matrix.T).astype(np.uint64)

    def decrypt(response):
        answer = cml.decrypt_matrix(response, key, parameters, num_valid_glwe_values_in_last_ciphertext=OUTPUTS)
        return np.asarray(answer).astype(np.int64)

    return layers.Row(
        name="dense 784x64",
        ours="dense-784x64",
        shape=(INPUTS,),
        expected=lambda values: matrix @ values,
        encrypt=lambda values: cml.encrypt_matrix(key, parameters, values.astype(np.uint64)[None, :]),
        serve=lambda request: cml.matrix_multiplication(request, columns, packing_key),
        decrypt=decrypt,
        bytes_up=lambda request: len(request.serialize()),
        bytes_down=lambda response: len(response.serialize()),
        key_bytes=len(packing_key.serialize()),
        notes="8-bit weights and inputs, its default parameters",
    )


if __name__ == "__main__":
    layers.measure([dense()], runs=int(sys.argv[1]))
