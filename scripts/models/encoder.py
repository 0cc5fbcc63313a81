"""A slow, obvious BERT sentence encoder: what `encompute bench sentences` is held to.

    encoder.py FOLDER SENTENCE ...    mean of the tokens' last states, by an encoder's published files
    encoder.py --tiny FOLDER          writes a tiny encoder with random weights, and what it gives for two sentences
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

EPSILON = 1e-12


def read(folder):
    data = (folder / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__" and entry["dtype"] == "F32"}
    floats = {
        name: np.frombuffer(body[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"]).astype(np.float64)
        for name, entry in tensors.items()
    }
    return json.loads((folder / "config.json").read_text()), floats


def normalise(x, weights, name):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
    return scaled * weights[name + ".weight"] + weights[name + ".bias"]


def linear(x, weights, name):
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


def erf(x):
    return np.vectorize(__import__("math").erf)(x)


def encode(folder, text):
    config, weights = read(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    ids = tokenizer.encode(text).ids
    part = "embeddings."
    state = weights[part + "word_embeddings.weight"][ids] + weights[part + "position_embeddings.weight"][: len(ids)]
    state = normalise(state + weights[part + "token_type_embeddings.weight"][0], weights, part + "LayerNorm")
    heads = config["num_attention_heads"]
    width = config["hidden_size"] // heads
    for layer in range(config["num_hidden_layers"]):
        part = f"encoder.layer.{layer}."
        query, key, value = (
            linear(state, weights, part + "attention.self." + name).reshape(len(ids), heads, width).swapaxes(0, 1)
            for name in ("query", "key", "value")
        )
        scores = np.exp(query @ key.swapaxes(1, 2) / np.sqrt(width))
        attended = (scores / scores.sum(-1, keepdims=True) @ value).swapaxes(0, 1).reshape(len(ids), -1)
        attended = linear(attended, weights, part + "attention.output.dense")
        state = normalise(attended + state, weights, part + "attention.output.LayerNorm")
        inner = linear(state, weights, part + "intermediate.dense")
        inner = inner * (1 + erf(inner / np.sqrt(2))) / 2
        state = normalise(linear(inner, weights, part + "output.dense") + state, weights, part + "output.LayerNorm")
    return state.mean(0)


WORDS = "the a patient heart lung scan shows no sign of disease ##s image is clear . ?".split()


def write_tiny(folder):
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    ids = {word: at for at, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(word, ids[word]) for word in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    tokenizer.save(str(folder / "tokenizer.json"))
    width, inner, layers, positions = 16, 24, 2, 12
    sizes = {"hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers}
    config = {**sizes, "num_attention_heads": 4, "layer_norm_eps": EPSILON, "max_position_embeddings": positions}
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": len(vocabulary)}, indent=1) + "\n")
    shapes = {
        "embeddings.word_embeddings.weight": (len(vocabulary), width),
        "embeddings.position_embeddings.weight": (positions, width),
        "embeddings.token_type_embeddings.weight": (2, width),
    }

    def norm(name):
        shapes.update({name + ".weight": (width,), name + ".bias": (width,)})

    def dense(name, outputs, inputs):
        shapes.update({name + ".weight": (outputs, inputs), name + ".bias": (outputs,)})

    norm("embeddings.LayerNorm")
    for layer in range(layers):
        part = f"encoder.layer.{layer}."
        for name in ("query", "key", "value"):
            dense(part + "attention.self." + name, width, width)
        dense(part + "attention.output.dense", width, width)
        norm(part + "attention.output.LayerNorm")
        dense(part + "intermediate.dense", inner, width)
        dense(part + "output.dense", width, inner)
        norm(part + "output.LayerNorm")
    random = np.random.default_rng(7)
    header, body = {}, b""
    for name, shape in shapes.items():
        values = random.normal(0, 0.4, shape) + (1.0 if name.endswith("LayerNorm.weight") else 0.0)
        data = values.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
    sentences = ["The scan shows no signs of disease.", "Is the heart clear?"]
    expected = [{"sentence": text, "embedding": encode(folder, text).round(6).tolist()} for text in sentences]
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "--tiny":
        write_tiny(Path(sys.argv[2]))
    else:
        for sentence in sys.argv[2:]:
            print(json.dumps(encode(Path(sys.argv[1]), sentence).round(5).tolist()[:8]), sentence)
