// Runs the scenario that an order names: {scenario, url, transport, protocol}. Shared by both runners.

import { Session } from "./session.js";
import { scenarios } from "./scenarios/index.js";

// Far beyond what any scenario needs; a hang has to end in a message that says where the client stood.
const limit = 300_000;
const tail = 60;

/** What the Go test may order. */
export function list() {
  return scenarios.map(({ run, ...rest }) => rest);
}

/** Resolves to {} or {error, log}. */
export async function run(env, order) {
  const session = new Session(env, order);
  try {
    await within(limit, scenarios.find(s => s.name === order.scenario).run(session));
    await within(limit, session.end());
    return {};
  } catch (error) {
    await within(limit, session.end()).catch(() => {});
    return { error: String(error.stack || error), log: session.log.slice(-tail) };
  }
}

async function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
