// What the checks of all packages need.

function text(v: unknown): string {
  if (v instanceof Date) return `date ${v.toISOString()}`;
  if (v instanceof Uint8Array) return `bytes ${v.join()}`;
  if (Array.isArray(v)) return `[${v.map(text).join()}]`;
  if (typeof v === "object" && v !== null) {
    return `{${Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => `${JSON.stringify(name)}:${text(value)}`).join()}}`;
  }
  return JSON.stringify(v) ?? "undefined";
}

export function equal(what: string, got: unknown, want: unknown): void {
  if (text(got) !== text(want)) throw new Error(`${what}: got ${text(got)}, want ${text(want)}`);
}

export async function rejects(what: string, call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (err) {
    equal(what, String(err).includes("refused"), true);
    return;
  }
  throw new Error(`${what}: no error`);
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
