import { useSignal } from "@preact/signals";
import { isKept, offered } from "../core/passkey";
import { about, account, hasHome, lastAccount, signAs, signByExport, signByWallet, unlock, unlockByPasskey, unlocked, words } from "../core/state";
import { accountsOf, wallets, type WalletAccount } from "../core/wallets";
import { money } from "../core/words";

const developers = ["//Dave", "//Eve", "//Ferdie", "//Charlie", "//Bob"];

/** Account and passphrase: what a tab needs before it can buy, or go on. */
export function Entry() {
  return (
    <>
      {account.value ? <Signed /> : <Accounts />}
      {unlocked.value ? <p>✓ Your keys are open in this tab.</p> : <Passphrase />}
    </>
  );
}

function Accounts() {
  const names = wallets();
  return (
    <>
      {names.map((name) => <OfWallet key={name} wallet={name} />)}
      {about.value?.development ? <Development /> : <Export />}
    </>
  );
}

function OfWallet({ wallet }: { wallet: string }) {
  const accounts = useSignal<WalletAccount[] | null>(null);
  const chosen = useSignal("");
  const fault = useSignal("");
  const attempt = async (doing: () => Promise<void>) => {
    fault.value = "";
    try {
      await doing();
    } catch (error) {
      fault.value = words(error);
    }
  };
  const ask = () => attempt(async () => {
    accounts.value = await accountsOf(wallet);
    chosen.value = accounts.value[0]?.address ?? "";
    if (!chosen.value) throw new Error(`${wallet} has no account for this page`);
  });
  if (!accounts.value?.length) {
    return <div class="row"><button type="button" onClick={() => void ask()}>Use wallet {wallet}</button><Fault text={fault.value} /></div>;
  }
  return (
    <form class="row" onSubmit={(event) => { event.preventDefault(); void attempt(() => signByWallet(chosen.value)); }}>
      <label class="field">
        <span>Account of {wallet}</span>
        <select value={chosen.value} onChange={(event) => (chosen.value = event.currentTarget.value)}>
          {accounts.value.map(({ address, name }) => <option key={address} value={address}>{name}</option>)}
        </select>
      </label>
      <button type="submit">Use this account</button>
      <Fault text={fault.value} />
    </form>
  );
}

function Signed() {
  if (!account.value || !about.value) return null;
  return (
    <p>
      ✓ Signs as <code>{account.value.account}</code>, which has {money(account.value.free, about.value)}.
    </p>
  );
}

function Development() {
  const fault = useSignal("");
  const chosen = useSignal(lastAccount() ?? "//Dave");
  const choose = async () => {
    fault.value = "";
    try {
      await signAs(chosen.value);
    } catch (error) {
      fault.value = words(error);
    }
  };
  return (
    <form class="row" onSubmit={(event) => { event.preventDefault(); void choose(); }}>
      <label class="field">
        <span>Development account</span>
        <select value={chosen.value} onChange={(event) => (chosen.value = event.currentTarget.value)}>
          {developers.map((name) => <option key={name} value={name}>{name}</option>)}
        </select>
      </label>
      <button type="submit">Use this account</button>
      <Fault text={fault.value} />
    </form>
  );
}

function Export() {
  const fault = useSignal("");
  const file = useSignal("");
  const password = useSignal("");
  const open = async () => {
    fault.value = "";
    try {
      await signByExport(file.value, password.value);
      password.value = "";
    } catch (error) {
      fault.value = words(error);
    }
  };
  return (
    <form class="row" onSubmit={(event) => { event.preventDefault(); void open(); }}>
      <label class="field">
        <span>Account file, as polkadot.js, Talisman or SubWallet exports it</span>
        <input type="file" accept=".json,application/json" required onChange={async (event) => { file.value = (await event.currentTarget.files?.[0]?.text()) ?? ""; }} />
      </label>
      <label class="field">
        <span>Its password</span>
        <input type="password" autocomplete="off" required value={password.value} onInput={(event) => (password.value = event.currentTarget.value)} />
      </label>
      <button type="submit">Open</button>
      <Fault text={fault.value} />
    </form>
  );
}

/** Opens, or makes, what this browser keeps. */
export function Passphrase() {
  const fault = useSignal("");
  const busy = useSignal(false);
  const passphrase = useSignal("");
  const byPasskey = useSignal(false);
  const attempt = async (opening: () => Promise<void>) => {
    [fault.value, busy.value] = ["", true];
    try {
      await opening();
      passphrase.value = "";
    } catch (error) {
      fault.value = words(error);
    }
    busy.value = false;
  };
  const old = hasHome.value;
  const kept = old && about.value !== null && isKept(about.value.network);
  return (
    <form class="row" onSubmit={(event) => { event.preventDefault(); void attempt(() => unlock(passphrase.value, byPasskey.value)); }}>
      {kept && <p class="wide"><button type="button" disabled={busy.value} onClick={() => void attempt(unlockByPasskey)}>Open my jobs with the passkey</button></p>}
      <label class="field">
        <span>{old ? "Your passphrase" : "Choose a passphrase (8 characters or more)"}</span>
        <input
          type="password"
          autocomplete={old ? "current-password" : "new-password"}
          minLength={old ? 1 : 8}
          required
          value={passphrase.value}
          onInput={(event) => (passphrase.value = event.currentTarget.value)}
        />
      </label>
      <button type="submit" disabled={busy.value}>{old ? "Open my jobs" : "Set passphrase"}</button>
      {offered() && !kept && (
        <label class="wide">
          <input type="checkbox" checked={byPasskey.value} onChange={(event) => (byPasskey.value = event.currentTarget.checked)} /> and let this device's passkey (fingerprint, face, PIN) open them from now on
        </label>
      )}
      <p class="quiet wide">
        {old
          ? "Keys and answers of your jobs are kept in this browser, sealed under it."
          : "Keys and answers of your jobs are kept in this browser, sealed under it. Nobody can give it back to you."}
      </p>
      <Fault text={fault.value} />
    </form>
  );
}

export function Fault({ text }: { text: string }) {
  return text ? <p class="fault wide" role="alert">{text}</p> : null;
}
