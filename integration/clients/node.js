// The official client in Node.

import signalR from "@microsoft/signalr";
import msgpack from "@microsoft/signalr-protocol-msgpack";
import WebSocket from "ws";
import { Orders } from "./orders.js";
import { list, run } from "./run.js";

const orders = new Orders();
const env = { runner: "node", signalR, msgpack, ask: what => orders.ask(what), webSocket: url => new WebSocket(url) };

await orders.serve(list(), order => run(env, order));
process.exit(0); // sockets that the client left open would hold the process
