"""Diagnoses in words and the chapter of ICD-10-CM that each stands in, and what a sentence encoder makes of them.

ICD-10-CM (the April 2026 release) is published by the United States' National Center for Health Statistics, a
federal agency, without copyright of its own; it adapts the WHO's ICD-10 with the WHO's leave. The package
`simple-icd-10-cm` 1.5.0 (MIT) carries its tabular list. A chapter's categories (`I21`) are the unit that is held
out: every fifth of a chapter, with all its codes, so that no sample has a sibling in training.
"""

import hashlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile

import numpy as np

import data
import encoder

PACKAGE = "simple-icd-10-cm==1.5.0"
ARCHIVE = "simple_icd_10_cm-1.5.0-py3-none-any.whl"
TABULAR = "simple_icd_10_cm/data/icd10c-tabular-April-1-2026.xml"
TOKENS = 32
# Chapter number -> class: the chapters of one organ or one part of medicine. Left out are those that cut across them
# (infections, malformations, hormones, blood, nerves), those whose diagnoses stand in their neighbours' as often (ear,
# skin, kidneys), injuries, and chapters that hold no diagnoses.
CHAPTERS = {
    2: "neoplasms",
    5: "mind and behaviour",
    7: "eye",
    9: "heart and circulation",
    10: "breathing",
    11: "digestion",
    13: "bones, joints, muscles",
    15: "pregnancy and birth",
}
# So many texts of a category: some have thousands that differ by a finger or a side.
OF_CATEGORY = 8


def texts_of(category):
    """Distinct names and synonyms below a category, spread over it."""
    found = []
    for code in category.iter("diag"):
        names = [code.find("desc").text] + [note.text for terms in code.findall("inclusionTerm") for note in terms]
        for name in names:
            name = re.sub(r",? (NOS|unspecified)$", "", " ".join(name.split()))
            if not re.search(r"[A-Z]\d[\dA-Z]", name) and len(name.split()) > 1 and name not in found:
                found.append(name)
    step = max(1, -(-len(found) // OF_CATEGORY))
    return found[::step]


def diagnoses(cache):
    """Training and held-out texts with their classes, and the names of the classes."""
    archive = cache / ARCHIVE
    if not archive.exists():
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(cache), PACKAGE]
        subprocess.run(download, check=True)
    with zipfile.ZipFile(archive) as package:
        root = ElementTree.fromstring(package.read(TABULAR))
    parts = ([], [], [], [])
    for chapter in root.findall("chapter"):
        number = int(chapter.find("name").text)
        if number not in CHAPTERS:
            continue
        label = list(CHAPTERS).index(number)
        categories = [diag for section in chapter.findall("section") for diag in section.findall("diag")]
        for index, category in enumerate(categories):
            texts, labels = parts[2:] if index % 5 == 4 else parts[:2]
            for text in texts_of(category):
                texts.append(text)
                labels.append(label)
    split = lambda texts, labels: data.Split(np.array(texts), np.array(labels))
    train, held_out = split(*parts[:2]), split(*parts[2:])
    # A name may stand in two chapters; nothing of the held-out part may be known.
    new = ~np.isin(np.char.lower(held_out.inputs), np.char.lower(train.inputs))
    return train, held_out.where(new), list(CHAPTERS.values())


def normalised(means):
    """Each vector with mean 0 and deviation 1: how long a text is scales the mean that the head gives."""
    return (means - means.mean(1, keepdims=True)) / means.std(1, keepdims=True)


def embedded(folder, texts, cache):
    """Mean of the last states of each text, f32 `[n, width]`; kept, for it takes minutes."""
    name = hashlib.sha256("\n".join([str(TOKENS), *texts]).encode()).hexdigest()[:16]
    kept = cache / f"embedded-{name}.npy"
    if not kept.exists():
        model = encoder.Encoder(folder, TOKENS, np.float32)
        found = model.encode_all([str(text) for text in texts])
        np.save(kept, found.astype(np.float32))
    return np.load(kept)
