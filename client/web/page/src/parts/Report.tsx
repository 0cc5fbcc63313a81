import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { asks, words } from "../core/state";
import type { Model, Policy, PublishedReport, ReportedSplit, Split } from "../core/types";
import { percent } from "../core/words";
import { Fault } from "./Entry";
import { Plot, type Point } from "./Plot";
import { Strip } from "./Strip";

interface Shown {
  report: Loaded;
  split: Split;
  policy: Policy;
}

/** A version's report, on its way or there. */
export interface Loaded {
  found: PublishedReport | null;
  fault: string;
}

/** The report of a version; neither found nor at fault while it is on its way. */
export function useReport(version: number): Loaded {
  const report = useSignal<Loaded>({ found: null, fault: "" });
  useEffect(() => {
    api.report(version).then((found) => (report.value = { found, fault: "" }), (error) => (report.value = { found: null, fault: words(error) }));
  }, [version, report]);
  return report.value;
}

/** What the creator measured of every split: what it costs, answers and gives away; and of the chosen one in pictures. */
export function Report({ report: { found: report, fault }, split, policy }: Shown) {
  if (fault) return <Fault text={fault} />;
  if (!report) return <p role="status">Reading the report…</p>;
  const found = splitOf(report, split, policy);
  return (
    <>
      {found && <Told split={found} />}
      <div class="plots"><Plots report={report} chosen={found} /></div>
      {found && found.strip.length > 0 && (
        <details>
          <summary>What the creator could rebuild of an input</summary>
          <Strips split={found} />
        </details>
      )}
      <p class="quiet">
        Measured by its creator: attackers know head, weights and release, and learnt from {report.population}. The float model answers{" "}
        {percent(report.float.share)} of {report.float.samples} rightly. Anybody with the samples can repeat it: <code>encompute model split-report</code>.
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

function splitOf(report: PublishedReport, split: Split, policy: Policy): ReportedSplit | undefined {
  return report.splits.find((each) => each.on_card && each.name === split.name && each.policy === policy.name);
}

function Strips({ split }: { split: ReportedSplit }) {
  return (
    <>
      <p>Held-out samples, never a buyer's file, and what the attacks of the report make of what is released of them. They need the model's weights, which are sealed.</p>
      <div class="strip">{split.strip.map((row) => <Strip key={row.name} name={row.name} png={row.png} />)}</div>
    </>
  );
}

/** What a buyer will see of his own file before it is sent; where its creator publishes no attack, what there is instead. */
export function Ahead({ model, report: { found: report }, split, policy }: Shown & { model: Model }) {
  if (model.attack) {
    return (
      <p>
        {asks.value
          ? "Before anything is sent to the creator, this page shows you what could be rebuilt of your own file, and asks you."
          : "You chose not to be shown what could be rebuilt of your file before it is sent."}{" "}
        <a href="#/account">Settings</a>
      </p>
    );
  }
  const strips = report && splitOf(report, split, policy);
  return (
    <>
      <p>
        <strong>No preview of your own file.</strong> The creator of this model publishes no attack to try, so nothing will be asked before the blurred numbers are sent.{" "}
        {strips?.strip.length ? "What its report's attacks rebuilt of held-out samples under this choice:" : report ? "Its report says what attacks come to, and has no pictures of it." : "There is no report either: nobody has said what could be rebuilt."}
      </p>
      {strips && strips.strip.length > 0 && <Strips split={strips} />}
    </>
  );
}
