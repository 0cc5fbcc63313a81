import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { words } from "../core/state";
import type { Policy, PublishedReport, ReportedSplit, Split } from "../core/types";
import { percent } from "../core/words";
import { Fault } from "./Entry";
import { Plot, type Point } from "./Plot";
import { Strip } from "./Strip";

interface Shown {
  version: number;
  split: Split;
  policy: Policy;
}

/** What the creator measured of every split: what it costs, answers and gives away; and of the chosen one in pictures. */
export function Report({ version, split, policy }: Shown) {
  const report = useSignal<PublishedReport | null>(null);
  const fault = useSignal("");
  useEffect(() => {
    api.report(version).then((found) => (report.value = found), (error) => (fault.value = words(error)));
  }, [version, report, fault]);
  if (fault.value) return <Fault text={fault.value} />;
  if (!report.value) return <p role="status">Reading the report…</p>;
  const found = report.value.splits.find((each) => each.on_card && each.name === split.name && each.policy === policy.name);
  return (
    <>
      {found && <Told split={found} />}
      <div class="plots"><Plots report={report.value} chosen={found} /></div>
      {found && found.strip.length > 0 && <Rebuilt split={found} />}
      <p class="quiet">
        Measured by its creator: attackers know head, weights and release, and learnt from {report.value.population}. The float model answers{" "}
        {percent(report.value.float.share)} of {report.value.float.samples} rightly. Anybody with the samples can repeat it: <code>encompute model split-report</code>.
      </p>
    </>
  );
}

function Told({ split }: { split: ReportedSplit }) {
  return (
    <p>
      <strong class={`grade grade-${split.grade}`}>{split.grade}</strong> {split.name}, {split.policy}: {split.reason}. A release tells at most{" "}
      {split.bits.toFixed(1)} bits; who holds 10,000 candidates picks the right one {split.reid_at_most ? "at most " : ""}{percent(split.reid_10k)} of the time.
    </p>
  );
}

function Plots({ report, chosen }: { report: PublishedReport; chosen: ReportedSplit | undefined }) {
  const points = (x: (split: ReportedSplit) => number, y: (split: ReportedSplit) => number): Point[] =>
    report.splits.map((split) => ({
      x: x(split), y: y(split), kind: split === chosen ? "chosen" : split.on_card ? "offered" : "elsewhere",
      words: `${split.name}, ${split.policy}: grade ${split.grade}`,
    }));
  const plain = (value: number) => String(Number(value.toPrecision(3)));
  return (
    <>
      <Plot
        title="Accuracy against leakage"
        caption="Better is lower and further left. The large point is your choice; hollow ones are cuts that are not on sale."
        x={{ label: "points of accuracy lost", text: plain }}
        y={{ label: "best attack above the answer", text: plain }}
        points={points((split) => (report.float.share - split.released_accuracy) * 100, (split) => split.leakage.above_floor)}
      />
      <Plot
        title="Depth"
        caption="The later the model is cut, the less is left of the input in what is released: noise is fitted to the same bits everywhere."
        x={{ label: "linear layers before the cut", text: plain }}
        y={{ label: "best attack above the answer", text: plain }}
        points={points((split) => split.depth, (split) => split.leakage.above_floor)}
      />
      <Plot
        title="Cost of a run"
        caption="The worker's time and encrypted bytes of both ways."
        x={{ label: "milliseconds of the worker", text: plain }}
        y={{ label: "kilobytes", text: plain }}
        points={points((split) => split.ms, (split) => (split.bytes_up + split.bytes_down) / 1000)}
      />
    </>
  );
}

function Rebuilt({ split }: { split: ReportedSplit }) {
  return (
    <details>
      <summary>What the creator could rebuild of an input</summary>
      <p>
        An attack needs the model's weights, which are sealed, and thousands of samples. This tab has neither, so it cannot attack your own file; these are held-out
        samples, and what the attacks of the report make of what is released of them.
      </p>
      <div class="strip">{split.strip.map((row) => <Strip key={row.name} name={row.name} png={row.png} />)}</div>
    </details>
  );
}
