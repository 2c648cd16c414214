// The official client in Node, or in headless Chromium on PAGE with CHROMIUM, for ../redirect_test.go and
// ../cookies_test.go. It negotiates at URL, which may redirect it, over each transport, and prints the answer of the hub's
// method Who, or the error.

import { fileURLToPath } from "node:url";
import signalR from "@microsoft/signalr";
import { openBrowser } from "./browser.js";

/** Runs in the page, too. */
async function ask(url) {
  const { HttpTransportType, HubConnectionBuilder, LogLevel } = globalThis.signalR;
  const answers = {};
  for (const name of ["WebSockets", "ServerSentEvents", "LongPolling"]) {
    const connection = new HubConnectionBuilder().configureLogging(LogLevel.None)
      .withUrl(url, { transport: HttpTransportType[name] }).build();
    try {
      await connection.start();
      answers[name] = await connection.invoke("Who");
    } catch (error) {
      answers[name] = String(error);
    }
    await connection.stop();
  }
  return answers;
}

async function askInBrowser() {
  const browser = await openBrowser();
  const page = await browser.newPage();
  await page.goto(process.env.PAGE);
  await page.addScriptTag({ path: fileURLToPath(new URL("node_modules/@microsoft/signalr/dist/browser/signalr.js", import.meta.url)) });
  const answers = await page.evaluate(ask, process.env.URL);
  await browser.close();
  return answers;
}

globalThis.signalR = signalR;
console.log(JSON.stringify(await (process.env.CHROMIUM ? askInBrowser() : ask(process.env.URL))));
process.exit(0); // sockets that the client left open would hold the process
