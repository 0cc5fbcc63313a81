"""A slow, obvious BERT sentence encoder: what `encompute bench sentences` is held to.

    encoder.py FOLDER SENTENCE ...    mean of the tokens' last states, by an encoder's published files
    encoder.py --tiny FOLDER          writes a tiny encoder with random weights, and what it gives for two sentences
    encoder.py --tiny-model FOLDER    writes a whole model on top of it, which tells questions from statements
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np
from scipy import special
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


def erf(x):
    return special.erf(x).astype(x.dtype)


class Encoder:
    """An encoder by its published files, for texts of up to so many tokens."""

    def __init__(self, folder, tokens=None, precision=np.float64):
        self.config, weights = read(folder)
        self.weights = {name: values.astype(precision) for name, values in weights.items()}
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        if tokens is not None:
            self.tokenizer.enable_truncation(tokens)

    def normalise(self, x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
        return scaled * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def encode(self, text):
        """The mean of the tokens' last states."""
        return self.means(np.array([self.tokenizer.encode(text).ids]))[0]

    def encode_all(self, texts, batch=32):
        """The same for many texts, those of one length together: `[n, width]`."""
        ids = [entry.ids for entry in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
        found = [None] * len(ids)
        for length in sorted({len(entry) for entry in ids}):
            same = [at for at in order if len(ids[at]) == length]
            for first in range(0, len(same), batch):
                part = same[first : first + batch]
                for at, mean in zip(part, self.means(np.array([ids[at] for at in part]))):
                    found[at] = mean
            print(f"texts of up to {length} tokens are done", flush=True)
        return np.array(found)

    def means(self, ids):
        """Means of the last states of texts of one length: `[n, tokens]` to `[n, width]`."""
        part = "embeddings."
        words, positions = (self.weights[f"{part}{of}_embeddings.weight"] for of in ("word", "position"))
        state = words[ids] + positions[: ids.shape[1]] + self.weights[part + "token_type_embeddings.weight"][0]
        state = self.normalise(state, part + "LayerNorm")
        heads = self.config["num_attention_heads"]
        width = self.config["hidden_size"] // heads
        for layer in range(self.config["num_hidden_layers"]):
            part = f"encoder.layer.{layer}."
            query, key, value = (
                self.linear(state, part + "attention.self." + name).reshape(*ids.shape, heads, width).swapaxes(1, 2)
                for name in ("query", "key", "value")
            )
            scores = np.exp(query @ key.swapaxes(2, 3) / np.sqrt(width))
            attended = (scores / scores.sum(-1, keepdims=True) @ value).swapaxes(1, 2).reshape(state.shape)
            attended = self.linear(attended, part + "attention.output.dense")
            state = self.normalise(attended + state, part + "attention.output.LayerNorm")
            inner = self.linear(state, part + "intermediate.dense")
            inner = inner * (1 + erf(inner / np.sqrt(2))) / 2
            state = self.normalise(self.linear(inner, part + "output.dense") + state, part + "output.LayerNorm")
        return state.mean(1)


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
    tiny = Encoder(folder)
    expected = [{"sentence": text, "embedding": tiny.encode(text).round(6).tolist()} for text in sentences]
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def write_tiny_model(folder):
    """Two features of the tiny encoder's mean, fitted by least squares; every third sentence is held out."""
    import onnx_file

    things, ends = "patient heart lung scan image disease".split(), ["no sign of disease", "a sign of disease", "clear"]
    texts, labels = [], []
    for thing in things:
        for end in ends:
            for article in ("the", "a"):
                texts += [f"{article} {thing} shows {end} .", f"{article} {thing} is {end} .", f"is {article} {thing} {end} ?"]
                labels += [0, 0, 1]
    means = Encoder(folder.parent / "sentence-encoder").encode_all(texts)
    inputs = (means - means.mean(1, keepdims=True)) / means.std(1, keepdims=True)
    held = np.arange(len(texts)) // 3 % 3 == 2
    design = np.c_[inputs, np.ones(len(inputs))]
    wanted = np.eye(2)[labels]
    fitted = np.linalg.lstsq(design[~held], (wanted - wanted.mean(0))[~held], rcond=None)[0]
    tail = [(6 * np.eye(2), np.log(wanted.mean(0)))]
    folder.mkdir(parents=True, exist_ok=True)
    onnx_file.write(folder / "model.onnx", "sentence", inputs.shape[1:], [(fitted[:-1], fitted[-1])], tail, "questions",
                    normalise=True)
    (folder / "calibration.txt").write_text("".join(text + "\n" for text in np.array(texts)[~held]))
    (folder / "held-out.txt").write_text("".join(text + "\n" for text in np.array(texts)[held]))
    (folder / "held-out.labels").write_text("".join(f"{label}\n" for label in np.array(labels)[held]))
    (folder / "population.labels").write_text("".join(f"{label}\n" for label in np.array(labels)[~held]))
    print("right:", np.mean((design @ fitted + tail[0][1] / 6).argmax(1)[held] == np.array(labels)[held]))


if __name__ == "__main__":
    if sys.argv[1] == "--tiny":
        write_tiny(Path(sys.argv[2]))
    elif sys.argv[1] == "--tiny-model":
        write_tiny_model(Path(sys.argv[2]))
    else:
        encoder = Encoder(Path(sys.argv[1]))
        for sentence in sys.argv[2:]:
            print(json.dumps(encoder.encode(sentence).round(5).tolist()[:8]), sentence)
