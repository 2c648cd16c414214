import { equal, truth } from "../check.js";

const closedWith = text => `Server returned an error on close: Connection closed with an error. ${text}`;

export const endings = [
  {
    name: "the hub ends the connection",
    async run(session) {
      const connection = await session.connect("/lab");
      connection.send("Abort");
      equal(await connection.closed.next(), [undefined], "onclose");
    },
  },
  {
    name: "OnConnected fails",
    async run(session) {
      const connection = session.build("/lab-onconnect?fail=1");
      // The close message may come while the client still starts: then that is what fails.
      const failed = new Promise(resolve => connection.start().catch(error => resolve([error])));
      const [error] = await Promise.race([failed, connection.closed.next()]);
      // The client's first ping can come too late where it is a request of its own.
      if (error.message !== "No Connection with that ID: Status code '404'") {
        equal(error.message, closedWith("HubException: not you"), "error of the client");
      }
    },
  },
  {
    name: "a message above the limit",
    async run(session) {
      const connection = await session.connect("/testhub");
      connection.send("Echo", "x".repeat(32_768));
      const [error] = await connection.closed.next();
      equal(error.message, closedWith("InvalidDataException: The maximum message size of 32768B was exceeded. The message size can be configured in AddHubOptions."), "error of onclose");
    },
  },
  {
    name: "keep-alive",
    async run(session) {
      const connection = session.build("/lab-fast"); // pings each second, gives up after two
      connection.serverTimeoutInMilliseconds = 3_000;
      connection.keepAliveIntervalInMilliseconds = 500;
      await connection.start();
      const ended = connection.closed.next().then(([error]) => `the connection ended: ${error}`);
      // Longer than every time-out: only pings, or polls, can have kept the connection.
      equal(await Promise.race([connection.invoke("Wait", 3_500, "still here"), ended]), "still here", "Wait");
    },
  },
  {
    name: "reconnect of a client that misses the server",
    async run(session) {
      const connection = session.build("/testhub", {}, builder => builder.withAutomaticReconnect());
      const reconnected = new Promise((resolve, reject) => {
        connection.onreconnected(resolve);
        connection.onclose(reject);
      });
      await connection.start();
      const old = connection.connectionId;
      connection.serverTimeout(); // as if the server had been silent for too long
      const id = await reconnected;
      truth(id !== old, "the connection id is the old one");
      equal(connection.connectionId, id, "connection id");
      equal(await connection.invoke("GetCallerConnectionId"), id, "connection id on the server");
    },
  },
];
