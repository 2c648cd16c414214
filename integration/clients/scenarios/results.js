import { equal, fails, truth } from "../check.js";

export const results = [
  {
    name: "client results",
    async run(session) {
      const connection = await session.connect("/lab");
      connection.on("Plus", n => n + 1);
      connection.on("Later", async n => n * 2);
      connection.on("Name", () => "the name");
      connection.on("Throw", () => { throw new Error("from callback"); });
      connection.on("Nothing", () => {});
      const failed = (method, text) => `An unexpected error occurred invoking '${method}' on the server. HubException: ${text}`;

      equal(await connection.invoke("AskMe", "Plus"), "got 8", "a result");
      equal(await connection.invoke("AskMe", "Later"), "got 14", "a result of an asynchronous handler");
      equal(await connection.invoke("AskMeText", "Name"), "got the name", "a text");
      await fails(connection.invoke("AskMe", "Throw"), failed("AskMe", "Error: from callback"), "a handler that throws");
      await fails(connection.invoke("AskMe", "Nothing"), failed("AskMe", "Client didn't provide a result."), "a handler without a result");
      await fails(connection.invoke("AskMe", "Unknown"), failed("AskMe", "Client didn't provide a result."), "no handler");
      await fails(connection.invoke("AskMe", "Name"), /^An unexpected error occurred invoking 'AskMe' on the server\. HubException: Error trying to deserialize result to Int32\./, "a result of the wrong type");
      equal(await connection.invoke("Text", "after"), "after", "the connection afterwards");
    },
  },
  {
    name: "client results of another connection",
    async run(session) {
      const [asking, asked] = await Promise.all([session.connect("/lab"), session.connect("/lab")]);
      asked.on("Plus", n => n + 1);
      await session.joined(asked);
      equal(await asking.invoke("AskOther", asked.connectionId, "Plus"), "got 8", "AskOther");
    },
  },
  {
    name: "client results outside of the hub",
    async run(session) {
      const connection = await session.connect("/testhub");
      const path = `/clientresult/${connection.connectionId}`;
      await session.joined(connection);
      equal(await session.text(path), "Client didn't provide a result.", "without a handler");
      connection.on("Result", () => 10);
      equal(await session.text(path), "10", "a number");
      connection.off("Result");
      connection.on("Result", () => { throw new Error("from callback"); });
      equal(await session.text(path), "Error: from callback", "a handler that throws");
      connection.off("Result");
      connection.on("Result", () => "ten");
      const wrong = await session.text(path);
      truth(wrong.startsWith("Error trying to deserialize result to Int32."), `a text: got ${wrong}`);
      connection.off("Result");

      const asked = new Promise(resolve => connection.on("Result", () => { resolve(); return new Promise(() => {}); }));
      const unanswered = session.text(path);
      await asked;
      const id = connection.connectionId;
      await connection.stop();
      const ended = await unanswered; // the second text is that of another node, as the original's
      truth([`Connection '${id}' disconnected.`, "Connection disconnected."].includes(ended), `the connection ends first: got ${ended}`);
      // The other node may still be subscribed for a moment, and answers then.
      const none = await session.text(path);
      truth([`Connection '${id}' does not exist.`, "Connection disconnected."].includes(none), `no such connection: got ${none}`);
    },
  },
];
