// Accessibility of a page, judged by axe-core.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const axe = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");

/** Returns what axe-core finds in a page, as texts. */
export async function violations(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run());
  return found.violations.map(v => `${v.id}: ${v.help}: ${v.nodes.map(n => n.html).join(" ")}`);
}
