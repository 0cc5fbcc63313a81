"""The words and tables of a comparison."""

# Row of ours -> (what it is, DESIGN.md's target in ms, target in words).
TARGETS = {
    "dense-784x64": ("dense 784→64", "< 0.5 ms, ≤ 100 KB, no evaluation key"),
    "rounds-3x-28x28": ("dense 784→128→64→16, ReLU", "< 50 ms"),
    "conv-3x3-28x28x8": ("conv 3×3, 28×28→8", "none of its own"),
    "matmul-128x768x768": ("128×768 · 768×768", "< 300 ms, < 5 MB"),
    "stem-224": ("conv 7×7/2, 3×224×224→64", "< 100 ms, < 10 MB"),
    "minilm-32-tokens": ("MiniLM's linear work, 32 tokens", "< 2,000 ms"),
    "gpt2-token": ("GPT-2-small's linear work, a token", "< 500 ms"),
    "pbs-4bit": ("64 bootstraps of 4 bits", "≥ 1.5 times Concrete's rate"),
}


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 10 else f"{value:.2f}"


def size(count):
    if count is None:
        return "not told"
    return f"{count} B" if count < 1000 else f"{count / 1e3:,.0f} KB" if count < 1e6 else f"{count / 1e6:,.1f} MB"


def exactness(row):
    correct = row["correct"]
    error = f"largest error {correct['largest_error']:.2g} of {correct['largest_output']:.3g}"
    if "exact_share" not in correct:
        return f"no: {error}"
    if correct["exact_share"] == 1 and correct["largest_error"] == 0:
        return "yes"
    return f"{correct['exact_share']:.1%} of outputs, {error}"


def compared(row, ours):
    """Milliseconds of ours, of the peer by the clock, of the peer's processors: of the layer, or of each of its bootstraps where
    the layers are not alike; ours is None without a row of ours."""
    mine, each = ours.get(row["ours"]), row["bootstraps"] or 1
    return mine and mine["ms_per_bootstrap" if row["bootstraps"] else "ms_median"], row["ms_median"] / each, row["ms_work"] / each


def lines(header, rows):
    return ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)] + ["| " + " | ".join(row) + " |" for row in rows]


def comparison(found):
    header = ["layer", "peer", "ours ms", "peer ms", "ratio", "peer processor ms", "ratio", "up / down", "key", "exact?"]
    rows = []
    for row in sorted(found["rows"], key=lambda row: list(TARGETS).index(row["ours"]) if row["ours"] else len(TARGETS)):
        mine, wall, work = compared(row, found["ours"])
        ratio = lambda theirs: f"**{number(theirs / mine)}**" if mine else "–"
        rows.append([
            f"{row['name']}: each bootstrap" if row["bootstraps"] else row["name"],
            f"{row['peer']} {found['peers'][row['peer']]}", number(mine) if mine else "–",
            number(wall), ratio(wall), number(work), ratio(work), f"{size(row['bytes_up'])} / {size(row['bytes_down'])}",
            size(row["key_bytes"]), exactness(row),
        ])
    return lines(header, rows)


def own(found):
    header = ["layer", "target", "ms (fastest turn)", "bytes to bytes", "up / down", "key", "exact?", "turns"]
    rows = []
    for name, (what, target) in TARGETS.items():
        row = found["ours"].get(name)
        if row:
            rows.append([
                f"{what} (`{name}`)", target, f"{number(row['ms_median'])} ({number(row['ms_fastest'])})",
                number(row["ms_bytes_to_bytes"]), f"{size(row['bytes_up'])} / {size(row['bytes_down'])}",
                size(row["key_bytes"]), "yes", str(row["turns"]),
            ])
    return lines(header, rows)


def left_out(found):
    told = [f"* {name}: {why}" for name, why in found["missing"].items()]
    unmeasured = [f"`{name}`" for name in TARGETS if name not in found["ours"]]
    if unmeasured:
        told.append(f"* Ours: {', '.join(unmeasured)}: the run was stopped by hand before.")
    if not found["pbs"]:
        told.append("* concrete-python's convolution with bootstraps, a minute a run on an idle machine: `--pbs` runs it.")
    told += [
        "* No peer has a row for the matrix product, the stem, MiniLM or GPT-2: the nearest, concrete-ml-extensions, would need "
        "half an hour for the first (98,304 output elements at about 20 ms each).",
        "* Jobs, chain, attestation and accuracy are no layers: README, \"Measured\".",
    ]
    if found.get("plot_missing"):
        told.append(f"* The plot: {found['plot_missing']}")
    return told


def table(found):
    return "\n".join(comparison(found) + [""] + own(found) + [""] + [f"{name}: {why}" for name, why in found["missing"].items()])


def markdown(found):
    before, after = found["load"]
    build = {"dev": "the dev build, whose arithmetic crates are optimised", "release": "a release build"}[found["build"]]
    busy = max(before, after) > found["cores"]
    warning = (
        "\n**The machine was busy with other work**: wall times are long by the share of the processor that others had, the more "
        "the longer a run takes. Ours of a millisecond fit between two switches, peers' of a second do not. So read the "
        "ratio of *processor* time, and of our rows above ten milliseconds only bytes and exactness.\n" if busy else ""
    )
    plot = "" if found.get("plot_missing") else "\n![times of the layers, logarithmic](REPORT.svg)\n"
    return "\n".join([
        "# Ours beside peers", "",
        "Made by `scripts/bench-peers`; do not edit. Layers have the same shapes and weights on both sides, inputs of 8 bits.", "",
        f"{found['began']}; {found['machine']}, Linux {found['kernel']}, {found['code_path']}; load average {before:.1f} before, "
        f"{after:.1f} after. Ours is {build}.", warning,
        f"Ours and the peer's run in turns, {found['runs']} each (bootstraps: one); ours is the median of 51 in each turn, on "
        "**one** core, blinding included; peers have all cores. Times are the server's call alone, from decoded request to response; medians. "
        "Processor time adds up all threads of the call; for ours, one thread, the wall time stands for it. A ratio says how "
        "many times longer the peer takes.", "",
        *comparison(found), plot, "## What each row is", "",
        *[f"* {row['peer']}, {row['name']}: {row['notes']}." for row in found["rows"]], "",
        "## Ours against our targets", "", *own(found), "",
        "## Not run, and why", "", *left_out(found), "",
    ])
