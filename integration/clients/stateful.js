// Numbered messages both ways with the official client in Node and stateful reconnect, for ../stateful_test.go, whose
// proxy cuts the sockets: URL, PROTOCOL, CONNECTIONS and MESSAGES (of each) come by the environment.

import signalR from "@microsoft/signalr";
import msgpack from "@microsoft/signalr-protocol-msgpack";
import { equal } from "./check.js";

const { URL: url, PROTOCOL: protocol } = process.env;
const messages = Number(process.env.MESSAGES);

/** Sends the messages and waits for the echoes, which have to come in order. */
async function exchange() {
  const builder = new signalR.HubConnectionBuilder()
    .configureLogging(signalR.LogLevel.None)
    .withUrl(url, { transport: signalR.HttpTransportType.WebSockets })
    .withStatefulReconnect({ bufferSize: 8 << 10 });
  if (protocol === "messagepack") {
    builder.withHubProtocol(new msgpack.MessagePackHubProtocol());
  }
  const connection = builder.build();
  const echoes = new Promise((resolve, reject) => {
    let want = 0;
    connection.on("Down", n => {
      if (n !== want) {
        reject(new Error(`the client got ${n}, not ${want}`));
      }
      want = n + 1;
      if (want === messages) {
        resolve();
      }
    });
    connection.onclose(error => reject(error ?? new Error("closed before the last echo")));
  });
  await connection.start();
  await Promise.all([send(connection), echoes]);
  await connection.stop();
}

async function send(connection) {
  for (let n = 0; n < messages; n++) {
    await connection.send("Up", n, "x".repeat(n * 7919 % 300));
  }
  equal(await connection.invoke("Last"), messages, "messages that the server got");
}

await Promise.all(Array.from({ length: Number(process.env.CONNECTIONS) }, exchange));
process.exit(0); // sockets that the client left open would hold the process
