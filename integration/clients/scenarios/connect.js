import { equal, fails, truth } from "../check.js";

// HTTP/2 has the number of a status only.
const unauthorized = /^Failed to complete negotiation with the server: Error: (Unauthorized)?: Status code '401'$/;

export const connect = [
  {
    name: "connect",
    async run(session) {
      const connection = await session.connect("/testhub");
      equal(connection.state, "Connected", "state after start");
      equal(connection.connectionId.length, 22, "length of the connection id");
      equal(await connection.invoke("GetCallerConnectionId"), connection.connectionId, "connection id on the server");
      equal(await connection.invoke("GetActiveTransportName"), session.transport, "transport");

      await connection.stop();
      equal(await connection.closed.next(), [undefined], "onclose after stop");
      equal(connection.state, "Disconnected", "state after stop");
    },
  },
  {
    name: "welcome from OnConnected",
    async run(session) {
      const connection = session.build("/lab-onconnect");
      const welcome = session.calls(connection, "Welcome");
      await connection.start();
      equal(await welcome.next(), [22], "Welcome");
    },
  },
  {
    name: "restart of the same client object",
    async run(session) {
      const connection = session.build("/testhub");
      const messages = session.calls(connection, "Message");
      const ids = new Set();
      for (const text of ["first", "second", "third"]) {
        await connection.start();
        ids.add(connection.connectionId);
        await connection.invoke("InvokeWithString", text);
        equal(await messages.next(), [text], "Message");
        await connection.stop();
        equal(await connection.closed.next(), [undefined], "onclose");
      }
      equal(ids.size, 3, "number of connection ids");
    },
  },
  {
    name: "start again within onclose",
    async run(session) {
      const connection = session.build("/testhub");
      let again;
      connection.onclose(() => {
        again ??= connection.start();
      });
      await connection.start();
      const id = connection.connectionId;
      await connection.stop();
      await again;
      equal(await connection.invoke("Echo", "again"), "again", "Echo after the restart");
      truth(connection.connectionId !== id, "the connection id is the old one");
    },
  },
  {
    name: "headers",
    async run(session) {
      const connection = await session.connect("/testhub", { headers: { "X-Header": "value" } });
      // Browsers let nobody set headers on WebSockets and event streams.
      const sent = session.env.runner === "node" || session.transport === "LongPolling";
      equal(await connection.invoke("GetHeader", "X-Header"), sent ? "value" : null, "X-Header");
    },
  },
  {
    name: "cookies",
    async run(session) {
      const connection = await session.connect("/testhub");
      equal(await connection.invoke("GetCookie", "testCookie"), "testValue", "cookie of the negotiation");
      equal(await connection.invoke("GetCookie", "testCookie2"), "testValue2", "second cookie of the negotiation");
      equal(await connection.invoke("GetCookie", "expiredCookie"), null, "expired cookie");
    },
  },
  {
    name: "a page of another origin",
    only: "chromium",
    async run(session) {
      session.order.url = session.order.url.replace("127.0.0.1", "localhost");
      const connection = await session.connect("/testhub");
      equal(await connection.invoke("Echo", "across"), "across", "Echo");
    },
  },
  {
    name: "access token",
    async run(session) {
      const connection = await session.connect("/authorizedhub", {
        accessTokenFactory: () => session.text("/generateJwtToken"),
      });
      equal(await connection.invoke("Echo", "with a token"), "with a token", "Echo");
    },
  },
  {
    name: "connection ticket in place of the access token",
    ours: "it has no tickets",
    async run(session) {
      // The hub refuses a token of another kind in a URL.
      const connection = session.build("/ticketedhub", {
        accessTokenFactory: () => session.text("/generateJwtToken"),
      });
      for (const text of ["first", "second"]) {
        await connection.start();
        equal(await connection.invoke("Echo", text), text, "Echo");
        await connection.stop();
        equal(await connection.closed.next(), [undefined], "onclose");
      }
    },
  },
  {
    name: "no access token",
    async run(session) {
      await fails(session.connect("/authorizedhub"), unauthorized, "start without a token");
      await fails(session.connect("/authorizedhub", { accessTokenFactory: () => "wrong" }), unauthorized, "start with a wrong token");
    },
  },
];
