"""Writes a model as an ordinary ONNX file, Softmax at the end."""

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


def _conv(nodes, initialisers, name, source, layer, step, epsilon):
    """`Conv` and `BatchNormalization`. Returns the output's name."""
    kernel = np.ascontiguousarray(layer["w"].transpose(3, 2, 0, 1), np.float32)
    around = (kernel.shape[-1] - 1) // 2
    initialisers.append(numpy_helper.from_array(kernel, f"{name}.weight"))
    nodes.append(helper.make_node("Conv", [source, f"{name}.weight"], [f"{name}.out"], name=name,
                                  kernel_shape=kernel.shape[2:], strides=[step] * 2, pads=[around] * 4))
    numbers = [f"{name}.norm.{part}" for part in ("scale", "shift", "mean", "variance")]
    for number in numbers:
        values = np.asarray(layer[number.rsplit(".", 1)[1]], np.float32)
        initialisers.append(numpy_helper.from_array(values, number))
    nodes.append(helper.make_node("BatchNormalization", [f"{name}.out", *numbers], [f"{name}.norm.out"],
                                  name=f"{name}.norm", epsilon=epsilon))
    return f"{name}.norm.out"


def _relu(nodes, name, source):
    nodes.append(helper.make_node("Relu", [source], [f"{name}.relu.out"], name=f"{name}.relu"))
    return f"{name}.relu.out"


def _residual(nodes, initialisers, prefix, source, head, stride, epsilon):
    """The head of `resnet.py`; its last node is `{prefix}.dense`."""
    conv = lambda *place, layer, step=1: _conv(nodes, initialisers, *place, layer, step, epsilon)
    source = _relu(nodes, f"{prefix}.stem", conv(f"{prefix}.stem", source, layer=head["stem"]))
    for index, stage in enumerate(head["stages"]):
        name, step = f"{prefix}.{index}", stride(index)
        branch = _relu(nodes, f"{name}.one", conv(f"{name}.one", source, layer=stage["one"], step=step))
        branch = conv(f"{name}.two", branch, layer=stage["two"])
        if "shortcut" in stage:
            source = conv(f"{name}.shortcut", source, layer=stage["shortcut"], step=step)
        nodes.append(helper.make_node("Add", [branch, source], [f"{name}.add.out"], name=f"{name}.add"))
        source = _relu(nodes, name, f"{name}.add.out")
    nodes.append(helper.make_node("GlobalAveragePool", [source], [f"{prefix}.mean.out"], name=f"{prefix}.mean"))
    nodes.append(helper.make_node("Flatten", [f"{prefix}.mean.out"], [f"{prefix}.flat"], name=f"{prefix}.flatten", axis=1))
    dense = head["dense"]
    return _dense(nodes, initialisers, f"{prefix}.dense", f"{prefix}.flat", dense["w"], dense["b"])


def write(path, input_name, input_shape, head, tail, graph_name, normalise=False):
    """Saves a whole float model of dense layers: input `[batch, *input_shape]`, output `probabilities` `[batch, classes]`.

    `normalise` brings the input to mean 0 and deviation 1 first.
    """
    nodes, initialisers = [], []
    source = input_name
    if normalise:
        width = input_shape[0]
        for number, value in (("gain", np.ones), ("offset", np.zeros)):
            initialisers.append(numpy_helper.from_array(value(width, np.float32), f"normalise.{number}"))
        nodes.append(helper.make_node("LayerNormalization", [source, "normalise.gain", "normalise.offset"],
                                      ["normalised"], name="normalise", axis=-1, epsilon=1e-9))
        source = "normalised"
    if len(input_shape) > 1:
        nodes.append(helper.make_node("Flatten", [input_name], ["flat"], name="flatten", axis=1))
        source = "flat"
    features = _stack(nodes, initialisers, "head", source, head)
    _save(path, input_name, input_shape, nodes, initialisers, features, tail, graph_name)


def write_residual(path, input_name, input_shape, head, tail, graph_name, stride, epsilon):
    """Saves a whole float model with the head of `resnet.py`, input and output as of `write`."""
    nodes, initialisers = [], []
    features = _residual(nodes, initialisers, "head", input_name, head, stride, epsilon)
    _save(path, input_name, input_shape, nodes, initialisers, features, tail, graph_name)


def write_convolutional(path, input_name, input_shape, head, tail, graph_name, stride):
    """Saves a whole float model with the head of `convnet.py`, input and output as of `write`."""
    nodes, initialisers, source = [], [], input_name
    for index, layer in enumerate(head["convs"]):
        name, around = f"head.conv.{index}", layer["w"].shape[0] // 2
        kernel = np.ascontiguousarray(layer["w"].transpose(3, 2, 0, 1), np.float32)
        initialisers.append(numpy_helper.from_array(kernel, f"{name}.weight"))
        initialisers.append(numpy_helper.from_array(np.asarray(layer["b"], np.float32), f"{name}.bias"))
        nodes.append(helper.make_node("Conv", [source, f"{name}.weight", f"{name}.bias"], [f"{name}.out"], name=name,
                                      kernel_shape=kernel.shape[2:], strides=[stride] * 2, pads=[around] * 4))
        source = _relu(nodes, name, f"{name}.out")
    nodes.append(helper.make_node("Flatten", [source], ["head.flat"], name="head.flatten", axis=1))
    dense = [(layer["w"], layer["b"]) for layer in head["dense"]]
    features = _stack(nodes, initialisers, "head", "head.flat", dense)
    _save(path, input_name, input_shape, nodes, initialisers, features, tail, graph_name)


def _save(path, input_name, input_shape, nodes, initialisers, features, tail, graph_name):
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
