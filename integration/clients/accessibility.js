// The pages of the gateway in headless Chromium, in each of their states, judged by axe-core: light and dark, on a
// phone and on a desk.

import { violations } from "./axe.js";
import { equal } from "./check.js";
import { openBrowser } from "./browser.js";
import { Orders } from "./orders.js";
import { expired } from "./token.js";

const diagnosis = "/hubs/clock/diagnose";

const panels = (page, state, count = 3) =>
  page.waitForFunction(([s, n]) => document.querySelectorAll(`.panel[data-state="${s}"]`).length === n, [state, count]);

async function diagnose(page, token = "", idle = "0") {
  await page.locator("#idle").fill(idle);
  await page.locator("#token").fill(token);
  await page.locator("button", { hasText: "Start" }).click();
}

async function diagnosed(page, token) {
  await diagnose(page, token);
  await page.locator("#copy").click();
  await page.locator("#copied:not(:empty)").waitFor();
  await page.locator("details").evaluateAll(all => all.forEach(details => { details.open = true; }));
}

/** Answers negotiations in place of the server, and loads the page again. */
async function negotiating(page, answer) {
  await page.route(/[/]negotiate/, answer);
  await page.reload();
}

async function withoutWebSockets(route) {
  const response = await route.fetch();
  const offer = await response.json();
  offer.availableTransports = offer.availableTransports.filter(t => t.transport !== "WebSockets");
  await route.fulfill({ response, json: offer });
}

// By state: the path of the page, and how it gets there. The states whose name ends in "token" are of a server that
// asks for one.
const states = {
  "home, connected": ["/", page => panels(page, "connected")],
  "home, disconnected": ["/", page => negotiating(page, route => route.fulfill({ status: 503 })).then(() => panels(page, "disconnected"))],
  "home, refused": ["/", page => negotiating(page, withoutWebSockets).then(() => panels(page, "refused", 1))],
  "home, without a token": ["/", page => panels(page, "unauthorized")],
  "home, with an expired token": ["/", async page => {
    await page.locator("#token").fill(expired);
    await page.locator("button", { hasText: "Connect" }).click();
    await page.locator("#access-reason", { hasText: "not accept" }).waitFor();
  }],
  "diagnosis, at the beginning": [diagnosis, () => {}],
  "diagnosis, running": [diagnosis, async page => {
    await diagnose(page, "", "120");
    await page.locator("#status", { hasText: "idle" }).waitFor();
  }],
  "diagnosis, connected": [diagnosis, page => diagnosed(page)],
  "diagnosis, restricted": [diagnosis, async page => {
    await page.route(/clock[?]id=/, route => route.request().method() === "POST" ? route.continue() : route.fulfill({ status: 502, headers: { Server: "nginx" } }));
    await diagnosed(page);
  }],
  "diagnosis, not offered": [diagnosis, async page => {
    await page.routeWebSocket(/clock/, socket => socket.close());
    await page.route(/[/]negotiate/, withoutWebSockets);
    await diagnosed(page);
  }],
  "diagnosis, disconnected": [diagnosis, async page => {
    await page.route(/[/]negotiate/, route => route.abort());
    await diagnosed(page);
  }],
  "diagnosis, without a token": [diagnosis, page => diagnosed(page)],
  "diagnosis, with an expired token": [diagnosis, page => diagnosed(page, expired)],
};

/** Brings a page into a state and returns its faults. */
async function faults(browser, order, options) {
  const context = await browser.newContext({ ...options, reducedMotion: "reduce", permissions: ["clipboard-write"] });
  try {
    const page = await context.newPage();
    const [path, enter] = states[order.scenario];
    await page.goto(order.url + path);
    await enter(page);
    const found = await violations(page);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    const wide = width > options.viewport.width ? [`the page is ${width} pixels wide`] : [];
    if (process.env.SCREENSHOTS) {
      await page.screenshot({ path: `${process.env.SCREENSHOTS}/${order.scenario}, ${options.colorScheme}, ${options.viewport.width}.png`, fullPage: true });
    }
    return [...found, ...wide];
  } finally {
    await context.close();
  }
}

const orders = new Orders();
const browser = await openBrowser();

await orders.serve(Object.keys(states).map(name => ({ name })), async order => {
  try {
    for (const colorScheme of ["light", "dark"]) {
      for (const width of [390, 1280]) {
        equal(await faults(browser, order, { colorScheme, viewport: { width, height: 844 } }), [], `${colorScheme}, ${width} pixels`);
      }
    }
    return {};
  } catch (error) {
    return { error: String(error.stack || error) };
  }
});
await browser.close();
