// The page {hub}/diagnose in headless Chromium, directly and behind boxes.

import { equal, truth } from "./check.js";
import { openBrowser } from "./browser.js";
import { Orders } from "./orders.js";
import { expired, valid } from "./token.js";

const stripped = "upgrade-stripped WebSockets";
const works = ["Works", "Works", "Works"];
const quoted = "a+token/that=is-quoted";

// By server or box: the verdict, the best transport, the findings, the states of the cards, the beginning of the
// headline, and a line of the advice.
const expected = {
  direct: { verdict: "well", best: "WebSockets", findings: [], states: works, headline: "Everything works. Clients use WebSockets." },
  "not offered": { verdict: "well", best: "ServerSentEvents", findings: [], states: ["Not offered", "Works", "Works"], headline: "Everything that the server offers works. Clients use Server-sent events." },
  N1: {
    verdict: "fallback", best: "ServerSentEvents", findings: [stripped], states: ["Does not work", "Works", "Works"],
    headline: "Clients connect, with restrictions. One problem was found, see below. Clients use Server-sent events.", line: "proxy_set_header Upgrade $http_upgrade;",
  },
  N10: {
    verdict: "fallback", best: "LongPolling", findings: [stripped, "buffered ServerSentEvents"], states: ["Does not work", "Buffered", "Works"],
    headline: "Clients connect, with restrictions. 2 problems", line: "proxy_buffering off;",
  },
  401: { verdict: "nothing", best: undefined, findings: ["unauthorized "], states: [], headline: "The hub asks for an access token." },
  "B-swallow": { verdict: "fallback", best: "ServerSentEvents", findings: ["upgrade-swallowed WebSockets"], states: ["Does not work", "Works", "Works"], headline: "Clients connect" },
  "B-idle": {
    // Chromium sends a poll again that is cut on a connection which it has used before.
    idle: 12, unsure: "LongPolling", verdict: "fallback", findings: ["idle-cut WebSockets", "idle-cut ServerSentEvents"], states: ["Idle timeout", "Idle timeout"],
    headline: "Clients connect, with restrictions.",
  },
  "no token": { verdict: "nothing", best: undefined, findings: ["unauthorized "], states: [], headline: "The hub asks for an access token. Enter one" },
  "expired token": { token: expired, verdict: "nothing", best: undefined, findings: ["token-refused "], states: [], headline: "The hub does not accept this access token. The token expired" },
  "quoted token": { token: quoted, verdict: "nothing", best: undefined, findings: ["token-refused "], states: [], headline: "The hub does not accept this access token." },
  "valid token": { token: `Bearer ${valid} `, verdict: "well", best: "WebSockets", findings: [], states: works, headline: "Everything works." },
};

async function diagnose(page, url, { token = "", idle = 1 }) {
  await page.goto(url + "/hubs/clock/diagnose");
  await page.locator("#idle").fill(String(idle));
  await page.locator("#token").fill(token);
  await page.locator("button", { hasText: "Start" }).click();
  await page.locator("#verdict strong, #status:has-text('failed')").waitFor({ timeout: 60000 });
  equal(await page.locator("#status").textContent(), "", "status");
  return JSON.parse(await page.locator("#json").textContent());
}

async function check(page, order) {
  const want = expected[order.scenario];
  let report = await diagnose(page, order.url, want);
  if (order.scenario === "direct") { // the examination itself is no evidence against WebSockets
    report = await diagnose(page, order.url, want);
    equal(report.negotiate.reason, undefined, "reason");
  }
  equal(report.findings.filter(f => f.transport !== want.unsure).map(f => `${f.code} ${f.transport}`), want.findings, "findings");
  equal([report.verdict, want.unsure ? undefined : report.best], [want.verdict, want.best], "verdict and best");
  const cards = page.locator(`#transports article:not([data-transport="${want.unsure}"])`);
  equal(await cards.locator(".state-text").allTextContents(), want.states, "states");
  const verdict = await page.getByRole("status").first().textContent();
  truth(verdict.startsWith(want.headline), `the verdict that a screen reader announces: ${verdict}`);
  if (want.line) {
    truth((await page.locator("#advice pre").allTextContents()).join("\n").includes(want.line), `no advice ${want.line}`);
  }
  for (const t of report.transports.filter(t => t.works && !t.cutAfterSeconds)) {
    truth(t.firstEventMillis >= t.connectMillis && t.delayMillis >= 0 && t.idleSeconds >= 1, JSON.stringify(t));
  }
  await checkReport(page, want);
  await checkPhone(page);
}

/** The copied report says what the page says, and has no token in it. */
async function checkReport(page, want) {
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.locator("#copy").click();
  await page.locator("#copied", { hasText: "Copied" }).waitFor();
  const report = await page.evaluate(() => navigator.clipboard.readText());
  truth(report.includes(want.headline) && report.includes("/hubs/clock"), `the report is ${report}`);
  for (const secret of [expired, valid, quoted, encodeURIComponent(quoted)]) {
    truth(!(report + await page.locator("main").textContent()).includes(secret), `a token is on the page or in the report: ${report}`);
  }
}

/** On a phone nothing is cut off. */
async function checkPhone(page) {
  await page.setViewportSize({ width: 390, height: 844 });
  await page.locator("details").evaluateAll(all => all.forEach(details => { details.open = true; }));
  const cut = await page.evaluate(() => [...document.querySelectorAll("body *")]
    .filter(e => e.getBoundingClientRect().right > 390 || (e.clientWidth > 0 && e.matches("section, article, pre, dd") && e.scrollWidth > e.clientWidth)).map(e => e.outerHTML));
  equal(cut, [], "cut off at 390 pixels");
}

/** During an examination each result is there as soon as it is known, and a countdown runs. */
async function checkProgress(page, order) {
  await page.goto(order.url + "/hubs/clock/diagnose");
  await page.locator("#idle").fill("120");
  await page.locator("button", { hasText: "Start" }).click();
  await page.locator("#status", { hasText: "idle" }).waitFor();
  equal(await page.locator("#transports .state-text").allTextContents(), works, "states");
  equal(await page.locator("#transports dd", { hasText: "watching" }).count(), 3, "transports without an idle timeout yet");
  const seconds = async () => Number.parseInt(await page.locator("#countdown").textContent(), 10);
  const first = await seconds();
  await page.waitForFunction(n => Number.parseInt(document.getElementById("countdown").textContent, 10) < n, first);
  truth(first <= 120, `${first} s left`);
  equal(await page.getByRole("status").filter({ hasText: "s left" }).count(), 0, "countdowns that a screen reader reads out");
  await checkPhone(page);
}

/** A token that no server can have sent is not sent. */
async function checkField(page, order) {
  await page.goto(order.url + "/hubs/clock/diagnose");
  let requests = 0;
  page.on("request", () => requests++);
  await page.locator("#token").fill("two words");
  await page.locator("button", { hasText: "Start" }).click();
  equal(await page.locator("#token").evaluate(field => field.validity.patternMismatch), true, "the field complains");
  equal(requests, 0, "requests");
}

const checks = { progress: checkProgress, field: checkField };

const orders = new Orders();
const browser = await openBrowser();

await orders.serve([...Object.keys(expected), ...Object.keys(checks)].map(name => ({ name })), async order => {
  const page = await browser.newPage();
  const log = [];
  page.on("pageerror", error => log.push(`uncaught: ${error}`));
  page.on("console", message => {
    if (message.text().includes("Content Security Policy")) {
      log.push(message.text());
    }
  });
  try {
    await (checks[order.scenario] || check)(page, order);
    equal(log, [], "what the policy refused, and errors");
    return {};
  } catch (error) {
    return { error: String(error.stack || error), log: [...log, await page.locator("body").innerText()] };
  } finally {
    await page.close();
  }
});
await browser.close();
