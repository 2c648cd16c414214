// The line protocol with the Go test, over standard input and output, one JSON object a line:
//   runner: {"scenarios": [...]}                       once, when it is ready
//   test:   {"scenario", "url", "transport", "protocol"}
//   runner: {"ask": "terminate"}  test: {"error"?}     as often as the scenario needs
//   runner: {"done": true, "error"?, "log"?}

import { createInterface } from "node:readline";

export class Orders {
  constructor() {
    this.lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  }

  say(message) {
    process.stdout.write(JSON.stringify(message) + "\n");
  }

  /** The next line of the test; undefined when there are no more. */
  async next() {
    const { value, done } = await this.lines.next();
    return done ? undefined : JSON.parse(value);
  }

  async ask(what) {
    this.say({ ask: what });
    const { error } = await this.next();
    if (error) {
      throw new Error(`${what}: ${error}`);
    }
  }

  async serve(scenarios, run) {
    this.say({ scenarios });
    for (let order = await this.next(); order; order = await this.next()) {
      this.say({ done: true, ...(await run(order)) });
    }
  }
}
