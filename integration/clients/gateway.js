// The gateway's own page at / in headless Chromium.

import { equal, truth } from "./check.js";
import { openBrowser } from "./browser.js";
import { Orders } from "./orders.js";
import { expired, valid } from "./token.js";

const transports = ["WebSockets", "ServerSentEvents", "LongPolling"];

const scenarios = [
  {
    name: "three panels tick",
    async run(page) {
      await ticking(page, 2);
      for (const transport of transports) {
        const panel = panelOf(page, transport);
        // In any order: a panel that is slow beside the others looks like a client that goes on without WebSockets.
        const offered = await panel.locator("[data-offered] .chip").allTextContents();
        equal(offered.sort(), [...transports].sort(), `offered to ${transport}`);
        equal(await panel.locator("[data-offered] .used").allTextContents(), [transport], `used by ${transport}`);
        const id = await panel.locator("[data-id]").textContent();
        truth(/^[\w-]{22}$/.test(id), `${id} is no connection id`);
        const time = await panel.locator("[data-time]").getAttribute("datetime");
        truth(Date.parse(time) > Date.UTC(2020), `${time} is no time of today`);
      }
    },
  },
  {
    name: "the button of each panel reaches all",
    async run(page) {
      await ticking(page, 1);
      for (const [i, transport] of transports.entries()) {
        const panel = panelOf(page, transport);
        await panel.locator("[data-send]").click();
        await panel.locator("[data-outcome]", { hasText: "answered in" }).waitFor();
        await page.waitForFunction(n => [...document.querySelectorAll(".panel")].every(p => p.querySelectorAll(".sent").length === n), i + 1);
      }
    },
  },
  {
    name: "the server goes and comes back",
    noisy: true, // the browser reports each failed request
    async run(page, ask) {
      await ticking(page, 1);
      await ask("terminate");
      await page.waitForFunction(() => ![...document.querySelectorAll(".panel")].some(p => p.dataset.state === "connected"));
      const counts = await page.locator("[data-count]").allTextContents();
      await ask("start");
      await ticking(page, Math.max(...counts) + 1);
    },
  },
  {
    name: "a transport that is not offered is not asked for until it is",
    noisy: true,
    async run(page, ask) {
      let negotiations = 0;
      await page.route(/[/]negotiate/, async route => {
        negotiations++;
        const response = await route.fetch();
        const offer = await response.json();
        offer.availableTransports = offer.availableTransports.filter(t => t.transport !== "WebSockets");
        await route.fulfill({ response, json: offer });
      });
      await page.reload();
      await page.locator('.panel[data-transport="WebSockets"][data-state="refused"]').waitFor();
      await ticking(page, 4, transports.slice(1));
      equal(negotiations, transports.length, "negotiations");
      await page.unrouteAll();
      await ask("terminate");
      await ask("start");
      await ticking(page, 1);
    },
  },
  {
    name: "a panel says why it does not connect and when it tries again",
    noisy: true,
    async run(page) {
      for (const [answer, reason] of [
        [{ status: 503 }, "The server is not available (status 503)."],
        [{ status: 403 }, "The server does not allow this page or this user (status 403)."],
        [{ status: 404 }, "There is no hub at /hubs/clock (status 404)."],
        [{ status: 421 }, "The server does not serve the name 127.0.0.1 (status 421)."],
        [{ status: 429 }, "The server has as many connections as it allows (status 429)."],
        [{ status: 500 }, "The server answers with status 500."],
        [{ status: 200, body: "<!doctype html>" }, "The answer is not the hub's: it may come from a login page or a proxy."],
        [{ status: 200, json: { error: "not today" } }, "The server refuses: not today"],
        [null, "The server does not answer."],
      ]) {
        await page.unrouteAll();
        await page.route(/[/]negotiate/, route => answer ? route.fulfill(answer) : route.abort());
        await page.reload();
        for (const transport of transports) {
          const trouble = panelOf(page, transport).locator("[data-trouble]");
          await trouble.filter({ hasText: reason }).filter({ hasText: /Tries again (in \d+ s|now)[.]/ }).waitFor();
        }
        await page.getByRole("status").filter({ hasText: `Not connected. ${reason}` }).waitFor();
      }
      await page.locator("[data-retry]", { hasText: "in 5 s" }).first().waitFor();
      await page.locator("[data-retry]", { hasText: "in 3 s" }).first().waitFor();
      equal(await page.locator("main a:visible").first().getAttribute("href"), "/hubs/clock/diagnose", "the link to the diagnosis");
      await page.unrouteAll();
      await ticking(page, 1);
      equal(await page.locator("[data-trouble]:visible").count(), 0, "troubles of connected panels");
    },
  },
  {
    name: "a transport that does not get through",
    noisy: true,
    async run(page) {
      await page.routeWebSocket(/clock/, socket => socket.close());
      await page.reload();
      await panelOf(page, "WebSockets").locator("[data-trouble]", { hasText: "The server answers, but no connection over WebSockets opens." }).waitFor();
    },
  },
  {
    name: "the page asks for an access token",
    noisy: true,
    async run(page) {
      const negotiations = [];
      page.on("request", request => request.url().includes("/negotiate") && negotiations.push(request.url()));
      const reason = page.locator("#access-reason");
      await reason.filter({ hasText: "The server asks for an access token." }).waitFor();
      await page.waitForFunction(() => document.querySelectorAll('.panel[data-state="unauthorized"]').length === 3);
      await page.locator("#token").fill("two words");
      await page.locator("#access button").click();
      equal(await page.locator("#token").evaluate(field => field.validity.patternMismatch), true, "the field complains");
      await page.locator("#token").fill(expired);
      await page.locator("#access button").click();
      await reason.filter({ hasText: "The server does not accept this access token: The token expired." }).waitFor();
      await page.waitForFunction(() => document.querySelectorAll('.panel[data-state="unauthorized"]').length === 3);
      const asked = negotiations.length;
      await page.waitForTimeout(1500); // longer than the first delays: without a token the page does not ask again
      equal(negotiations.length, asked, "negotiations");
      await page.locator("#token").fill(`Bearer ${valid}`);
      await page.locator("#access button").click();
      await ticking(page, 1);
      equal(await page.locator("#access").isVisible(), false, "the form is there");
      const kept = await page.evaluate(() => document.documentElement.outerHTML + document.getElementById("token").value + JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]));
      truth(!kept.includes(valid) && !kept.includes(expired), "the page shows or stores the token");
    },
  },
  {
    name: "a lost connection comes back only with a fresh token",
    noisy: true,
    async run(page, ask) {
      await page.locator("#token").fill(valid);
      await page.locator("#access button").click();
      await ticking(page, 1);
      await page.route(/[/]negotiate/, route => route.continue({ headers: { ...route.request().headers(), authorization: `Bearer ${expired}` } }));
      await ask("terminate");
      await ask("start");
      await page.locator("#access-reason", { hasText: "The server does not accept this access token: The token expired." }).waitFor();
      await page.waitForFunction(() => document.querySelectorAll('.panel[data-state="unauthorized"]').length === 3);
      await page.unrouteAll();
      await page.locator("#token").fill(valid);
      await page.locator("#access button").click();
      await ticking(page, 1);
    },
  },
  {
    name: "a narrow screen",
    async run(page) {
      await page.setViewportSize({ width: 360, height: 740 });
      await ticking(page, 1);
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      truth(width <= 360, `the page is ${width} pixels wide`);
      for (const transport of transports) {
        const box = await panelOf(page, transport).boundingBox();
        truth(box.width > 250, `the panel of ${transport} is ${box.width} pixels wide`);
      }
    },
  },
];

const panelOf = (page, transport) => page.locator(`.panel[data-transport="${transport}"]`);

/** Waits until each panel of some transports is connected and has shown at least n ticks. */
async function ticking(page, n, of = transports) {
  for (const transport of of) {
    await page.waitForFunction(([name, least]) => {
      const panel = document.querySelector(`.panel[data-transport="${name}"]`);
      return panel?.dataset.state === "connected" && Number(panel.querySelector("[data-count]").textContent) >= least;
    }, [transport, n]);
  }
}

const orders = new Orders();
const browser = await openBrowser();

await orders.serve(scenarios.map(({ name }) => ({ name })), async order => {
  const { run, noisy } = scenarios.find(s => s.name === order.scenario);
  const page = await browser.newPage();
  const log = [];
  page.on("pageerror", error => log.push(`uncaught: ${error}`));
  page.on("console", message => {
    if (["error", "warning"].includes(message.type())) {
      log.push(message.text());
    }
  });
  try {
    await page.goto(order.url);
    await run(page, what => orders.ask(what));
    equal(noisy ? [] : log, [], "errors and warnings of the page");
    return {};
  } catch (error) {
    const panels = await page.locator("main").innerText().catch(() => "no panels");
    return { error: String(error.stack || error), log: [...log, panels] };
  } finally {
    await page.close();
  }
});
await browser.close();
