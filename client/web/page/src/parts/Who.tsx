import { about, account, lock, unlocked } from "../core/state";
import { money, short } from "../core/words";

/** Who signs, in the page's head. */
export function Who() {
  if (!about.value) return null;
  return (
    <div class="who" aria-live="polite">
      {account.value ? (
        <span title={account.value.account}>
          {short(account.value.account)} · {money(account.value.free, about.value, 4)}
        </span>
      ) : (
        <span class="quiet">no account</span>
      )}
      {unlocked.value && <button type="button" class="plain" onClick={() => void lock()}>Lock</button>}
    </div>
  );
}
