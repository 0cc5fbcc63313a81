// What the page's two threads say to each other.

/** The main thread asks the worker for something. */
export interface Ask {
  id: number;
  method: string;
  args: unknown[];
}

/** The main thread answers what the worker asked a wallet for. */
export type Signed = { signing: number; signature: string } | { signing: number; fault: string };

/** The main thread answers whether a release may be sent. */
export interface Answered {
  asking: number;
  yes: boolean;
}

/** The page's WebAssembly, or where it lies. */
export interface Compiled {
  module: WebAssembly.Module | string;
}

/** The worker answers, or tells of something on the way. */
export type Tell =
  | { id: number; answer: unknown }
  | { id: number; fault: string }
  | { id: number; event: string }
  /** The user is to say whether what the last event showed may be sent. */
  | { id: number; asking: number }
  /** A wallet is to sign: wallets are in the page, not in the worker. */
  | { signing: number; payload: string };
