// The official client in headless Chromium: a page with the browser builds of the client runs the scenarios.

import { openBrowser, openOwnPage } from "./browser.js";
import { Orders } from "./orders.js";
import { list } from "./run.js";

const orders = new Orders();
const browser = await openBrowser();
const page = await browser.newPage({ ignoreHTTPSErrors: true });
page.on("pageerror", error => console.error("uncaught in the page:", error));
await page.exposeFunction("ask", what => orders.ask(what));

await orders.serve(list(), async order => {
  if (!page.url().startsWith(order.url)) {
    await openOwnPage(page, order.url, "/generateJwtToken", "page.js");
    await page.waitForFunction(() => globalThis.runScenario);
  }
  return page.evaluate(o => globalThis.runScenario(o), order);
});
await browser.close();
