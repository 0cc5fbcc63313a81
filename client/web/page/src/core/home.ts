// The file that the user's home is sealed in: the browser's private file system, for this page alone.
//
// Writing it is synchronous, so that the page's Rust can rely on every change before it sends anything; and one tab
// holds it at a time, so that two never drive one job. What is in it is sealed before it comes here.

/** What TypeScript's DOM library does not name, for it exists in workers alone. */
interface SyncHandle {
  getSize(): number;
  read(into: Uint8Array, options: { at: number }): number;
  write(from: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

interface SyncFile extends FileSystemFileHandle {
  createSyncAccessHandle(): Promise<SyncHandle>;
}

/** True where this browser keeps a home for the network. */
export async function exists(network: string): Promise<boolean> {
  try {
    const folder = await navigator.storage.getDirectory();
    const file = await (await folder.getFileHandle(nameOf(network))).getFile();
    return file.size > 0;
  } catch {
    return false;
  }
}

export class Home {
  private end = 0;

  private constructor(private readonly handle: SyncHandle) {}

  static async open(network: string): Promise<Home> {
    const folder = await navigator.storage.getDirectory();
    const file = (await folder.getFileHandle(nameOf(network), { create: true })) as SyncFile;
    try {
      return new Home(await file.createSyncAccessHandle());
    } catch {
      throw new Error("your jobs are open in another tab of this browser: close it, or go on there");
    }
  }

  /** Everything in it. */
  bytes(): Uint8Array {
    const bytes = new Uint8Array(this.handle.getSize());
    this.handle.read(bytes, { at: 0 });
    return bytes;
  }

  /** What is behind `end` was cut off while it was written. */
  cut(end: number): void {
    this.handle.truncate(end);
    this.end = end;
  }

  /** Adds bytes at the end; they are on the disk when this returns. */
  append(bytes: Uint8Array): void {
    if (this.handle.write(bytes, { at: this.end }) !== bytes.length) {
      throw new Error("this browser has no room left for the page");
    }
    this.handle.flush();
    this.end += bytes.length;
  }

  close(): void {
    this.handle.close();
  }
}

function nameOf(network: string): string {
  return `home-${network}`;
}
