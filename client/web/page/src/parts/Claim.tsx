import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { api } from "../core/api";
import { about, account, refreshAccount, words } from "../core/state";
import { money } from "../core/words";
import { Fault } from "./Entry";

/** What the contract owes to who signs here, and the button that takes it out. */
export function Claim({ onTaken }: { onTaken?(): void }) {
  const busy = useSignal(false);
  const fault = useSignal("");
  useEffect(() => {
    // What it was before is shown where it cannot be read anew.
    refreshAccount().catch(() => undefined);
  }, []);
  const [signed, network] = [account.value, about.value];
  if (!signed || !network) return null;
  const take = async () => {
    [busy.value, fault.value] = [true, ""];
    try {
      await api.withdraw();
      await refreshAccount();
      onTaken?.();
    } catch (error) {
      fault.value = words(error);
    }
    busy.value = false;
  };
  return (
    <>
      <p>{money(signed.credit, network)} may be taken out of the contract. Free on the account: {money(signed.free, network, 4)}.</p>
      <p><button type="button" disabled={busy.value || signed.credit === "0"} onClick={() => void take()}>Withdraw</button></p>
      <Fault text={fault.value} />
    </>
  );
}
