// The official client in headless Chromium behind the boxes: each start is a page load of its own. A cell names a network,
// whose connections, cookies and proxy (`proxy`) its page loads share. Its page is of the origin `page`, or of the hub's own.

import { openBrowser, openOwnPage } from "./browser.js";
import { Orders } from "./orders.js";

const orders = new Orders();
const browser = await openBrowser();
const networks = new Map();

function network({ name, proxy }) {
  if (!networks.has(name)) {
    // The boxes' authority is not the system's.
    networks.set(name, browser.newContext({ ignoreHTTPSErrors: true, proxy: proxy ? { server: proxy } : undefined }));
  }
  return networks.get(name);
}

async function load(cell) {
  const context = await network(cell);
  const page = await context.newPage();
  try {
    await openOwnPage(page, cell.page ?? new URL(cell.visit.url).origin, "/healthz", "reach-page.js");
    await page.waitForFunction(() => globalThis.reach);
    return await page.evaluate(visit => globalThis.reach(visit), cell.visit);
  } catch (error) {
    return { delays: [], error: String(error) };
  } finally {
    await page.close();
  }
}

await orders.serve([], async ({ cells }) => ({ cells: await Promise.all(cells.map(load)) }));
await browser.close();
