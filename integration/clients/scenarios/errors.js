import { equal, fails } from "../check.js";

const unexpected = (method, what) => `An unexpected error occurred invoking '${method}' on the server.${what ? " " + what : ""}`;
const refused = (method, what) => `Failed to invoke '${method}' due to an error on the server. ${what}`;
const binding = "InvalidDataException: Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked.";

export const errors = [
  {
    name: "errors of methods",
    async run(session) {
      const connection = await session.connect("/lab");
      for (const [call, text] of [
        [["Fail", "why"], unexpected("Fail", "InvalidOperationException: why")],
        [["fAIL", "why"], unexpected("Fail", "InvalidOperationException: why")],
        [["FailHub", "why"], unexpected("FailHub", "HubException: why")],
        [["FailLater", "why"], unexpected("FailLater", "ApplicationException: why")],
        [["OnlyWithToken"], "Failed to invoke 'OnlyWithToken' because user is unauthorized"],
        [["Missing", 1], refused("Missing", "HubException: Method does not exist.")],
        [["Text"], refused("Text", "InvalidDataException: Invocation provides 0 argument(s) but target expects 1.")],
        [["Text", "a", "b"], refused("Text", "InvalidDataException: Invocation provides 2 argument(s) but target expects 1.")],
        [["Integer", "1"], refused("Integer", binding)],
        [["Text", 1], refused("Text", binding)],
        [["Count", 1, 0], "The client attempted to invoke the streaming 'Count' method with a non-streaming invocation."],
        [["Upload"], unexpected("Upload", "HubException: Client sent 0 stream(s), Hub method expects 1.")],
      ]) {
        await fails(connection.invoke(...call), text, JSON.stringify(call));
      }
      equal(await connection.invoke("Text", "alive"), "alive", "the connection afterwards");
    },
  },
  {
    name: "errors without details",
    async run(session) {
      const connection = await session.connect("/lab-plain");
      await fails(connection.invoke("Fail", "secret"), unexpected("Fail", ""), "Fail");
      await fails(connection.invoke("FailHub", "why"), unexpected("FailHub", "HubException: why"), "FailHub");
      equal(await session.read(connection, "CountThenFail", 1, false),
        { items: [0], error: "An error occurred on the server while streaming results." }, "CountThenFail");
    },
  },
  {
    name: "errors of streams",
    async run(session) {
      const connection = await session.connect("/lab");
      const streaming = "An error occurred on the server while streaming results. ";
      for (const [call, items, error] of [
        [["CountThenFail", 2, false], [0, 1], streaming + "InvalidOperationException: stream plain"],
        [["CountThenFail", 2, true], [0, 1], streaming + "HubException: stream hub"],
        [["ChannelThenFail", 2], [0, 1], streaming + "InvalidOperationException: channel plain"],
        [["TaskChannelFail"], [], unexpected("TaskChannelFail", "InvalidOperationException: task channel")],
        [["Text", "x"], [], "The client attempted to invoke the non-streaming 'Text' method with a streaming invocation."],
        [["Missing"], [], refused("Missing", "HubException: Method does not exist.")],
        [["Count", 1], [], refused("Count", "InvalidDataException: Invocation provides 1 argument(s) but target expects 2.")],
      ]) {
        equal(await session.read(connection, ...call), { items, error }, JSON.stringify(call));
      }
      equal(await session.read(connection, "Count", 2, 0), { items: [0, 1] }, "the connection afterwards");
    },
  },
];
