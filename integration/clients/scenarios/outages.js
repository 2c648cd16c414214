import { equal, truth } from "../check.js";

const often = builder => builder.withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => 200 });

export const outages = [
  {
    name: "reconnect after a restart of the server",
    async run(session) {
      const connection = session.build("/testhub", {}, often);
      const messages = session.calls(connection, "Message");
      const gone = new Promise(resolve => connection.onreconnecting(resolve));
      const back = new Promise(resolve => connection.onreconnected(resolve));
      await connection.start();
      const old = connection.connectionId;

      await session.ask("terminate");
      await gone;
      equal(connection.state, "Reconnecting", "state without a server");
      await session.ask("start");
      const id = await back;
      truth(id !== old, "the connection id is the old one");
      equal(await connection.invoke("GetCallerConnectionId"), id, "connection id on the server");
      await connection.invoke("InvokeWithString", "the handlers are still there");
      equal(await messages.next(), ["the handlers are still there"], "Message");
    },
  },
  {
    name: "shutdown of the server",
    ours: "its long polling ends with a close message, which the oldest client takes for the end",
    async run(session) {
      const [connection, ticking] = [await session.connect("/testhub"), await session.connect("/hubs/clock")];
      await session.ask("terminate");
      await connection.closed.next(); // with an error where a WebSocket is reset
      await ticking.closed.next();
      const closing = session.log.filter(line => line === "Information: Close message received from server.");
      equal(closing.length, 0, "number of close messages");
      await session.ask("start");
      await connection.start();
      equal(await connection.invoke("Echo", "back"), "back", "Echo with the same client object");
    },
  },
  {
    name: "clients come back after a shutdown of the server",
    async run(session) {
      const connection = session.build("/testhub", {}, often);
      const gone = new Promise(resolve => connection.onreconnecting(resolve));
      const back = new Promise(resolve => connection.onreconnected(resolve));
      await connection.start();
      await session.ask("terminate");
      await gone;
      await session.ask("start");
      await back;
      equal(await connection.invoke("Echo", "back"), "back", "Echo");
    },
  },
];
