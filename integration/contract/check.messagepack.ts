import { HubConnectionBuilder } from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import { check } from "./check.js";
import { ChatHub, onChat, type Values } from "./chathub.messagepack.js";

const message = { id: 7, room: "r", text: "t", kind: "shouted", at: new Date("2026-02-28T23:59:59.123Z") } as const;
const sample: Values = {
  text: "ü\u2028", truth: true, small: -128, long: 9007199254740991, real: 1.5, bytes: new Uint8Array([1, 2, 255]), at: message.at,
  span: 937840050000, level: 2, maybe: 3, left: "x", names: { a: "b" },
  page: { items: [message], next: null }, children: null, anything: { deep: [1, "two", null] }, Untagged: 5,
};

export default async function run(origin: string): Promise<void> {
  const connection = new HubConnectionBuilder().withUrl(`${origin}/hub`).withHubProtocol(new MessagePackHubProtocol()).build();
  await check(connection, new ChatHub(connection), (handlers) => onChat(connection, handlers), sample);
}
