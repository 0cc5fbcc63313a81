"""Draws a comparison, read as JSON from stdin, into the SVG file that is named: times of the layers, logarithmic."""

import json
import sys

import matplotlib
import report

matplotlib.use("svg")
# The same rows give the same bytes.
matplotlib.rcParams["svg.hashsalt"] = "encompute"
from matplotlib import pyplot  # noqa: E402

found = json.load(sys.stdin)
bars = []
for name in dict.fromkeys(row["ours"] for row in found["rows"] if row["ours"]):
    theirs = [(row["peer"], report.compared(row, found["ours"])) for row in found["rows"] if row["ours"] == name]
    mine = theirs[0][1][0]
    bars.append((f"{name}: ours", mine, "tab:green"))
    bars += [(peer, work, "tab:gray") for peer, (_, _, work) in theirs]
figure, axes = pyplot.subplots(figsize=(8, 0.6 + 0.32 * len(bars)))
drawn = axes.barh([str(index) for index in range(len(bars))], [bar[1] for bar in bars], color=[bar[2] for bar in bars])
axes.bar_label(drawn, [f"{bar[1]:,.2f}" if bar[1] < 10 else f"{bar[1]:,.0f}" for bar in bars], padding=3)
axes.set_yticks(range(len(bars)), [bar[0] for bar in bars])
axes.invert_yaxis()
axes.set_xscale("log")
axes.margins(x=0.15)
axes.set_xlabel("milliseconds of processor time for the server's call, logarithmic")
axes.spines[["top", "right"]].set_visible(False)
figure.savefig(sys.argv[1], bbox_inches="tight", metadata={"Date": None})
