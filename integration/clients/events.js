// The plain event stream of the clock in headless Chromium: an EventSource reads it, comes back after a restart of the server
// and is told that it may have missed something; one that a limit refuses comes back when it may.

import { equal, truth } from "./check.js";
import { openBrowser } from "./browser.js";
import { Orders } from "./orders.js";

/** Runs in the page: notes what its EventSource gets. */
function listen() {
  globalThis.got = [];
  const source = new EventSource("/hubs/clock/events");
  for (const name of ["ShowTime", "carillon-gap"]) {
    source.addEventListener(name, event => globalThis.got.push({ name, data: event.data, id: event.lastEventId }));
  }
}

async function restart(page, orders, order) {
  await page.goto(order.url + "/healthz"); // nothing else runs there
  await page.evaluate(listen);
  await page.waitForFunction(() => globalThis.got.length >= 2);
  const [first, second] = await page.evaluate(() => globalThis.got);
  equal([first.name, second.name], ["ShowTime", "ShowTime"], "events");
  truth(!Number.isNaN(Date.parse(JSON.parse(first.data)[0])), `no time: ${first.data}`);
  const [epoch, number] = first.id.split("-");
  equal(second.id, `${epoch}-${Number(number) + 1}`, "the second id");

  await orders.ask("terminate");
  await orders.ask("start");
  await page.waitForFunction(() => globalThis.got.some(event => event.name === "carillon-gap"));
  await page.waitForFunction(before => globalThis.got.some(event => event.name === "ShowTime" && !event.id.startsWith(before)), epoch);
}

/** The server lets one connection in. */
async function limit(page, orders, order) {
  await page.goto(order.url + "/healthz");
  await page.evaluate(() => new Promise((resolve, reject) => {
    const first = new EventSource("/hubs/clock/events");
    first.onerror = () => reject(new Error("the first fails"));
    first.addEventListener("ShowTime", () => {
      const second = new EventSource("/hubs/clock/events");
      second.onerror = () => first.close();
      second.addEventListener("ShowTime", resolve);
    }, { once: true });
  }));
}

const scenarios = { restart, limit };
const orders = new Orders();
const browser = await openBrowser();

await orders.serve(Object.keys(scenarios).map(name => ({ name })), async order => {
  const page = await browser.newPage();
  try {
    await scenarios[order.scenario](page, orders, order);
    return {};
  } catch (error) {
    return { error: String(error.stack || error), log: [JSON.stringify(await page.evaluate(() => globalThis.got))] };
  } finally {
    await page.close();
  }
});
await browser.close();
