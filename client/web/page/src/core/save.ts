/** Hands the user a file. */
export function save(name: string, contents: BlobPart, type: string): void {
  const url = URL.createObjectURL(new Blob([contents], { type }));
  const link = document.createElement("a");
  [link.href, link.download] = [url, name];
  link.click();
  URL.revokeObjectURL(url);
}

/** The same of what programs read. */
export function saveJson(name: string, value: unknown): void {
  save(name, JSON.stringify(value, null, 2), "application/json");
}
