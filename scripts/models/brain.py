"""Patches of a real head, with the part of the brain that each shows.

Debian's `mricron-data` holds a T1 scan of one person's head, `ch2`, and the AAL atlas of the same head, both
181×217×181 voxels of 1 mm. Here eight voxels become one of 2 mm. A patch is 32×32 of these out of a sagittal
slice: top up, face to the right. Its label is the part that fills at least half of its middle 8×8 and at least
95 % of what the atlas names there; a patch without such a part is not used.

The left half of the head is to train on, the right half is held out. Both leave out what lies within 6 mm of the
middle, so that 12 mm are between the nearest slices of the two, which are 2 mm thick.
"""

import gzip
import io
import subprocess
import tarfile
from pathlib import Path

import numpy as np

from data import Split

PACKAGE = ("mricron-data", "1.2.20211006+dfsg-4")
TEMPLATES = "./usr/share/mricron/templates"
SIDE = 32
# Voxels around a training patch, for shifts and turns.
CONTEXT = 8
# Classes, and the atlas's regions of each. Cingulum, insula, hippocampus and fusiform belong to none.
PARTS = {
    "frontal lobe": range(1, 29),
    "parietal lobe": range(57, 71),
    "temporal lobe": range(79, 91),
    "occipital lobe": range(43, 55),
    "deep grey matter": range(71, 79),
    "cerebellum": range(91, 117),
}
MIDDLE = 8
MIDDLE_SHARE, NAMED_SHARE = 0.5, 0.95
# Slices of the left half that choices are made on, and how many to either side are left out then.
VALIDATION_SLICES, VALIDATION_GAP = range(31, 35), 2


def _volume(archive, name):
    """u8 `[rows, columns, slices]`: top to bottom, back to front, left to right; whole voxels of 1 mm."""
    stream = subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(stream)) as package:
        nifti = gzip.decompress(package.extractfile(f"{TEMPLATES}/{name}.nii.gz").read())
    # The header's 352 bytes say: no compression, one byte a voxel, axes right, front and top.
    voxels = np.frombuffer(nifti, np.uint8, offset=352).reshape(181, 217, 181)
    return voxels[::-1][1:, :216, 1:]


def _blocks(voxels):
    """Sums over 2×2×2."""
    rows, columns, slices = (side // 2 for side in voxels.shape)
    return voxels.reshape(rows, 2, columns, 2, slices, 2).sum(axis=(1, 3, 5), dtype=np.int64)


def _over_middle(blocks):
    """Sums over the middle of the patch whose top left corner is at each place."""
    sums = np.pad(blocks, ((1, 0), (1, 0), (0, 0))).cumsum(axis=0).cumsum(axis=1)
    start = (SIDE - MIDDLE) // 2
    rows, columns = blocks.shape[0] - SIDE + 1, blocks.shape[1] - SIDE + 1
    at = lambda row, column: sums[start + row : start + row + rows, start + column : start + column + columns]
    return at(MIDDLE, MIDDLE) - at(0, MIDDLE) - at(MIDDLE, 0) + at(0, 0)


class Head:
    """The scan in 2 mm, and where its labelled patches are."""

    def __init__(self, cache: Path):
        name, version = PACKAGE
        archive = cache / f"{name}_{version}_all.deb"
        if not archive.exists():
            subprocess.run(["apt-get", "download", "--quiet", f"{name}={version}"], cwd=cache, check=True,
                           stdout=subprocess.DEVNULL)
        self.voxels = _volume(archive, "ch2")
        atlas = _volume(archive, "aal")
        self.scan = ((_blocks(self.voxels) + 4) // 8).astype(np.uint8)
        named = _over_middle(_blocks(atlas > 0))
        parts = np.stack([_over_middle(_blocks(np.isin(atlas, list(regions)))) for regions in PARTS.values()])
        best, most = parts.argmax(axis=0), parts.max(axis=0)
        clear = (most >= MIDDLE_SHARE * MIDDLE * MIDDLE * 8) & (most >= NAMED_SHARE * named)
        self.places = np.argwhere(clear)
        self.labels = best[clear]
        # Millimetres right of the middle, at the centre of the slice.
        across = 2 * self.places[:, 2] + 1.5 - 90
        self.left, self.right = across <= -6, across >= 6

    def patches(self, places, context=0):
        """u8 `[n, side, side]`, the side `32 + 2 · context`; outside the scan is 0."""
        padded = np.pad(self.scan, ((context, context), (context, context), (0, 0)))
        side = SIDE + 2 * context
        return np.stack([padded[row : row + side, column : column + side, at] for row, column, at in places])

    def split(self, where, per_class, apart, context, seed):
        """`per_class` patches of each class out of `where`, in no order, no two of a class within less than `apart`
        voxels of each other in all three directions, and their places."""
        rng = np.random.default_rng(seed)
        chosen, labels = [], []
        for label in range(len(PARTS)):
            kept = np.empty((0, 3), np.int64)
            for place in rng.permutation(self.places[where & (self.labels == label)]):
                if len(kept) == per_class:
                    break
                if apart <= 1 or not len(kept) or np.abs(kept - place).max(axis=1).min() >= apart:
                    kept = np.vstack([kept, place])
            chosen.append(kept)
            labels.append(np.full(len(kept), label))
        order = rng.permutation(sum(len(kept) for kept in chosen))
        places, labels = np.concatenate(chosen)[order], np.concatenate(labels)[order]
        return Split(self.patches(places, context), labels), places

    def training(self, validate):
        """Patches with their surroundings, balanced; with `validate` without slices that are judged on."""
        at = self.places[:, 2]
        near = (at >= VALIDATION_SLICES.start - VALIDATION_GAP) & (at < VALIDATION_SLICES.stop + VALIDATION_GAP)
        where = self.left & ~near if validate else self.left
        return self.split(where, 2500, 1, CONTEXT, seed=1)[0]

    def judged(self, validate, per_class=150):
        """Patches of the right half, or of the slices held back, and their places; 4 mm apart or more within a class."""
        at = self.places[:, 2]
        inside = (at >= VALIDATION_SLICES.start) & (at < VALIDATION_SLICES.stop)
        return self.split(self.left & inside if validate else self.right, per_class, 2, 0, seed=2)
