"""Writes the data that is checked in: held-out sets, calibration sets, demonstration inputs."""

import csv

import numpy as np
from PIL import Image, ImageFilter

SIDE = 28


def sheet(path, pixels, columns, side=SIDE):
    """Square pictures as one grey PNG, `columns` to a row, in order."""
    rows = -(-len(pixels) // columns)
    whole = np.zeros((rows * side, columns * side), np.uint8)
    for index, picture in enumerate(pixels):
        row, column = divmod(index, columns)
        whole[row * side : (row + 1) * side, column * side : (column + 1) * side] = picture.reshape(side, side)
    Image.fromarray(whole).save(path, optimize=True)


def labels(path, values):
    path.write_text("".join(f"{value}\n" for value in values))


def lines(path, texts):
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")


def picture(path, pixels, side=SIDE):
    """One square picture as a grey PNG."""
    Image.fromarray(pixels.reshape(side, side).astype(np.uint8)).save(path, optimize=True)


def photo(path, pixels, width, height, seed):
    """The same digit as a camera would see it on paper: dark blue ink, off centre, uneven light, noise."""
    rng = np.random.default_rng(seed)
    size = min(width, height) * 3 // 5
    ink = Image.fromarray(pixels.reshape(SIDE, SIDE).astype(np.uint8)).resize((size, size), Image.BICUBIC)
    mask = Image.new("L", (width, height), 0)
    mask.paste(ink, ((width - size) * 2 // 3, (height - size) // 3))
    mask = mask.rotate(6, resample=Image.BICUBIC).filter(ImageFilter.GaussianBlur(1.2))
    cover = np.asarray(mask, np.float64)[..., None] / 255
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    light = (0.72 + 0.28 * across - 0.15 * down)[..., None]
    paper, pen = np.array([238, 232, 214.0]), np.array([34, 42, 110.0])
    picture = (paper * (1 - cover) + pen * cover) * light + rng.normal(0, 2.0, (height, width, 1))
    Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(path, optimize=True, quality=88)


def table(path, names, rows, diagnoses=None):
    """Patients as CSV, columns named as in the data set, units as there."""
    with open(path, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(names + (["diagnosis"] if diagnoses is not None else []))
        for index, row in enumerate(rows):
            extra = [diagnoses[index]] if diagnoses is not None else []
            out.writerow([repr(float(value)) for value in row] + extra)
