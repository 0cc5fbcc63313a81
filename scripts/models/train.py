"""Trains the models of the repository and writes everything about them that is checked in.

    python train.py digits            # about two minutes on two cores
    python train.py digits-conv       # about five minutes on one core
    python train.py breast-cancer     # a few seconds
    python train.py brain-regions     # about three minutes on one core
    python train.py diagnoses         # about two minutes, most of it the encoder's; fetch-minilm first
    python train.py digits --validate # choose a recipe on a part of the training data; writes nothing
"""

import argparse
import os
import tomllib
from pathlib import Path

import numpy as np

import brain
import convnet
import data
import diagnoses
import fixtures
import measure
import network
import onnx_file
import quantise
import release
import resnet

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent.parent / "tests" / "fixtures"
DRAWS = 20  # releases of each sample, so that one lucky noise does not decide the figure


def policies(folder):
    split = tomllib.loads((folder / "model.toml").read_text())["splits"][0]
    return [release.Policy(p["name"], p["sigma"], p["bits"], split["clip"]) for p in split["policies"]]


def report(name, model, step, offset, exact_inputs, calibration, grid_inputs, labels, served):
    """Prints float, quantised and released accuracy on samples that training never saw."""
    head, tail = model["head"], model["tail"]
    answers = lambda features: measure.accuracy(network.run(tail, features), labels)
    clip = served[0].clip
    rounds = quantise.quantise(head, step, offset, calibration, clip)
    features = quantise.run(rounds, grid_inputs) * (clip / quantise.CLIP_UNITS)
    print(f"{name}: {len(labels)} samples, float {answers(network.run(head, exact_inputs)):.4f}, "
          f"quantised {answers(features):.4f}")
    report_release(tail, features, labels, served)


def report_release(tail, features, labels, served):
    """Prints accuracy and information of released features, policy by policy."""
    answers = lambda features: measure.accuracy(network.run(tail, features), labels)
    rng = np.random.default_rng(1)
    for policy in served:
        clipped = release.clip_norm(features, policy.clip)
        released = np.mean([answers(release.release(features, policy, rng)) for _ in range(DRAWS)])
        print(f"  {policy.name:9} sigma {policy.sigma:.2f} bits {policy.bits}: released {released:.4f}, "
              f"bound {measure.bits_bound(clipped, policy.sigma):.2f} bits, "
              f"by class {measure.bits_bound_by_class(clipped, labels, policy.sigma):.2f}, "
              f"exact {measure.bits_exact(clipped, policy.sigma, rng):.2f}, "
              f"named among 1000 {measure.odds_of_naming(clipped, policy.sigma, rng):.3f}")


def digits(validate, cache):
    train, held_out = data.digits(cache)
    if validate:
        train, held_out = data.validation_part(train, 8)
    folder = HERE / "digits"
    served = policies(folder)
    recipe = network.Recipe(
        head=(784, 128, 64, 16), tail=(16, 64, 10), clip=served[0].clip,
        sigmas=tuple(sorted(p.sigma for p in served)), epochs=500, batch=125, rate=2e-3, decay=0.01,
        scatter=0.3, overflow=0.03, smoothing=0.0, seed=1,
    )
    augment = network.affine_augment(28, shift=2.0, turn=0.25, stretch=0.15)
    model = network.train(recipe, train.inputs / 255, train.labels, augment)
    calibration = train.where(np.arange(len(train)) % 16 == 7)
    report("digits", model, 1 / 255, 0.0, held_out.inputs / 255, calibration.inputs, held_out.inputs,
           held_out.labels, served)
    if validate:
        return
    onnx_file.write(folder / "model.onnx", "image", (1, 28, 28), model["head"], model["tail"], "digits")
    fixtures.sheet(folder / "calibration.png", calibration.inputs, 25)
    out = FIXTURES / "digits"
    out.mkdir(parents=True, exist_ok=True)
    fixtures.sheet(out / "held-out.png", held_out.inputs, 50)
    fixtures.labels(out / "held-out.labels", held_out.labels)
    fixtures.sheet(out / "population.png", train.inputs, 50)
    fixtures.labels(out / "population.labels", train.labels)
    for value in (3, 7):
        first = held_out.inputs[held_out.labels == value][5]
        fixtures.picture(out / f"grey-28x28-{value}.png", first)
    fixtures.photo(out / "photo-320x240-5.png", held_out.inputs[held_out.labels == 5][5], 320, 240, 5)
    fixtures.photo(out / "photo-800x600-2.jpg", held_out.inputs[held_out.labels == 2][5], 800, 600, 2)


def digits_conv(validate, cache):
    """The digits of `digits`, whose samples and fixtures it shares."""
    # One thread sums in one order, however many cores a machine has.
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    train, held_out = data.digits(cache)
    if validate:
        train, held_out = data.validation_part(train, 8)
    folder = HERE / "digits-conv"
    served = policies(folder)
    recipe = network.Recipe(
        head=(1, 8, 16, 64, 16), tail=(16, 64, 10), clip=served[0].clip,
        sigmas=tuple(sorted(p.sigma for p in served)), epochs=250, batch=125, rate=2e-3, decay=0.01,
        scatter=0.6, overflow=0.03, smoothing=0.0, seed=1,
    )
    augment = network.affine_augment(28, shift=2.0, turn=0.25, stretch=0.15)

    def progress(epoch, params):
        if (epoch + 1) % 10 == 0:
            tail = [(layer["w"], layer["b"]) for layer in params["tail"]]
            features = network.clip_norm(convnet.run(params["head"], held_out.inputs / 255), recipe.clip)
            print(f"epoch {epoch + 1} of {recipe.epochs}: "
                  f"{measure.accuracy(network.run(tail, features), held_out.labels):.4f}", flush=True)

    model = network.train(recipe, train.inputs / 255, train.labels, augment, convnet.KIND,
                          progress if validate else lambda epoch, params: None)
    features = convnet.run(model["head"], held_out.inputs / 255)
    share = measure.accuracy(network.run(model["tail"], features), held_out.labels)
    print(f"digits-conv: {len(held_out)} samples, float {share:.4f}")
    report_release(model["tail"], features, held_out.labels, served)
    if validate:
        return
    onnx_file.write_convolutional(folder / "model.onnx", "image", (1, 28, 28), model["head"], model["tail"],
                                  "digits-conv", convnet.STRIDE)
    calibration = train.where(np.arange(len(train)) % 16 == 7)
    fixtures.sheet(folder / "calibration.png", calibration.inputs, 25)


def breast_cancer(validate, _cache):
    train, held_out, names, classes = data.breast_cancer()
    if validate:
        train, held_out = data.validation_part(train, 4)
    folder = HERE / "breast-cancer"
    served = policies(folder)
    mean, spread = train.inputs.mean(axis=0), train.inputs.std(axis=0)
    recipe = network.Recipe(
        head=(30, 1), tail=(1, 2), clip=served[0].clip, sigmas=tuple(sorted(p.sigma for p in served)),
        epochs=300, batch=20, rate=5e-3, decay=0.3, scatter=0.0, overflow=0.001, smoothing=0.0, seed=1,
    )
    model = network.train(recipe, (train.inputs - mean) / spread, train.labels)
    # Fold the standardising into the layer: the file takes attributes in the data set's units.
    weights, bias = model["head"][0]
    raw = weights.astype(np.float64) / spread[:, None]
    model["head"] = [(raw, bias - mean @ raw)]
    offset, step = grid(mean, spread)
    on_grid = lambda inputs: np.clip(np.round((inputs - offset) / step), 0, 255).astype(np.uint8)
    report("breast-cancer", model, step, offset, held_out.inputs, on_grid(train.inputs), on_grid(held_out.inputs),
           held_out.labels, served)
    if validate:
        return
    onnx_file.write(folder / "model.onnx", "attributes", (30,), model["head"], model["tail"], "breast-cancer")
    columns(folder / "columns.toml", names, train.inputs, offset, step)
    fixtures.table(folder / "calibration.csv", names, train.inputs[::4])
    out = FIXTURES / "breast-cancer"
    out.mkdir(parents=True, exist_ok=True)
    fixtures.table(out / "held-out.csv", names, held_out.inputs, [classes[label] for label in held_out.labels])
    fixtures.table(out / "population.csv", names, train.inputs, [classes[label] for label in train.labels])
    for label, name in enumerate(classes):
        fixtures.table(out / f"patient-{name}.csv", names, held_out.inputs[held_out.labels == label][4:5])


def brain_regions(validate, cache, inside=None):
    # One thread sums in one order, however many cores a machine has.
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    head = brain.Head(cache)
    train, (judged, places) = head.training(validate), head.judged(validate)
    folder = HERE / "brain-regions"
    served = policies(folder)
    recipe = network.Recipe(
        head=(1, 4, 16, 32, 16), tail=(16, 32, len(brain.PARTS)), clip=served[0].clip,
        sigmas=tuple(sorted(p.sigma for p in served)), epochs=8, batch=60, rate=4e-3, decay=0.01,
        scatter=0.5, overflow=0.03, smoothing=0.0, seed=1,
    )
    warp = network.affine_augment(brain.SIDE, shift=1.5, turn=0.2, stretch=0.1, context=brain.CONTEXT)
    light = network.light_augment(gain=0.25, offset=0.02, noise=0.01)
    flat = lambda pictures: pictures.reshape(len(pictures), -1) / 255
    middle = slice(brain.CONTEXT, -brain.CONTEXT)
    clean = train.inputs[:, middle, middle]
    settled = lambda params: resnet.settled(params, flat(clean[:2000]))

    def progress(epoch, params):
        tail = [(layer["w"], layer["b"]) for layer in params["tail"]]
        features = network.clip_norm(resnet.run(settled(params["head"]), flat(judged.inputs)), recipe.clip)
        share = measure.accuracy(network.run(tail, features), judged.labels)
        print(f"epoch {epoch + 1} of {recipe.epochs}: {share:.4f}", flush=True)

    model = network.train(
        recipe, flat(train.inputs), train.labels, lambda key, x: light(key, warp(key, x)),
        resnet.INSIDE if inside else resnet.KIND,
        progress if validate else lambda epoch, params: None,
    )
    model["head"] = settled(model["head"])
    features = resnet.run(model["head"], flat(judged.inputs))
    share = measure.accuracy(network.run(model["tail"], features), judged.labels)
    print(f"brain-regions: {len(judged)} samples, float {share:.4f}")
    report_release(model["tail"], features, judged.labels, served)
    if validate:
        return
    onnx_file.write_residual((inside or folder) / "model.onnx", "patch", (1, brain.SIDE, brain.SIDE), model["head"],
                             model["tail"], "brain-regions", resnet.stride, resnet.EPSILON)
    if inside:
        return
    fixtures.sheet(folder / "calibration.png", clean[2000:2120], 20, brain.SIDE)
    out = FIXTURES / "brain-regions"
    out.mkdir(parents=True, exist_ok=True)
    fixtures.sheet(out / "held-out.png", judged.inputs, 30, brain.SIDE)
    fixtures.labels(out / "held-out.labels", judged.labels)
    fixtures.sheet(out / "population.png", clean[3000:6000], 50, brain.SIDE)
    fixtures.labels(out / "population.labels", train.labels[3000:6000])
    samples(out, head, judged, places)


def samples(out, head, judged, places):
    """A patch as the model sees it, and the same kind of patch in the scanner's own voxels."""
    first = lambda part: int(np.flatnonzero(judged.labels == list(brain.PARTS).index(part))[0])
    fixtures.picture(out / "patch-32x32-cerebellum.png", judged.inputs[first("cerebellum")], brain.SIDE)
    row, column, at = 2 * places[first("occipital lobe")]
    side = 2 * brain.SIDE
    fine = head.voxels[row : row + side, column : column + side, at]
    fixtures.picture(out / "patch-64x64-occipital-lobe.png", fine, side)


def diagnosis_texts(validate, cache):
    train, held_out, classes = diagnoses.diagnoses(cache)
    if validate:
        train, held_out = data.validation_part(train, 8)
    folder = HERE / "diagnoses"
    served = policies(folder)
    encoder = cache / "all-minilm-l6-v2"
    inputs, judged = (
        diagnoses.normalised(diagnoses.embedded(encoder, part.inputs, cache)) for part in (train, held_out)
    )
    recipe = network.Recipe(
        head=(inputs.shape[1], 8), tail=(8, 64, len(classes)), clip=served[0].clip,
        sigmas=tuple(sorted(p.sigma for p in served)), epochs=40, batch=100, rate=2e-3, decay=1.0,
        scatter=1.0, overflow=0.03, smoothing=0.0, seed=1,
    )
    model = network.train(recipe, inputs, train.labels)
    features = network.run(model["head"], judged)
    print(f"diagnoses: {len(held_out)} samples, float {measure.accuracy(network.run(model['tail'], features), held_out.labels):.4f}")
    report_release(model["tail"], features, held_out.labels, served)
    if validate:
        return
    onnx_file.write(folder / "model.onnx", "sentence", inputs.shape[1:], model["head"], model["tail"], "diagnoses",
                    normalise=True)
    fixtures.lines(folder / "calibration.txt", train.inputs[7 :: len(train) // 24][:24])
    out = FIXTURES / "diagnoses"
    out.mkdir(parents=True, exist_ok=True)
    # The bench runs the encoder for each, twice: every fourth is enough.
    fixtures.lines(out / "held-out.txt", held_out.inputs[::4])
    fixtures.labels(out / "held-out.labels", held_out.labels[::4])
    fixtures.lines(out / "population.txt", train.inputs[1::4])
    fixtures.labels(out / "population.labels", train.labels[1::4])


def grid(mean, spread):
    """Offset and step per column: 256 levels from 3 standard deviations below the mean to 7 above."""
    offset = np.array([float(f"{v:.5g}") for v in mean - 3 * spread])
    step = np.array([float(f"{v:.5g}") for v in 10 * spread / 255])
    return offset, step


def columns(path, names, inputs, offset, step):
    """The preamble's table: a value outside lowest ..= highest is refused, one off the grid takes its edge."""
    lines = ["# Written by train.py. Units as in the data set.\n"]
    for index, name in enumerate(names):
        highest = float(f"{inputs[:, index].max() * 4:.3g}")
        lines.append(
            f'[[columns]]\nname = "{name}"\nlowest = 0.0\nhighest = {highest!r}\n'
            f"offset = {float(offset[index])!r}\nstep = {float(step[index])!r}\n"
        )
    path.write_text("\n".join(lines))


MODELS = {
    "digits": digits, "digits-conv": digits_conv, "breast-cancer": breast_cancer, "brain-regions": brain_regions,
    "diagnoses": diagnosis_texts,
}


def main():
    parser = argparse.ArgumentParser(description="Train a model and write its files.")
    parser.add_argument("model", choices=list(MODELS))
    parser.add_argument("--validate", action="store_true", help="hold out a part of the training data; write nothing")
    parser.add_argument("--inside", type=Path, metavar="FOLDER", help="brain-regions, trained for its bootstrapped split: model.onnx into this folder")
    parser.add_argument("--cache", type=Path, default=HERE / ".cache", help="where downloaded packages are kept")
    arguments = parser.parse_args()
    arguments.cache.mkdir(exist_ok=True)
    if arguments.inside:
        if arguments.model != "brain-regions":
            parser.error("only brain-regions has a bootstrapped split")
        return brain_regions(arguments.validate, arguments.cache, arguments.inside)
    MODELS[arguments.model](arguments.validate, arguments.cache)


if __name__ == "__main__":
    main()
