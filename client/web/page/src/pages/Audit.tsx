import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { words } from "../core/state";
import type { Check, Report } from "../core/types";
import { Fault } from "../parts/Entry";

export function AuditPage({ id }: { id: number }) {
  const report = useSignal<Report | null>(null);
  const fault = useSignal("");
  useEffect(() => {
    api.audit(id).then((found) => (report.value = found), (error) => (fault.value = words(error)));
  }, [id, report, fault]);
  return (
    <>
      <h1>Audit of job {id}</h1>
      <p class="lead">Everything that the chain, the store and the worker's attestation say of this job, fetched by this tab and held against each other in it.</p>
      <Fault text={fault.value} />
      {!report.value && !fault.value && <p role="status">Gathering and checking…</p>}
      {report.value && <Verdict id={id} report={report.value} />}
    </>
  );
}

function Verdict({ id, report }: { id: number; report: Report }) {
  const failed = report.checks.filter((check) => !check.pass);
  const passed = report.checks.filter((check) => check.pass);
  const root = report.trust_root;
  return (
    <>
      <section class={`card verdict ${report.verdict}`} aria-live="polite">
        <h2>{report.verdict === "pass" ? "✓ Everything that can be checked holds" : `✗ ${failed.length} of ${report.checks.length} checks do not hold`}</h2>
        <p>{report.checks.length} checks. Attestation is judged under: {root.name}.</p>
        {root.development && <p><strong>Simulated.</strong> A development root vouches for the worker's machine, which proves nothing about it.</p>}
        <p class="row">
          <button type="button" onClick={() => save(id, report)}>Download the report</button>
          <a class="button" href={`#/job/${id}`}>The job</a>
        </p>
        <p>The same from a terminal: <code>encompute audit job {id} --json</code></p>
      </section>
      {failed.length > 0 && <section><h2>What does not hold</h2>{failed.map((check) => <Line key={check.id} check={check} open />)}</section>}
      <section><h2>What holds</h2>{passed.map((check) => <Line key={check.id} check={check} />)}</section>
      <section>
        <h2>What this audit cannot tell</h2>
        <ul>{report.limits.map((limit) => <li key={limit}>{limit}</li>)}</ul>
        {report.judged && <p class="quiet">Evidence judged as of {report.judged.time}, block {report.judged.block}: {report.judged.why}. Root {root.fingerprint}.</p>}
      </section>
    </>
  );
}

function Line({ check, open = false }: { check: Check; open?: boolean }) {
  return (
    <details class="check" open={open}>
      <summary><span class={check.pass ? "ok" : "bad"}>{check.pass ? "✓ holds" : "✗ fails"}</span> {check.id}</summary>
      <dl class="facts wide">
        <div><dt>Expected</dt><dd><code>{check.expected}</code></dd></div>
        <div><dt>Found</dt><dd><code>{check.actual}</code></dd></div>
        <div><dt>Expected by</dt><dd>{check.source}</dd></div>
      </dl>
    </details>
  );
}

function save(id: number, report: Report): void {
  const url = URL.createObjectURL(new Blob([JSON.stringify(report, null, 2)], { type: "application/json" }));
  const link = document.createElement("a");
  [link.href, link.download] = [url, `encompute-audit-job-${id}.json`];
  link.click();
  URL.revokeObjectURL(url);
}
