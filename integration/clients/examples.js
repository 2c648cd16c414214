// The pages of the examples in headless Chromium.

import { violations } from "./axe.js";
import { equal, truth } from "./check.js";
import { openBrowser } from "./browser.js";
import { Orders } from "./orders.js";

const scenarios = [
  {
    name: "people talk in a room",
    example: "chat",
    async run(open) {
      const ann = await enter(await open(), "Ann", "den");
      await say(ann, "<b>hello</b>");
      const ben = await enter(await open(), "Ben", "den");
      await line(ben, "Ann", "<b>hello</b>"); // it was said before
      await say(ben, "hi");
      for (const page of [ann, ben]) {
        await line(page, "Ben", "hi");
        await present(page, "Ann, Ben");
      }
      const other = await enter(await open(), "Cleo", "hall");
      equal(await other.locator("#messages li").count(), 0, "messages of another room");
      await ben.close();
      await present(ann, "Ann");
    },
  },
  {
    name: "the bot answers",
    example: "chat",
    async run(open) {
      const page = await enter(await open(), "Ann", "lobby");
      await present(page, "Ann, bot");
      await say(page, "/roll");
      await page.locator("#messages li", { hasText: /^botAnn rolls a [1-6]\.$/ }).waitFor();
    },
  },
  {
    name: "the page shows a refusal",
    example: "chat",
    async run(open) {
      const page = await enter(await open(), "Ann", "lobby");
      await page.locator("#text").fill("語".repeat(500));
      await page.locator("#composer button").click();
      await page.locator("#status", { hasText: /^a message has 1 to 1000 bytes$/ }).waitFor();
    },
  },
  {
    name: "the chat goes and comes back",
    example: "chat",
    noisy: true, // the browser reports each failed request
    async run(open, ask) {
      const page = await enter(await open(), "Ann", "lobby");
      await say(page, "before");
      await line(page, "Ann", "before");
      await ask("terminate");
      await page.locator("#status", { hasText: "The connection is lost" }).waitFor();
      await ask("start");
      await page.waitForFunction(() => document.querySelector("#messages").childElementCount === 0);
      await present(page, "Ann, bot"); // both have come back
      await say(page, "after");
      await line(page, "Ann", "after");
    },
  },
  {
    name: "charts grow, also after a break",
    example: "dashboard",
    noisy: true,
    async run(open, ask) {
      const page = await open();
      await page.locator("#status", { hasText: "Live" }).waitFor();
      await page.waitForFunction(() => document.querySelector("polyline").getAttribute("points")?.split(" ").length >= 5);
      truth(/^\d+\.\d MiB$/.test(await page.locator("output").last().textContent()), "no heap");
      await (await open()).locator("output", { hasText: /^2$/ }).waitFor();
      await page.locator("output", { hasText: /^2$/ }).waitFor();
      await ask("terminate");
      await page.locator("#status", { hasText: "The connection is lost" }).waitFor();
      const before = await page.locator("polyline").first().getAttribute("points");
      await ask("start");
      await page.locator("#status", { hasText: "Live" }).waitFor();
      await page.waitForFunction(old => document.querySelector("polyline").getAttribute("points") !== old, before);
    },
  },
];

/** Joins a room. */
async function enter(page, name, room) {
  await page.locator("#name").fill(name);
  await page.locator("#room").fill(room);
  await page.locator("#entrance button").click();
  await page.locator("#composer").waitFor();
  return page;
}

async function say(page, text) {
  await page.locator("#text").fill(text);
  await page.locator("#composer button").click();
}

async function line(page, author, text) {
  await page.locator("#messages li", { hasText: author + text }).waitFor();
}

async function present(page, names) {
  await page.waitForFunction(want => document.querySelector("#people").textContent === want, names);
}

const orders = new Orders();
const browser = await openBrowser();

await orders.serve(scenarios.map(({ name, example }) => ({ name, example })), async order => {
  const { run, noisy } = scenarios.find(s => s.name === order.scenario);
  const context = await browser.newContext();
  const log = [];
  context.on("weberror", error => log.push(`uncaught: ${error.error()}`));
  context.on("console", message => {
    if (["error", "warning"].includes(message.type())) {
      log.push(message.text());
    }
  });
  const open = async () => {
    const page = await context.newPage();
    await page.goto(order.url);
    return page;
  };
  try {
    await run(open, what => orders.ask(what));
    equal(noisy ? [] : log, [], "errors and warnings of the pages");
    for (const page of context.pages()) {
      equal(await violations(page), [], "violations of accessibility");
    }
    return {};
  } catch (error) {
    const texts = await Promise.all(context.pages().map(page => page.locator("body").innerText().catch(String)));
    return { error: String(error.stack || error), log: [...log, ...texts] };
  } finally {
    await context.close();
  }
});
await browser.close();
