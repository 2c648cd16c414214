// The official client in Node behind the boxes.

import { runInThisContext } from "node:vm";
import signalR from "@microsoft/signalr";
import WebSocket from "ws";
import { Orders } from "./orders.js";
import { reach } from "./reach.js";

// An exception that nobody caught would end a program; here it fails the start that is under way.
let fail = () => {};
process.on("uncaughtException", error => fail(error));

async function script(url) {
  globalThis.WebSocket ??= WebSocket;
  runInThisContext(await (await fetch(url)).text());
}

const orders = new Orders();
await orders.serve([], async ({ cells }) => {
  const uncaught = new Promise(resolve => {
    fail = error => resolve({ delays: [], error: `uncaught: ${error.stack}` });
  });
  return { cells: await Promise.all(cells.map(({ visit }) => Promise.race([uncaught, reach({ signalR, script }, visit)]))) };
});
process.exit(0); // sockets that the client left open would hold the process
