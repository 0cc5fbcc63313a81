import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { Codes } from "./Codes";
import { Pixels } from "./Pixels";

const side = 56;

/** What a job's strangers see of its input. */
export function Seen({ id, codes }: { id: number; codes: number[] | null }) {
  const noise = useSignal<Uint8Array | null>(null);
  useEffect(() => {
    // A request that the store has forgotten has nothing to show.
    api.ciphertext(id, side * side).then((found) => (noise.value = found), () => undefined);
  }, [id, noise]);
  return (
    <section>
      <h2>Who sees what</h2>
      <div class="pair">
        <figure>
          {noise.value && <Pixels values={noise.value} channels={1} width={side} height={side} label="Noise: a part of the ciphertext" />}
          <figcaption><strong>The worker, and anybody else,</strong> sees this: a part of the encrypted request as it lies in the store.</figcaption>
        </figure>
        <figure>
          {codes ? <Codes codes={codes} /> : <p class="quiet">Not released yet, or not in this tab.</p>}
          <figcaption><strong>The creator</strong> sees these blurred numbers, and the answer that it makes of them.</figcaption>
        </figure>
      </div>
    </section>
  );
}
