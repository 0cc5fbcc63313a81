import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { words } from "../core/state";
import { Fault } from "./Entry";

const grades = [5, 4, 3, 2, 1];
const reasons = { general: "nothing in particular", answer: "how right the answer was", time: "how long it took", description: "how well the model is described", price: "what it cost" };

/** What the user of a settled job thinks of the model: said once, and for good. */
export function Rate({ id }: { id: number }) {
  const given = useSignal<number | null | undefined>(undefined);
  const grade = useSignal(5);
  const why = useSignal("general");
  const busy = useSignal(false);
  const fault = useSignal("");
  useEffect(() => {
    api.rating(id).then((found) => (given.value = found), (error) => (fault.value = words(error)));
  }, [id, given, fault]);
  const rate = async () => {
    [busy.value, fault.value] = [true, ""];
    try {
      await api.rate(id, grade.value, why.value);
      given.value = grade.value;
    } catch (error) {
      fault.value = words(error);
    }
    busy.value = false;
  };
  if (given.value === undefined) return <Fault text={fault.value} />;
  if (given.value !== null) return <p role="status">Rated {given.value} of 5 by who paid for it.</p>;
  return (
    <details class="group unprinted">
      <summary>Rate this model</summary>
      <form class="row" onSubmit={(event) => { event.preventDefault(); void rate(); }}>
        <label class="field"><span>Grade</span>
          <select value={grade.value} onChange={(event) => (grade.value = Number(event.currentTarget.value))}>
            {grades.map((each) => <option key={each} value={each}>{each === 5 ? "5, the best" : each === 1 ? "1, the worst" : each}</option>)}
          </select>
        </label>
        <label class="field"><span>For</span>
          <select value={why.value} onChange={(event) => (why.value = event.currentTarget.value)}>
            {Object.entries(reasons).map(([name, words]) => <option key={name} value={name}>{words}</option>)}
          </select>
        </label>
        <button type="submit" disabled={busy.value}>Say so on chain</button>
        <p class="quiet wide">Once, and for good. The model's mean weighs what each run was paid.</p>
        <Fault text={fault.value} />
      </form>
    </details>
  );
}
