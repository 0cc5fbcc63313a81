import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import type { Preview } from "../core/types";
import { Codes } from "./Codes";
import { Pixels } from "./Pixels";

const side = 56;

/** What a job's strangers see of its input. */
export function Seen({ id, codes, preview = null }: { id: number; codes: number[] | null; preview?: Preview | null }) {
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
          {codes ? <Codes codes={codes} /> : <p class="quiet">Blurred numbers: not released yet, or not in this tab.</p>}
          {codes && preview?.fault === null && preview.rows === null && preview.shape[1] > 1 && (
            <Pixels values={Uint8Array.from(preview.rebuilt)} channels={preview.shape[0]} height={preview.shape[1]} width={preview.shape[2]} label="What could be rebuilt of them" />
          )}
          <figcaption>
            <strong>The creator</strong> sees these blurred numbers, and the answer that it makes of them.
            {codes && preview?.fault === null && preview.rows === null && " Below them: the best that it could rebuild."}
          </figcaption>
        </figure>
      </div>
    </section>
  );
}
