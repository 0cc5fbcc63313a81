// A wallet as browsers' extensions are, with one development account: the page asks it as it asks any other, and it
// signs what it is shown, put together anew.

import { blake2b } from "@noble/hashes/blake2.js";
import { getPublicKey, secretFromSeed, sign } from "@scure/sr25519";

/** Account //Eve of every development chain: its seed is known to everybody. */
const secret = secretFromSeed(Buffer.from("786ad0e2df456fe43dd1f91ebca22e235bc162e0bb8d53c633e8c85b2af68b7a", "hex"));
export const address = "5HGjWAeFDfFCWPsjFQdVV2Msvz2XtMktvgocEZcCj68kUMaw";
export const publicKey = getPublicKey(secret);

const bytes = (hex) => Buffer.from(hex.slice(2), "hex");
const u32 = (hex) => {
  const four = Buffer.alloc(4);
  four.writeUInt32LE(Number(hex));
  return four;
};
/** Small numbers as SCALE writes them. */
const compact = (hex) => {
  const number = Number(hex);
  if (number < 64) return Buffer.from([number << 2]);
  const two = Buffer.alloc(2);
  two.writeUInt16LE((number << 2) | 1);
  return two;
};

export function signPayload(payload) {
  const { method, era, nonce, tip, specVersion, transactionVersion, genesisHash, blockHash } = payload;
  const signed = Buffer.concat([
    bytes(method), bytes(era), compact(nonce), compact(tip),
    u32(specVersion), u32(transactionVersion), bytes(genesisHash), bytes(blockHash),
  ]);
  const message = signed.length > 256 ? blake2b(signed, { dkLen: 32 }) : signed;
  return { signature: `0x01${Buffer.from(sign(secret, message)).toString("hex")}` };
}

/** Puts the wallet into every page of a browser; `asked` holds what it was shown. */
export async function install(context, asked) {
  await context.exposeBinding("testWalletSigns", (_, payload) => {
    asked.push(payload);
    return signPayload(payload);
  });
  await context.addInitScript((address) => {
    window.injectedWeb3 = {
      "test-wallet": {
        enable: async () => ({
          accounts: { get: async () => [{ address, name: "Eve", type: "sr25519" }] },
          signer: { signPayload: (payload) => window.testWalletSigns(payload) },
        }),
      },
    };
  }, address);
}
