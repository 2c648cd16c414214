import { HubConnectionBuilder } from "@microsoft/signalr";
import { check } from "./check.js";
import { ChatHub, onChat, type Values } from "./chathub.js";

const message = { id: 7, room: "r", text: "t", kind: "shouted", at: "2026-02-28T23:59:59.1234567Z" } as const;
const sample: Values = {
  text: "ü\u2028", truth: true, small: -128, long: "9223372036854775807", real: 1.5, bytes: "AQL/", at: message.at,
  span: "1.02:03:04.0050000", level: 2, maybe: 3, left: "x", names: { a: "b" },
  page: { items: [message], next: null }, children: null, anything: { deep: [1, "two", null] }, raw: [true], untagged: 5,
};

export default async function run(origin: string): Promise<void> {
  const connection = new HubConnectionBuilder().withUrl(`${origin}/hub`).build();
  await check(connection, new ChatHub(connection), (handlers) => onChat(connection, handlers), sample);
}
