import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { save, saveJson } from "../core/save";
import { about, words } from "../core/state";
import type { Check, Pruned, Report } from "../core/types";
import { Fault } from "../parts/Entry";

/** What checks are about, by how their names begin, in the order of a job's life. */
const subjects = [
  { name: "What was bought", of: /^(manifest|split|failure|labels)/ },
  { name: "Order and price", of: /^(request|escrow|input|price)/ },
  { name: "Stages and windows", of: /^(stage|deadline|events|pruned)/ },
  { name: "The worker and its attestation", of: /^worker/ },
  { name: "Receipts of the encrypted computation", of: /^(receipt|transcript|round|response|segment)/ },
  { name: "Blurred numbers and result", of: /^(features|result|tail)/ },
  { name: "Money", of: /^(credit|paid|bond|stake)/ },
  { name: "Everything else", of: /^/ },
];

const subjectOf = (check: Check) => subjects.find(({ of }) => of.test(check.id))?.of;

export function AuditPage({ id }: { id: number }) {
  const report = useSignal<Report | null>(null);
  const fault = useSignal("");
  const pruned = useSignal<Pruned | null>(null);
  useEffect(() => {
    // What keeps the audit from running says so itself.
    api.job(id).then((job) => (pruned.value = job.pruned), () => undefined);
  }, [id, pruned]);
  useEffect(() => {
    api.audit(id).then((found) => (report.value = found), (error) => (fault.value = words(error)));
  }, [id, report, fault]);
  return (
    <>
      <h1>Audit of job {id}</h1>
      <p class="lead">Everything that the chain, the store and the worker's attestation say of this job, fetched by this tab and held against each other in it.</p>
      {pruned.value && (
        <section class="card">
          <h2>This job was pruned</h2>
          <p>
            Its records were removed in block {pruned.value.block}, long after its end. {fault.value
              ? "This page's node no longer has the block before, so there is nothing here to audit; who exported the job before can: "
              : "What is audited is what the block before said, held against the digest that the chain keeps, "}
            <code>{fault.value ? `encompute audit bundle job-${id}.audit` : pruned.value.digest}</code>.
          </p>
        </section>
      )}
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
  const network = about.value?.network ?? "";
  const busy = useSignal(false);
  const fault = useSignal("");
  const evidence = async () => {
    [busy.value, fault.value] = [true, ""];
    try {
      save(`job-${id}.audit`, await api.evidence(id), "application/octet-stream");
    } catch (error) {
      fault.value = words(error);
    }
    busy.value = false;
  };
  return (
    <>
      <section class={`card verdict ${report.verdict}`} aria-live="polite">
        <h2>{report.verdict === "pass" ? "✓ Everything that can be checked holds" : `✗ ${failed.length} of ${report.checks.length} checks do not hold`}</h2>
        <p>{report.checks.length} checks. Attestation is judged under: {root.name}.</p>
        {root.development && <p><strong>Simulated.</strong> A development root vouches for the worker's machine, which proves nothing about it.</p>}
        <p class="row">
          <button type="button" onClick={() => saveJson(`encompute-audit-job-${id}.json`, report)}>Download the report</button>
          <button type="button" disabled={busy.value} onClick={() => void evidence()}>Download all that it read</button>
          <a class="button" href={`#/job/${id}`}>The job</a>
        </p>
        <p>The same from a terminal: <code>encompute audit job {id} --network {network} --json</code>; of the file, on any machine: <code>encompute audit bundle job-{id}.audit --network {network} --offline</code></p>
        <Fault text={fault.value} />
      </section>
      {failed.length > 0 && <section><h2>What does not hold</h2>{failed.map((check) => <Line key={check.id} check={check} open />)}</section>}
      <section>
        <h2>What holds</h2>
        {subjects.map(({ name, of }) => <Group key={name} name={name} checks={passed.filter((check) => subjectOf(check) === of)} />)}
      </section>
      <section>
        <h2>What this audit cannot tell</h2>
        <ul>{report.limits.map((limit) => <li key={limit}>{limit}</li>)}</ul>
        {report.judged && <p class="quiet">Evidence judged as of {report.judged.time}, block {report.judged.block}: {report.judged.why}. Root {root.fingerprint}.</p>}
      </section>
    </>
  );
}

function Group({ name, checks }: { name: string; checks: Check[] }) {
  if (checks.length === 0) return null;
  return (
    <details class="group">
      <summary>{name} <span class="ok">✓ {checks.length} {checks.length === 1 ? "check holds" : "checks hold"}</span></summary>
      {checks.map((check) => <Line key={check.id} check={check} />)}
    </details>
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
