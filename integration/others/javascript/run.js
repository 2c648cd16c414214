// An older JavaScript client in Node. usage: node run.js PACKAGE; the scenarios are ordered as ../../clients/orders.js says.

const assert = require("node:assert/strict");
delete globalThis.fetch; // Node had none then, and one of the packages takes Node with it for a browser
process.on("unhandledRejection", error => console.error("not handled:", error)); // of the package: Node only warned then
const signalR = require(process.argv[2]);

const builderReconnects = "withAutomaticReconnect" in signalR.HubConnectionBuilder.prototype; // so does one that uploads
const retryDelays = new Array(300).fill(100);

const scenarios = {
  async calls({ connection, transport }) {
    assert.equal(await connection.invoke("Echo", "žluť"), "žluť");
    assert.equal(await connection.invoke("Echo", null), null);
    assert.equal(await connection.invoke("GetActiveTransportName"), transport);
    const message = new Promise(resolve => connection.on("Message", resolve));
    await connection.send("InvokeWithString", "hello");
    assert.equal(await message, "hello");
    await assert.rejects(connection.invoke("ThrowException", "boom"), /InvalidOperationException: boom/);
    await assert.rejects(connection.invoke("Nonsense"), /Method does not exist/);
  },

  async streams({ connection }) {
    assert.deepEqual(await collect(connection.stream("Stream")), ["a", "b", "c"]);
    assert.deepEqual(await collect(connection.stream("EmptyStream")), []);
    await assert.rejects(collect(connection.stream("StreamThrowException", "boom")), /InvalidOperationException: boom/);
    const canceled = new Promise(resolve => connection.on("StreamCanceled", resolve));
    connection.stream("InfiniteStream").subscribe({ next() {}, complete() {}, error() {} }).dispose();
    await canceled;
  },

  async uploads({ connection }) {
    const items = new signalR.Subject();
    const joined = connection.invoke("StreamingConcat", items);
    for (const item of ["a", "b", "c"]) {
      items.next(item);
    }
    items.complete();
    assert.equal(await joined, "abc");
  },

  async restart({ connection, ask }) {
    const back = new Promise((resolve, reject) => {
      if (builderReconnects) {
        connection.onreconnected(resolve);
        connection.onclose(reason => reject(new Error(`closed for good: ${reason}`)));
      } else {
        connection.onclose(() => resolve(startAgain(connection)));
      }
    });
    back.catch(() => {}); // it may come before it is awaited
    await ask("terminate");
    await ask("start");
    await back;
    assert.equal(await connection.invoke("Echo", "again"), "again");
  },
};

if (!builderReconnects) {
  delete scenarios.uploads;
}

async function startAgain(connection) {
  for (;;) {
    try {
      return await connection.start();
    } catch {
      await new Promise(resolve => setTimeout(resolve, 100));
    }
  }
}

function collect(stream) {
  return new Promise((resolve, reject) => {
    const items = [];
    stream.subscribe({ next: item => items.push(item), complete: () => resolve(items), error: reject });
  });
}

async function run(name, url, ask) {
  const [scenario, transport] = name.split(" over ");
  const builder = new signalR.HubConnectionBuilder()
    .withUrl(`${url}/testhub`, { transport: signalR.HttpTransportType[transport] })
    .configureLogging(signalR.LogLevel.None);
  if (builderReconnects) {
    builder.withAutomaticReconnect(retryDelays);
  }
  const connection = builder.build();
  await connection.start();
  try {
    await scenarios[scenario]({ connection, transport, ask });
  } finally {
    await connection.stop().catch(() => {});
  }
}

async function main() {
  const { Orders } = await import("../../clients/orders.js");
  const orders = new Orders();
  const names = Object.keys(scenarios).flatMap(scenario =>
    ["WebSockets", "ServerSentEvents", "LongPolling"].map(transport => ({ name: `${scenario} over ${transport}` })));
  await orders.serve(names, order =>
    run(order.scenario, order.url, what => orders.ask(what)).then(() => ({}), error => ({ error: String(error.stack || error) })));
  process.exit(0);
}

main();
