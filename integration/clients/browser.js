// Headless Chromium of the system.

import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

// Without a sandbox, because containers have none to give; without the services that would phone home.
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

export function openBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM, headless: true, args: flags });
}

const folder = new URL(".", import.meta.url);

/**
 * Loads a module of this folder into a page of the server at `origin`, as if that server had the folder at /clients/. So the
 * scenarios are of the server's own origin and need no permission to talk to it. The document is one that the server
 * really answered: Chromium lets only documents from the loopback network talk to the loopback network.
 */
export async function openOwnPage(page, origin, document, module) {
  await page.route(`${origin}/clients/**`, route => {
    const path = new URL(route.request().url()).pathname.slice("/clients/".length);
    return route.fulfill({ path: fileURLToPath(new URL(path, folder)) });
  });
  await page.goto(origin + document);
  await page.addScriptTag({ type: "module", url: `${origin}/clients/${module}` });
}
