import { equal, fails } from "../check.js";

export const streams = [
  {
    name: "streams down",
    async run(session) {
      const connection = await session.connect("/testhub");
      equal(await session.read(connection, "Stream"), { items: ["a", "b", "c"] }, "Stream");
      equal(await session.read(connection, "EmptyStream"), { items: [] }, "EmptyStream");

      const lab = await session.connect("/lab");
      const numbers = n => ({ items: [...Array(n).keys()] });
      equal(await session.read(lab, "Count", 1_000, 0), numbers(1_000), "a long stream");
      const three = [session.read(lab, "Count", 5, 20), session.read(lab, "Count", 10, 5), session.read(lab, "Count", 100, 0)];
      equal(await lab.invoke("Text", "between"), "between", "an invocation beside streams");
      equal(await Promise.all(three), [numbers(5), numbers(10), numbers(100)], "three streams at once");
    },
  },
  {
    name: "cancellation",
    async run(session) {
      const connection = session.build("/testhub");
      const canceled = session.calls(connection, "StreamCanceled");
      const ignore = { next() {}, complete() {}, error() {} };
      await connection.start();
      connection.stream("InfiniteStream").subscribe(ignore).dispose(); // the cancellation comes right behind the invocation
      equal(await canceled.next(), [], "StreamCanceled");

      const subscription = connection.stream("InfiniteStream").subscribe(ignore);
      equal(await connection.invoke("Echo", "meanwhile"), "meanwhile", "Echo beside the stream");
      subscription.dispose();
      equal(await canceled.next(), [], "StreamCanceled of the second");
    },
  },
  {
    name: "cancellation between items",
    async run(session) {
      const connection = await session.connect("/lab");
      const items = [];
      await new Promise((resolve, reject) => {
        const subscription = connection.stream("Count", 1_000_000, 1).subscribe({
          next(item) {
            items.push(item);
            if (item === 2) {
              subscription.dispose();
              resolve();
            }
          },
          complete: () => reject(new Error("the stream completed")),
          error: reject,
        });
      });
      equal(await connection.invoke("Text", "after"), "after", "Text after the cancellation");
      equal(items, [0, 1, 2], "items");
    },
  },
  {
    name: "streams up",
    async run(session) {
      const { Subject } = session.env.signalR;
      const connection = await session.connect("/testhub");
      const words = new Subject();
      const joined = connection.invoke("StreamingConcat", words);
      session.upload(words, ["a", "b", "", "ç"]);
      equal(await joined, "abç", "StreamingConcat");

      const failing = new Subject();
      const failed = connection.invoke("StreamingConcat", failing);
      session.upload(failing, ["a"], "broken off");
      await fails(failed, "An unexpected error occurred invoking 'StreamingConcat' on the server. HubException: broken off", "StreamingConcat");

      const lab = await session.connect("/lab");
      const numbers = new Subject();
      const many = lab.invoke("Upload", numbers);
      session.upload(numbers, Array(500).keys());
      equal(await many, [...Array(500).keys()].join(","), "Upload of more than the buffer holds");

      const [left, right] = [new Subject(), new Subject()];
      const counted = lab.invoke("UploadTwo", left, "-", right);
      session.upload(right, ["x", "y"]);
      session.upload(left, [1, 2, 3]);
      equal(await counted, "3-2", "UploadTwo");
    },
  },
  {
    name: "an upload that the method ignores",
    ours: "it ends the connection if items still wait for room when the method returns",
    async run(session) {
      const connection = await session.connect("/lab");
      const numbers = new session.env.signalR.Subject();
      // The client goes on sending the items when the method has returned, and does
      // not say when the last one is out. One that is stopped before breaks Node.
      let out = 0;
      const send = connection._sendWithProtocol.bind(connection);
      connection._sendWithProtocol = message => send(message).then(() => { out += message.type === 1 ? 0 : 1; });
      const ignored = connection.invoke("UploadIgnored", numbers);
      session.upload(numbers, Array(100).keys());
      equal(await ignored, "not read", "UploadIgnored");
      equal(await connection.invoke("Text", "after"), "after", "Text afterwards");
      while (out < 101) {
        await new Promise(resolve => setTimeout(resolve, 5));
      }
    },
  },
  {
    name: "streams both ways",
    async run(session) {
      const connection = await session.connect("/lab");
      const numbers = new session.env.signalR.Subject();
      const doubled = session.read(connection, "Double2", numbers);
      session.upload(numbers, [1, 2, 3, 4]);
      equal(await doubled, { items: [2, 4, 6, 8] }, "Double2");
    },
  },
];
