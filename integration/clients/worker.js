// A web worker that uses the client's worker build: answers what the hub calls `message` with.

importScripts("node_modules/@microsoft/signalr/dist/webworker/signalr.js");

onmessage = async ({ data }) => {
  const connection = new signalR.HubConnectionBuilder().withUrl(data.url).build();
  connection.on("message", text => postMessage({ text }));
  try {
    await connection.start();
    await connection.invoke("invokeWithString", data.text);
    await connection.stop();
  } catch (error) {
    postMessage({ error: String(error) });
  }
};
