// The official client in Node with an access token, for ../tickets_test.go: URL and TOKEN come by the environment. It
// prints what the hub's method Who answers.

import signalR from "@microsoft/signalr";

const connection = new signalR.HubConnectionBuilder()
  .configureLogging(signalR.LogLevel.Error)
  .withUrl(process.env.URL, { accessTokenFactory: () => process.env.TOKEN })
  .build();
await connection.start();
console.log(await connection.invoke("Who"));
await connection.stop();
process.exit(0); // sockets that the client left open would hold the process
