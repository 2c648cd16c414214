// Runs a compiled check in a page of the server, in headless Chromium: node runners/chromium.js MODULE ORIGIN

import { openBrowser } from "../../clients/browser.js";

const [module, origin] = process.argv.slice(2);
const browser = await openBrowser();
try {
  const page = await browser.newPage();
  await page.goto(`${origin}/page.html`);
  await page.evaluate(async ([module, origin]) => (await import(`/node_modules/.contract/${module}`)).default(origin), [module, origin]);
} finally {
  await browser.close();
}
