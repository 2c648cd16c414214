// A page of Blazor Server at URL in headless Chromium, for ../appserver: it becomes interactive, and its counter counts. WITHOUT names
// what the browser does not have, such as WebSocket. Prints the counts and the URLs to which the page's circuit has talked.

import { openBrowser } from "./browser.js";

const limit = { timeout: 60_000 };
const browser = await openBrowser();
const page = await browser.newPage({ ignoreHTTPSErrors: true });
page.on("pageerror", error => console.error("uncaught in the page:", error));
page.on("console", message => console.error(message.text()));
if (process.env.WITHOUT) {
  await page.addInitScript(name => { delete globalThis[name]; }, process.env.WITHOUT);
}
const ways = { socket: 0, poll: 0 };
page.on("websocket", socket => socket.on("framereceived", () => { ways.socket++; }));
page.on("response", response => {
  if (/\/client\/?\?.*\bid=/.test(response.url()) && response.request().method() === "GET") {
    ways.poll++;
  }
});
await page.goto(process.env.URL, limit);
await page.locator("#interactive", { hasText: "interactive" }).waitFor(limit);
const counts = [];
for (let n = 1; n <= 5; n++) {
  await page.locator("button").click(limit);
  await page.locator("p[role=status]", { hasText: new RegExp(`^${n}$`) }).waitFor(limit);
  counts.push(n);
}
console.log(JSON.stringify({ counts, ...ways }));
await browser.close();
