// A passkey beside the passphrase: what the passphrase opens, the device's authenticator opens, too.
//
// The authenticator gives 32 bytes that it gives to this page alone, and only to who unlocks it (WebAuthn's `prf`). Under
// them the passphrase is sealed and kept; without the authenticator it is as lost as before.

/** What of it is kept in this browser, in base64. */
interface Kept {
  credential: string;
  salt: string;
  nonce: string;
  sealed: string;
}

const nameOf = (network: string) => `passkey-${network}`;

/** True where this browser could make one: browsers want a name for that, not an address. */
export function offered(): boolean {
  return isSecureContext && "PublicKeyCredential" in window && !/^[\d.]+$|:/.test(location.hostname);
}

/** True where one opens this network's home. */
export function isKept(network: string): boolean {
  return offered() && localStorage.getItem(nameOf(network)) !== null;
}

/** Makes a passkey that opens what this passphrase opens; `keep` writes that down, once the passphrase has proved right. */
export async function make(network: string, passphrase: string): Promise<{ keep(): void }> {
  const salt = random(32);
  const made = await navigator.credentials.create({
    publicKey: {
      challenge: random(32),
      rp: { name: "Encompute" },
      user: { id: random(16), name: `Encompute, ${network}`, displayName: `Encompute, ${network}` },
      pubKeyCredParams: [{ type: "public-key", alg: -7 }, { type: "public-key", alg: -257 }],
      authenticatorSelection: { residentKey: "preferred", userVerification: "required" },
      extensions: { prf: { eval: { first: salt } } },
    },
  }) as PublicKeyCredential | null;
  if (!made) throw new Error("no passkey was made");
  // Many give the bytes only when they are asked a second time.
  const secret = secretOf(made) ?? (await ask(new Uint8Array(made.rawId), salt));
  const nonce = random(12);
  const key = await keyOf(secret, ["encrypt"]);
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, key, new TextEncoder().encode(passphrase));
  const kept: Kept = {
    credential: toText(new Uint8Array(made.rawId)), salt: toText(salt), nonce: toText(nonce), sealed: toText(new Uint8Array(sealed)),
  };
  return { keep: () => localStorage.setItem(nameOf(network), JSON.stringify(kept)) };
}

/** The passphrase, from the authenticator that sealed it. */
export async function passphraseOf(network: string): Promise<string> {
  const text = localStorage.getItem(nameOf(network));
  if (text === null) throw new Error("this browser has no passkey for this network");
  const { credential, salt, nonce, sealed } = JSON.parse(text) as Kept;
  const key = await keyOf(await ask(toBytes(credential), toBytes(salt)), ["decrypt"]);
  try {
    return new TextDecoder().decode(await crypto.subtle.decrypt({ name: "AES-GCM", iv: toBytes(nonce) }, key, toBytes(sealed)));
  } catch {
    throw new Error("the passkey gave other bytes than it did: use your passphrase");
  }
}

async function ask(id: Uint8Array<ArrayBuffer>, salt: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer> {
  const got = await navigator.credentials.get({
    publicKey: {
      challenge: random(32), allowCredentials: [{ type: "public-key", id }], userVerification: "required",
      extensions: { prf: { eval: { first: salt } } },
    },
  }) as PublicKeyCredential | null;
  const secret = got && secretOf(got);
  if (!secret) throw new Error("this device's passkeys open nothing for pages: use your passphrase");
  return secret;
}

function secretOf(credential: PublicKeyCredential): ArrayBuffer | undefined {
  const first = credential.getClientExtensionResults().prf?.results?.first;
  return first && new Uint8Array(ArrayBuffer.isView(first) ? first.buffer : first).slice().buffer;
}

async function keyOf(secret: ArrayBuffer, uses: KeyUsage[]): Promise<CryptoKey> {
  const base = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveKey"]);
  const info = new TextEncoder().encode("encompute/page-passphrase/v1");
  return crypto.subtle.deriveKey(
    { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info }, base, { name: "AES-GCM", length: 256 }, false, uses,
  );
}

const random = (bytes: number) => crypto.getRandomValues(new Uint8Array(bytes));
const toText = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));
const toBytes = (text: string) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
