// The end of reach-chromium.js inside the browser.

import { reach } from "./reach.js";

await load(new URL("node_modules/@microsoft/signalr/dist/browser/signalr.js", new URL(".", import.meta.url)));

globalThis.reach = visit => reach({ signalR, script: load }, visit);

function load(url) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`no ${url}`));
    document.head.append(script);
  });
}
