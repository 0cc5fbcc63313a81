// Wallets of the browser, by the standard that polkadot.js, Talisman, SubWallet and others share.

interface Injected {
  enable(origin: string): Promise<{
    accounts: { get(): Promise<{ address: string; name?: string; type?: string }[]> };
    signer: { signPayload?(payload: unknown): Promise<{ signature: string }> };
  }>;
}

declare global {
  interface Window {
    injectedWeb3?: Record<string, Injected>;
  }
}

export interface WalletAccount {
  wallet: string;
  address: string;
  name: string;
}

let signPayload: ((payload: unknown) => Promise<{ signature: string }>) | undefined;

/** The wallets that this browser has. */
export function wallets(): string[] {
  return Object.keys(window.injectedWeb3 ?? {});
}

/** Asks a wallet for its accounts; its owner may be asked whether this page may see them. */
export async function accountsOf(wallet: string): Promise<WalletAccount[]> {
  const injected = window.injectedWeb3?.[wallet];
  if (!injected) throw new Error(`this browser has no wallet ${wallet}`);
  const { accounts, signer } = await injected.enable("Encompute");
  if (!signer.signPayload) throw new Error(`${wallet} signs no transactions`);
  signPayload = signer.signPayload.bind(signer);
  const found = await accounts.get();
  // Other kinds of keys sign in other ways.
  const fit = found.filter(({ type }) => type === undefined || type === "sr25519");
  return fit.map(({ address, name }) => ({ wallet, address, name: name ?? address }));
}

/** Has the chosen wallet sign a transaction. */
export async function signByWallet(payload: string): Promise<string> {
  if (!signPayload) throw new Error("no wallet is chosen");
  return (await signPayload(JSON.parse(payload))).signature;
}
