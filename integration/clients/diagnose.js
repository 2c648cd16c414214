// The page {hub}/diagnose in headless Chromium, directly and behind boxes.

import { equal, truth } from "./check.js";
import { openBrowser } from "./browser.js";
import { Orders } from "./orders.js";

const stripped = "upgrade-stripped WebSockets";

// By box: the verdict, the best transport, the findings, and a line of the advice.
const expected = {
  direct: { verdict: "well", best: "WebSockets", findings: [] },
  N1: { verdict: "fallback", best: "ServerSentEvents", findings: [stripped], line: "proxy_set_header Upgrade $http_upgrade;" },
  N10: { verdict: "fallback", best: "LongPolling", findings: [stripped, "buffered ServerSentEvents"], line: "proxy_buffering off;" },
  401: { verdict: "nothing", best: undefined, findings: ["unauthorized "], rows: 0 },
  "B-swallow": { verdict: "fallback", best: "ServerSentEvents", findings: ["upgrade-swallowed WebSockets"] },
};

async function diagnose(page, url) {
  await page.goto(url + "/hubs/clock/diagnose");
  await page.locator("#idle").fill("1");
  await page.locator("button", { hasText: "Start" }).click();
  await page.locator("#status", { hasText: /^(done|the diagnosis failed)/ }).waitFor();
  equal(await page.locator("#status").textContent(), "done", "status");
  return JSON.parse(await page.locator("#json").textContent());
}

async function check(page, order) {
  const want = expected[order.scenario];
  let report = await diagnose(page, order.url);
  if (order.scenario === "direct") { // the examination itself is no evidence against WebSockets
    report = await diagnose(page, order.url);
    equal(report.negotiate.reason, undefined, "reason");
  }
  equal(report.findings.map(f => `${f.code} ${f.transport}`), want.findings, "findings");
  equal([report.verdict, report.best], [want.verdict, want.best], "verdict and best");
  equal(await page.locator("tbody tr").count(), want.rows ?? 3, "rows");
  if (want.line) {
    truth((await page.locator("#advice pre").allTextContents()).join("\n").includes(want.line), `no advice ${want.line}`);
  }
  for (const t of report.transports.filter(t => t.works)) {
    truth(t.firstEventMillis >= t.connectMillis && t.delayMillis >= 0 && t.idleSeconds >= 1, JSON.stringify(t));
  }
}

const orders = new Orders();
const browser = await openBrowser();

await orders.serve(Object.keys(expected).map(name => ({ name })), async order => {
  const page = await browser.newPage();
  const log = [];
  page.on("pageerror", error => log.push(`uncaught: ${error}`));
  page.on("console", message => {
    if (message.text().includes("Content Security Policy")) {
      log.push(message.text());
    }
  });
  try {
    await check(page, order);
    equal(log, [], "what the policy refused, and errors");
    return {};
  } catch (error) {
    return { error: String(error.stack || error), log: [...log, await page.locator("body").innerText()] };
  } finally {
    await page.close();
  }
});
await browser.close();
