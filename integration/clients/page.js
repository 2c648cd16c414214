// The end of chromium.js inside the browser: runs scenarios with the browser builds of the client.

import { run } from "./run.js";

const folder = new URL(".", import.meta.url);

await load("node_modules/@microsoft/signalr/dist/browser/signalr.js");
await load("node_modules/@microsoft/signalr-protocol-msgpack/dist/browser/signalr-protocol-msgpack.js");

const env = {
  runner: "chromium",
  signalR,
  msgpack: signalR.protocols.msgpack,
  ask: what => globalThis.ask(what),
  webSocket: url => new WebSocket(url),
};

globalThis.runScenario = order => run(env, order);

// The builds are classic scripts that set globals.
function load(file) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(file, folder);
    script.onload = resolve;
    script.onerror = () => reject(new Error(`no ${file}`));
    document.head.append(script);
  });
}
