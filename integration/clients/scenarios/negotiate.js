import { equal, fails, truth } from "../check.js";

const combinations = [["WebSockets", "json"], ["WebSockets", "messagepack"], ["ServerSentEvents", "json"], ["LongPolling", "json"], ["LongPolling", "messagepack"]];

export const negotiate = [
  {
    name: "the client's own choice of transport",
    once: true,
    async run(session) {
      for (const [path, protocol, transport] of [
        ["/testhub", "json", "WebSockets"],
        ["/testhub-nowebsockets", "json", "ServerSentEvents"],
        ["/testhub-nowebsockets", "messagepack", "LongPolling"],
      ]) {
        session.order.protocol = protocol;
        const connection = await session.connect(path, { transport: undefined });
        equal(await connection.invoke("GetActiveTransportName"), transport, `transport of ${path} with ${protocol}`);
      }
    },
  },
  {
    name: "a transport that the server does not offer",
    async run(session) {
      for (const [path, offered] of [["/lab-ws", "WebSockets"], ["/lab-sse", "ServerSentEvents"], ["/lab-lp", "LongPolling"]]) {
        if (offered === session.transport) {
          const connection = await session.connect(path);
          equal(await connection.invoke("Text", "there"), "there", `Text at ${path}`);
        } else {
          await fails(session.connect(path), /^Unable to connect to the server with any of the available transports\./, `start at ${path}`);
        }
      }
    },
  },
  {
    name: "skipped negotiation",
    once: true,
    async run(session) {
      session.order.transport = "WebSockets";
      for (const protocol of ["json", "messagepack"]) {
        session.order.protocol = protocol;
        const connection = await session.connect("/testhub", { skipNegotiation: true });
        equal(connection.connectionId, null, "connection id of the client");
        equal((await connection.invoke("GetCallerConnectionId")).length, 22, "length of the connection id");
      }
    },
  },
  {
    name: "redirect by the negotiation",
    async run(session) {
      const connection = await session.connect(`/redirect?numRedirects=0&baseUrl=${session.order.url}`);
      truth(await connection.invoke("GetNumRedirects") > 0, "the redirect's own query did not arrive");
    },
  },
  {
    name: "refused negotiation",
    once: true,
    async run(session) {
      await fails(session.connect("/bad-negotiate"),
        "Failed to complete negotiation with the server: Error: Some response from server: Status code '400'", "start");
    },
  },
  {
    name: "a bare WebSocket without negotiation",
    once: true,
    async run(session) {
      const socket = session.env.webSocket(session.url("/echo").replace(/^http/, "ws"));
      const closed = await new Promise((resolve, reject) => {
        socket.onopen = () => socket.send("message");
        socket.onmessage = ({ data }) => (data === "message" ? socket.close() : reject(new Error(`got ${data}`)));
        socket.onclose = ({ code, wasClean }) => resolve({ code, wasClean });
      });
      equal(closed, { code: 1000, wasClean: true }, "end of the WebSocket");
    },
  },
  {
    name: "a web worker",
    once: true,
    only: "chromium",
    async run(session) {
      const worker = new Worker("/clients/worker.js");
      const answer = new Promise((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = reject;
      });
      worker.postMessage({ url: session.url("/testhub"), text: "from a worker" });
      equal(await answer, { text: "from a worker" }, "answer of the worker");
      worker.terminate();
    },
  },
  {
    name: "every combination at once",
    once: true,
    only: "node", // a browser opens six HTTP/1.1 connections to a server at most
    async run(session) {
      const connections = [];
      for (const [transport, protocol] of combinations) {
        Object.assign(session.order, { transport, protocol });
        connections.push(await session.connect("/lab"));
      }
      const got = connections.map(connection => session.calls(connection, "All"));
      await session.joined(...connections);
      await connections[0].invoke("All", "to every protocol");
      for (const calls of got) {
        equal(await calls.next(), ["to every protocol"], "All");
      }
    },
  },
];
