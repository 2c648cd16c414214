// The chats of examples/chat-python and examples/chat-node in headless Chromium, over each transport.

import { violations } from "./axe.js";
import { equal } from "./check.js";
import { openBrowser } from "./browser.js";
import { Orders } from "./orders.js";

const scenarios = [
  {
    name: "people talk in a room and to all",
    async run(open) {
      const ann = await enter(await open(), "Änn", "den/1?");
      const ben = await enter(await open(), "Ben", "den/1?");
      const cleo = await enter(await open(), "Cleo", "..");
      await line(ann, "", "Cleo has come");
      await say(ann, "To the room", "<b>hello</b>");
      for (const page of [ann, ben]) {
        await line(page, "Änn (den/1?)", "<b>hello</b>");
      }
      await say(cleo, "To the room", "anybody?");
      await line(cleo, "Cleo (..)", "anybody?");
      await say(ben, "To all", "good bye");
      for (const page of [ann, ben, cleo]) {
        await line(page, "Ben", "good bye");
      }
      equal(await cleo.locator("#messages li", { hasText: "hello" }).count(), 0, "messages of another room");
      equal(await ann.locator("#messages li", { hasText: "anybody" }).count(), 0, "messages of another room");
      await ben.close();
      await line(ann, "", "Ben has left");
    },
  },
  {
    name: "the gateway and the backend go and come back",
    once: true,
    noisy: true, // the browser reports each failed request
    async run(open, ask) {
      const page = await enter(await open(), "Ann", "den");
      await ask("terminate");
      await page.locator("#status", { hasText: "The connection is lost" }).waitFor(patience);
      await ask("start");
      await page.waitForFunction(() => document.querySelector("#status").textContent === "", null, patience);
      await say(page, "To the room", "after");
      await line(page, "Ann (den)", "after");
    },
  },
];

const patience = { timeout: 60_000 };

/** Joins a room. */
async function enter(page, name, room) {
  await page.locator("#name").fill(name);
  await page.locator("#room").fill(room);
  await page.locator("#entrance button").click();
  await page.locator("#composer").waitFor(patience);
  return page;
}

async function say(page, to, text) {
  await page.locator("#text").fill(text);
  await page.locator("#composer button", { hasText: to }).click();
}

async function line(page, author, text) {
  await page.locator("#messages li", { hasText: author + text }).first().waitFor(patience);
}

/** Leaves a page the transport, as a browser or a network would that lacks the better ones. */
function restrict(transport) {
  if (transport !== "WebSockets") {
    delete globalThis.WebSocket;
  }
  if (transport === "LongPolling") {
    delete globalThis.EventSource;
  }
}

/** The transports that a page uses, from now on. */
function watch(page) {
  const used = new Set();
  page.on("websocket", () => used.add("WebSockets"));
  page.on("request", request => {
    if (request.resourceType() === "eventsource") {
      used.add("ServerSentEvents");
    } else if (request.method() === "GET" && new URL(request.url()).searchParams.has("id")) {
      used.add("LongPolling");
    }
  });
  return used;
}

const orders = new Orders();
const browser = await openBrowser();

await orders.serve(scenarios.map(({ name, once }) => ({ name, once })), async ({ scenario, url, transport }) => {
  const { run, noisy } = scenarios.find(s => s.name === scenario);
  const contexts = [];
  const used = [];
  const log = [];
  const open = async () => { // each person has a browser, and so a cookie, of their own
    const context = await browser.newContext();
    contexts.push(context);
    context.on("weberror", error => log.push(`uncaught: ${error.error()}`));
    context.on("console", message => {
      if (["error", "warning"].includes(message.type())) {
        log.push(message.text());
      }
    });
    await context.addInitScript(restrict, transport);
    const page = await context.newPage();
    used.push(watch(page));
    await page.goto(url);
    return page;
  };
  const pages = () => contexts.flatMap(context => context.pages());
  try {
    await run(open, what => orders.ask(what));
    equal(noisy ? [] : log, [], "errors and warnings of the pages");
    equal(used.map(set => [...set]), used.map(() => [transport]), "transports of the pages");
    for (const page of pages()) {
      equal(await violations(page), [], "violations of accessibility");
    }
    return {};
  } catch (error) {
    const texts = await Promise.all(pages().map(page => page.locator("body").innerText().catch(String)));
    return { error: String(error.stack || error), log: [...log, ...texts] };
  } finally {
    await Promise.all(contexts.map(context => context.close()));
  }
});
await browser.close();
