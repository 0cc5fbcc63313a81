"""A new tail for a model's split, fitted to what its policies release.

    scripts/models/tune-tail wine                     # in a virtual environment of its own, versions pinned
    scripts/models/tune-tail wine deepest 32          # another split, 32 units in the middle

A tail that was trained on bare features meets clipped and noised ones once it is on sale. This fits two dense layers
(scikit-learn) on the card's population: every sample many times, its features clipped as the client clips them, with
noise of a policy drawn for each. So one tail serves all policies. The head stays as it is, to the bit: what
its features tell does not change.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from sklearn.neural_network import MLPClassifier

DRAWS = 24  # releases of each sample
SEED = 1


def clipped(features):
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1)


def chosen_split(card, name):
    splits = {split["name"]: split for split in card["splits"]}
    if name and name not in splits:
        sys.exit(f"the card has no split {name}; it has {', '.join(splits)}")
    return splits[name or card["splits"][0]["name"]]


def fitted(file, sigmas, hidden):
    """Layers as pairs of weights `[in, out]` and bias; the last gives a score a class."""
    reference = file["reference"].astype(bool)
    if not reference.any():
        sys.exit("the card names no `population` to learn from: samples that training saw, with their classes")
    known, labels = clipped(file["features"][reference].astype(np.float64)), file["labels"][reference]
    random = np.random.default_rng(SEED)
    rows = np.tile(known, (DRAWS, 1))
    noise = random.choice(sigmas, (len(rows), 1)) * random.standard_normal(rows.shape)
    model = MLPClassifier((hidden,), alpha=1e-3, batch_size=min(256, len(rows)), early_stopping=True, random_state=SEED)
    model.fit(rows + noise, np.tile(labels, DRAWS))
    (first, last), (first_bias, last_bias) = model.coefs_, model.intercepts_
    if len(model.classes_) == 2:
        # One score says how much rather the second.
        last, last_bias = np.hstack([0 * last, last]), np.concatenate([0 * last_bias, last_bias])
    return [(first, first_bias), (last, last_bias)], model.classes_


def with_tail(model, after, layers, classes, labels, clip):
    """The model up to node `after`, then the layers."""
    graph = model.graph
    name = lambda node: node.name or node.output[0]
    at = next((at for at, node in enumerate(graph.node) if name(node) == after), None)
    if at is None:
        sys.exit(f"the model has no node {after}")
    features, output = graph.node[at].output[0], graph.output[0].name
    del graph.node[at + 1 :]
    (first, first_bias), (last, last_bias) = layers
    # A class that no sample is of is never the answer.
    whole, whole_bias = np.zeros((len(last), labels)), np.full(labels, -30.0)
    whole[:, classes], whole_bias[classes] = last, last_bias
    numbers = {"weight.0": first / clip, "bias.0": first_bias, "weight.1": whole, "bias.1": whole_bias}
    for key, value in numbers.items():
        graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), f"tuned.{key}"))
    node = lambda kind, inputs, to, **more: graph.node.append(helper.make_node(kind, inputs, [to], f"tuned.{to}", **more))
    node("Gemm", [features, "tuned.weight.0", "tuned.bias.0"], "tuned.sums")
    node("Relu", ["tuned.sums"], "tuned.hidden")
    node("Gemm", ["tuned.hidden", "tuned.weight.1", "tuned.bias.1"], "tuned.scores")
    node("Softmax", ["tuned.scores"], output, axis=1)
    read = {value for node in graph.node for value in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        graph.initializer.remove(tensor)
    del graph.value_info[:]
    onnx.checker.check_model(model)
    return model


def compare(program, before, after, split, policies):
    """Prints both, and ends with 1 unless the new tail is right more often over all policies."""
    totals = [0.0, 0.0]
    for policy in policies:
        shares = []
        for folder in (before, after):
            words = [program, "model", "eval", folder, "--policy", policy, "--json"]
            words += ["--split", split] if split else []
            figures = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
            shares.append(figures["released"])
        totals = [total + share for total, share in zip(totals, shares)]
        print(f"{policy}: {shares[0]:.4f} released right before, {shares[1]:.4f} now")
    if totals[1] <= totals[0]:
        sys.exit("the new tail is no better; nothing was written")


def main():
    folder, features, into, split, hidden = sys.argv[1:6]
    card = tomllib.loads((Path(folder) / "model.toml").read_text())
    split = chosen_split(card, split)
    policies = split["policies"]
    sigmas = [policy["sigma"] / split["clip"] for policy in policies]
    layers, classes = fitted(np.load(features), sigmas, int(hidden))
    model = onnx.load(Path(folder) / "model.onnx")
    onnx.save(with_tail(model, split["after"], layers, classes, len(card["labels"]), split["clip"]), into)
    Path(into + ".policies").write_text(" ".join(policy["name"] for policy in policies) + "\n")


if __name__ == "__main__":
    compare(*sys.argv[2:6], sys.argv[6:]) if sys.argv[1] == "--compare" else main()
