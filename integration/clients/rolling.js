// Many official clients in one process, for a rolling restart behind a balancer. Arguments: the URL of the hub and
// the number of clients, which use the transports in turn and reconnect as the official client does by default. Each line
// of the standard input is answered by a line of JSON: how many clients are connected, how often one has reconnected
// and how many have given up. The end of the input stops all of them.

import readline from "node:readline";
import signalR from "@microsoft/signalr";

const [url, count] = process.argv.slice(2);
const { WebSockets, ServerSentEvents, LongPolling } = signalR.HttpTransportType;
const transports = [WebSockets, ServerSentEvents, LongPolling];
const report = { connected: 0, reconnected: 0, failed: 0, error: "" };

function connect(i) {
  const connection = new signalR.HubConnectionBuilder()
    .configureLogging(signalR.LogLevel.None)
    .withUrl(url, { transport: transports[i % transports.length] })
    .withAutomaticReconnect()
    .build();
  connection.on("ShowTime", () => {});
  connection.onreconnected(() => { report.reconnected++; });
  connection.onclose(error => {
    report.failed++;
    report.error = String(error);
  });
  return connection;
}

const connections = Array.from({ length: Number(count) }, (_, i) => connect(i));
await Promise.all(connections.map(connection => connection.start()));
for await (const _ of readline.createInterface({ input: process.stdin })) {
  report.connected = connections.filter(connection => connection.state === signalR.HubConnectionState.Connected).length;
  console.log(JSON.stringify(report));
}
await Promise.all(connections.map(connection => connection.stop()));
process.exit(0);
