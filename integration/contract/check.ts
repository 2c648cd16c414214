// Calls every method of the sample through a generated class and prints what it got.
import type { HubConnection } from "@microsoft/signalr";
import { hubError } from "./chathub.js";

/** The part of a generated class that is the same for both protocols. */
interface Hub<V, M> {
  send(room: string, text: string): Promise<void>;
  history(room: string, n: number): Promise<M[] | null>;
  follow(room: string): AsyncIterable<M>;
  import(room: string, lines: AsyncIterable<string> | Iterable<string>): Promise<number>;
  echo(values: AsyncIterable<V> | Iterable<V>): AsyncIterable<V>;
  ask(question: string): Promise<boolean>;
  roundTrip(v: V): Promise<V>;
  leave(room: string): Promise<void>;
}

interface Said {
  text: string;
}

function equal(what: string, got: unknown, want: unknown): void {
  const text = (v: unknown): string => JSON.stringify(v, (_, x: unknown) => (x instanceof Uint8Array ? [...x] : x));
  if (text(got) !== text(want)) throw new Error(`${what}: got ${text(got)}, want ${text(want)}`);
}

async function rejects(what: string, call: Promise<unknown>, want: string): Promise<void> {
  try {
    await call;
  } catch (err) {
    if (String(err).includes(want)) return;
    throw err;
  }
  throw new Error(`${what}: no error`);
}

/** Makes items of an upload that come later. */
async function* slowly<T>(items: T[]): AsyncGenerator<T> {
  for (const item of items) {
    await Promise.resolve();
    yield item;
  }
}

const failing: AsyncIterable<string> = { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error("the source broke")) }) };

export async function check<V, M extends Said>(
  connection: HubConnection, hub: Hub<V, M>, receive: (handlers: { receive(m: M): void; confirm(question: string): boolean }) => () => void, sample: V,
): Promise<void> {
  const said: string[] = [];
  const off = receive({ receive(m) { said.push(m.text); }, confirm: (question) => question === "sure?" });
  await connection.start();
  await hub.send("lobby", "hello");
  equal("imported", await hub.import("lobby", slowly(["a", "b"])), 2);
  equal("history", ((await hub.history("lobby", 2)) ?? []).map((m) => m.text), ["a", "b"]);
  equal("asked", [await hub.ask("sure?"), await hub.ask("really?")], [true, false]);
  equal("round trip", await hub.roundTrip(sample), sample);
  const echoed: V[] = [];
  for await (const v of hub.echo([sample, sample])) echoed.push(v);
  equal("echo", echoed, [sample, sample]);
  await rejects("leave", hub.leave("nowhere"), "there is no room nowhere");
  const refusal: unknown = await hub.leave("nowhere").catch((err: unknown) => err);
  equal("texts for clients", [hubError(refusal), hubError(new Error(`not ${String(refusal)}`))], ["there is no room nowhere", undefined]);
  await rejects("follow", (async () => { for await (const m of hub.follow("nowhere")) said.push(m.text); })(), "there is no room nowhere");
  await rejects("failed upload", hub.import("lobby", failing), "the source broke");
  const followed: string[] = [];
  for await (const m of hub.follow("lobby")) {
    followed.push(m.text);
    if (followed.length === 3) break; // the stream has no end: this cancels it
  }
  equal("followed", followed, ["hello", "a", "b"]);
  await hub.leave("lobby"); // the hub answers when no stream of the room runs any more
  equal("said", said, ["hello", "a", "b"]);
  off();
  await hub.send("lobby", "unheard");
  equal("said afterwards", said.length, 3);
  await connection.stop();
}
