// The backend of a chat: it answers the webhooks of the gateway, and publishes by HTTP.
"use strict";
const { createHmac, timingSafeEqual } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { createServer } = require("node:http");

const [accessKey, apiKey] = ["access.key", "api.key"].map((name) => readFileSync(name, "utf8").trim());
const types = { html: "text/html", js: "text/javascript", css: "text/css" };
const files = new Map(["index.html", "page.js", "style.css", "signalr.min.js"].map((name) =>
  [name, { type: types[name.split(".").pop()], content: readFileSync(`web/${name}`) }]));

function isGenuine(headers, body) {
  const sent = Number(headers["webhook-timestamp"]);
  if (!(Math.abs(Date.now() / 1000 - sent) < 300)) return false;
  const prefix = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`;
  const wanted = Buffer.from("v1," + createHmac("sha256", accessKey).update(prefix).update(body).digest("base64"));
  return (headers["webhook-signature"] ?? "").split(" ").map((text) => Buffer.from(text))
    .some((found) => found.length === wanted.length && timingSafeEqual(found, wanted));
}

async function publish(method, path, ...values) {
  const answer = await fetch(`http://127.0.0.1:8080/api/hubs/chat${path}?api-version=2024-12-01`, {
    method,
    headers: { "X-Api-Key": apiKey, "Content-Type": "application/json" },
    body: values.length ? JSON.stringify({ target: "said", arguments: values }) : undefined,
    signal: AbortSignal.timeout(5_000),
  });
  if (!answer.ok) throw new Error(`publishing: ${answer.status} ${await answer.text()}`);
}

// No room: everybody.
const group = (room) => room && `/groups/room-${encodeURIComponent(room)}`;

// handle returns the status and the body of the answer.
async function handle(path, headers, event) {
  if (path === "/connect") {
    const name = event.query.name?.[0];
    return name ? [200, { userId: name.slice(0, 40) }] : [401];
  }
  const name = decodeURIComponent(headers["x-asrs-user-id"]);
  if (path === "/connections") {
    await publish("POST", "/:send", "", "", name + (event.type === 10 ? " has come" : " has left"));
    return [204];
  }
  const [room, text] = event.arguments;
  if (event.target === "join" && room && typeof room === "string") {
    await publish("PUT", `${group(room)}/connections/${headers["x-asrs-connection-id"]}`);
  } else if (event.target === "say" && typeof room === "string" && typeof text === "string") {
    await publish("POST", `${group(room)}/:send`, room, name, text);
  } else {
    return [400];
  }
  return [204];
}

async function read(request) {
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length > 100_000) throw new Error("the request is too long");
    parts.push(part);
  }
  return Buffer.concat(parts);
}

createServer(async (request, response) => {
  const answer = (status, content, type = "application/json") =>
    response.writeHead(status, { "Content-Type": type }).end(content);
  try {
    const body = await read(request);
    const file = files.get(request.url.slice(1) || "index.html");
    if (request.method === "GET") return file ? answer(200, file.content, file.type) : answer(404);
    if (!isGenuine(request.headers, body)) return answer(401);
    const [status, value] = await handle(request.url, request.headers, JSON.parse(body));
    answer(status, value && JSON.stringify(value));
  } catch (error) {
    console.error(error);
    answer(500);
  }
}).listen(9000, "127.0.0.1", () => console.log("the chat is at http://localhost:9000/"));
