"""Writes a model as an ordinary ONNX file: Gemm and Relu, Softmax at the end."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def _dense(nodes, initialisers, name, source, weights, bias):
    """`Gemm` with transposed weights, as the usual exporters write it. Returns the output's name."""
    initialisers.append(numpy_helper.from_array(np.ascontiguousarray(weights.T, np.float32), f"{name}.weight"))
    initialisers.append(numpy_helper.from_array(np.asarray(bias, np.float32), f"{name}.bias"))
    output = f"{name}.out"
    nodes.append(
        helper.make_node("Gemm", [source, f"{name}.weight", f"{name}.bias"], [output], name=name, transB=1)
    )
    return output


def _stack(nodes, initialisers, prefix, source, layers):
    for index, (weights, bias) in enumerate(layers):
        source = _dense(nodes, initialisers, f"{prefix}.{index}", source, weights, bias)
        if index < len(layers) - 1:
            nodes.append(helper.make_node("Relu", [source], [f"{prefix}.{index}.relu"], name=f"{prefix}.{index}.relu"))
            source = f"{prefix}.{index}.relu"
    return source


def write(path, input_name, input_shape, head, tail, graph_name):
    """Saves the whole float model: input `[batch, *input_shape]`, output `probabilities` `[batch, classes]`."""
    nodes, initialisers = [], []
    source = input_name
    if len(input_shape) > 1:
        nodes.append(helper.make_node("Flatten", [input_name], ["flat"], name="flatten", axis=1))
        source = "flat"
    features = _stack(nodes, initialisers, "head", source, head)
    logits = _stack(nodes, initialisers, "tail", features, tail)
    nodes.append(helper.make_node("Softmax", [logits], ["probabilities"], name="softmax", axis=1))
    graph = helper.make_graph(
        nodes,
        graph_name,
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["batch", *input_shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", tail[-1][0].shape[1]])],
        initialisers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model.producer_name = "scripts/models"
    onnx.checker.check_model(model)
    onnx.save(model, path)
