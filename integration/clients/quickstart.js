// The page of docs/gateway.md in headless Chromium, with the official client of node_modules in place of the one at the
// address that the page has.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { openBrowser } from "./browser.js";
import { Orders } from "./orders.js";

const client = new URL("node_modules/@microsoft/signalr/", import.meta.url);
const { version } = JSON.parse(await readFile(new URL("package.json", client), "utf8"));
const address = `https://cdn.jsdelivr.net/npm/@microsoft/signalr@${version}/dist/browser/signalr.min.js`;

const orders = new Orders();
const browser = await openBrowser();

await orders.serve([{ name: "quick start" }], async order => {
  const page = await browser.newPage();
  const strange = [];
  await page.route(url => url.hostname !== "localhost", route => {
    if (route.request().url() === address) {
      return route.fulfill({ path: fileURLToPath(new URL("dist/browser/signalr.min.js", client)) });
    }
    strange.push(route.request().url());
    return route.abort();
  });
  try {
    await page.goto(order.url);
    await page.waitForFunction(() => connection.state === "Connected");
    await orders.ask("publish");
    for (const line of ["curl: hello", "gateway: hello"]) {
      await page.locator("#messages li", { hasText: line }).waitFor();
    }
    return {};
  } catch (error) {
    return { error: String(error.stack || error), log: [`not ${address}:`, ...strange] };
  } finally {
    await page.close();
  }
});
await browser.close();
