// A burst of messages over a connection whose socket breaks behind it, and again in the middle of its replay, with the
// official client in Node and stateful reconnect, for ../replay_test.go: URL and MESSAGES come by the environment.

import signalR from "@microsoft/signalr";
import { equal } from "./check.js";

const messages = Number(process.env.MESSAGES);

const connection = new signalR.HubConnectionBuilder()
  .configureLogging(signalR.LogLevel.None)
  .withUrl(process.env.URL, { transport: signalR.HttpTransportType.WebSockets })
  .withStatefulReconnect()
  .build();
const closed = new Promise((_, reject) => connection.onclose(error => reject(error ?? new Error("closed"))));
let want = 0;
const all = new Promise((resolve, reject) => {
  connection.on("Item", n => {
    if (n !== want) {
      reject(new Error(`the client got ${n}, not ${want}`));
    }
    want = n + 1;
    if (want === messages) {
      resolve();
    }
  });
});
await connection.start();
await connection.send("Burst", messages);
await Promise.race([all, closed]);
await connection.send("Break"); // the proxy cuts the socket
await Promise.race([connection.invoke("Broken"), closed]); // its answer comes behind the replay
equal(await Promise.race([connection.invoke("Broken"), closed]), 2, "breaks");
process.exit(0);
