// Tokens for a server that verifies them with the secret of the test.

import { createHmac } from "node:crypto";

const encode = value => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Returns a signed token that expires at a time in seconds. */
function tokenUntil(exp) {
  const content = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ sub: "ada", exp })}`;
  return `${content}.${createHmac("sha256", process.env.SECRET).update(content).digest("base64url")}`;
}

export const expired = tokenUntil(1000);
export const valid = tokenUntil(Math.floor(Date.now() / 1000) + 3600);
