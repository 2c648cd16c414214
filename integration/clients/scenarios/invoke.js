import { equal } from "../check.js";

export const invoke = [
  {
    name: "invoke",
    async run(session) {
      const connection = await session.connect("/testhub");
      for (const text of ["plain", "", "你好，世界！ \u{1F600} <&'\"\\> \r\n\u2028\u001e\u0000", "x".repeat(30_000), null]) {
        equal(await connection.invoke("Echo", text), text, "Echo");
      }
      equal(await connection.invoke("eCHO", "case"), "case", "Echo in another case");
      equal(await connection.invoke("InvokeWithString", "x"), null, "result of a method without one");
    },
  },
  {
    name: "values",
    async run(session) {
      const connection = session.build("/testhub");
      const sent = session.calls(connection, "CustomObject");
      await connection.start();
      const fixed = await connection.invoke("SendComplexObject");
      equal(fixed, complex(session, "hello world", [1, 2, 3], [1, 2, 3], "00010203-0405-0607-0706-050403020100", "2000-01-01T00:00:00Z"), "fixed object");
      const own = complex(session, "text", [7, -8, 2_000_000_000], [0, 128, 255], "89a4ea56-0e1f-4b3c-9a5e-0123456789ab", "2002-04-01T10:20:15Z");
      equal(await connection.invoke("EchoComplexObject", own), own, "echoed object");
      await connection.send("SendCustomObject", { Name: "test", Value: 42 });
      equal(await sent.next(), [{ Name: "test", Value: 42 }], "CustomObject");
    },
  },
  {
    name: "calls from the server",
    async run(session) {
      const connection = session.build("/lab");
      const many = session.calls(connection, "many"); // names have no case
      const none = session.calls(connection, "None");
      await connection.start();
      await connection.invoke("SendMany");
      await connection.invoke("SendNone");
      equal(await many.next(), [1, "two", null, true], "Many");
      equal(await none.next(), [], "None");
    },
  },
  {
    name: "order",
    async run(session) {
      const connection = session.build("/lab");
      const seen = [];
      const done = [];
      connection.on("Item", i => { seen.push(i); });
      connection.on("Started", text => { seen.push(text); });
      await connection.start();
      // An invocation waits for the one before it, and what a method sends comes before its completion.
      await Promise.all([
        connection.invoke("SendThenWait", 50, "first").then(text => done.push(text)),
        connection.invoke("SendTimes", 100, 100).then(() => done.push(`${seen.length} seen`)),
        connection.invoke("Text", "last").then(text => done.push(text)),
      ]);
      equal(seen, ["first", ...Array(100).keys()], "order of the calls");
      equal(done, ["first", "101 seen", "last"], "order of the completions");
    },
  },
  {
    name: "parallel invocations",
    async run(session) {
      const connection = session.build("/lab-parallel");
      const started = session.calls(connection, "Started");
      await connection.start();
      const waiting = connection.invoke("SendThenWait", 1_000, "slow");
      equal(await started.next(), ["slow"], "Started");
      const first = await Promise.race([waiting, connection.invoke("Text", "quick")]);
      equal(first, "quick", "the first to be done");
      equal(await waiting, "slow", "the other");
    },
  },
  {
    name: "large messages from the server",
    async run(session) {
      const connection = await session.connect("/lab");
      equal((await connection.invoke("Big", 300_000)).length, 300_000, "length");
    },
  },
];

function complex(session, text, ints, bytes, guid, time) {
  return {
    String: text,
    IntArray: ints,
    ByteArray: session.binary ? new Uint8Array(bytes) : btoa(String.fromCharCode(...bytes)),
    Guid: guid,
    DateTime: session.binary ? new Date(time) : time,
  };
}
