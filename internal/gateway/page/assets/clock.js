// The clock in three panels: the same hub, each time over another transport.

const signalR = globalThis.signalR;
const hubPath = document.body.dataset.hub;
const summary = document.getElementById("summary");

const shownSpan = 30_000; // milliseconds on the strip of ticks
const beatWidth = 3;
const retryDelays = [0, 1_000, 2_000, 5_000, 10_000]; // the last one goes on for ever
const patience = 10_000; // milliseconds for the answer to a negotiation

const transports = [
  { key: "WebSockets", name: "WebSockets" },
  { key: "ServerSentEvents", name: "Server-sent events" },
  { key: "LongPolling", name: "Long polling" },
];

const stateTexts = {
  connecting: "Connecting",
  connected: "Connected",
  reconnecting: "Reconnecting",
  disconnected: "Disconnected",
  refused: "Not offered",
  unauthorized: "No access",
};

const access = document.getElementById("access");
const accessReason = document.getElementById("access-reason");
const tokenField = document.getElementById("token");

let token = ""; // the access token, in memory only

// What this page sent itself, to tell those ticks from the worker's: the time on
// the wire is all that a ShowTime carries.
const sentTimes = new Set();

const retryDelay = (attempt) => retryDelays[Math.min(attempt, retryDelays.length - 1)];

// Returns why a server refuses to negotiate, as a sentence.
function refusalText(status, challenge) {
  const detail = /error_description="([^"]*)"/.exec(challenge)?.[1];
  switch (status) {
    case 401:
      return token ? `The server does not accept this access token${detail ? `: ${detail}` : ""}.` : "The server asks for an access token.";
    case 403:
      return "The server does not allow this page or this user (status 403).";
    case 404:
    case 405:
      return `There is no hub at ${hubPath} (status ${status}).`;
    case 421:
      return `The server does not serve the name ${location.hostname} (status 421).`;
    case 429:
      return "The server has as many connections as it allows (status 429).";
    case 502:
    case 503:
    case 504:
      return `The server is not available (status ${status}).`;
    default:
      return `The server answers with status ${status}.`;
  }
}

// Negotiates by itself, because the client's own HttpClient does not return the headers that say why a server
// refuses; passes every other request on. The connection token is not handed over: nothing on the page may show it.
class WatchingHttpClient extends signalR.HttpClient {
  constructor(panel) {
    super();
    this.inner = new signalR.DefaultHttpClient(signalR.NullLogger.instance);
    this.panel = panel;
  }

  async send(request) {
    if (!new URL(request.url, location.href).pathname.endsWith("/negotiate")) {
      return this.inner.send(request);
    }
    this.panel.problem = { text: navigator.onLine ? "The server does not answer." : "This device is offline." };
    const { method, headers, content: body } = request;
    const response = await fetch(request.url, { method, headers, body, cache: "no-store", signal: AbortSignal.timeout(patience) });
    const text = await response.text();
    if (!response.ok) {
      this.panel.problem = { status: response.status, text: refusalText(response.status, response.headers.get("WWW-Authenticate")) };
      throw new signalR.HttpError(response.statusText, response.status);
    }
    this.panel.problem = { text: "The answer is not the hub's: it may come from a login page or a proxy." };
    const { connectionId, availableTransports = [], error } = JSON.parse(text);
    this.panel.problem = error ? { text: `The server refuses: ${error}` } : null;
    this.panel.showAnswer({
      connectionId,
      offered: availableTransports.map((t) => t.transport),
      choice: response.headers.get("Carillon-Transport-Reason"),
    });
    return new signalR.HttpResponse(response.status, response.statusText, text);
  }

  getCookieString(url) {
    return this.inner.getCookieString(url);
  }
}

class Panel {
  constructor(transport) {
    this.transport = transport;
    this.ticks = [];
    this.count = 0;
    this.offered = [];
    this.attempt = 0;
    this.stopped = false;
    this.problem = null; // why the last negotiation failed

    const fragment = document.getElementById("panel").content.cloneNode(true);
    this.root = fragment.querySelector(".panel");
    this.root.dataset.transport = transport.key;
    this.find("[data-name]").textContent = transport.name;
    this.find("[data-send]").addEventListener("click", () => this.sendTime());
    document.getElementById("panels").append(fragment);

    this.connection = new signalR.HubConnectionBuilder()
      .withUrl(hubPath, {
        transport: signalR.HttpTransportType[transport.key],
        WebSocket: globalThis.CarillonWebSocket,
        httpClient: new WatchingHttpClient(this),
        accessTokenFactory: () => token,
      })
      .withAutomaticReconnect({ nextRetryDelayInMilliseconds: (retry) => this.nextRetry(retry) })
      .configureLogging(signalR.LogLevel.None)
      .build();
    this.connection.on("ShowTime", (time) => this.showTick(new Date(time)));
    this.connection.onreconnecting(() => this.setState("reconnecting"));
    this.connection.onreconnected((id) => this.connected(id));
    this.connection.onclose(() => this.lost("The server closed the connection."));
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  async start() {
    this.stopped = false;
    clearTimeout(this.timer);
    this.setState("connecting");
    try {
      await this.connection.start();
      this.connected(this.connection.connectionId);
    } catch {
      this.lost(this.notOpened());
    }
  }

  async stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.connection.stop();
  }

  connected(id) {
    this.attempt = 0;
    this.showId(id);
    this.showTrouble(null);
    this.setState("connected");
  }

  // The client gives up where the server refused a connection or ended it for
  // good; the page keeps asking, so that it comes back with the server. It does
  // not ask for what is not offered: the others learn when that changes. Nor does
  // it ask without a token where one is needed.
  lost(reason) {
    const state = this.isUnauthorized() ? "unauthorized" : this.isRefused() ? "refused" : "disconnected";
    if (this.stopped || state !== "disconnected") {
      this.showTrouble(this.reason(reason), state === "refused" ? "Connects when it is offered." : "");
      this.setState(state);
      return;
    }
    this.attempt += 1;
    const delay = retryDelay(this.attempt);
    this.showTrouble(this.reason(reason), "", delay);
    this.setState(state);
    this.timer = setTimeout(() => this.start(), delay);
  }

  // Returns the milliseconds until the client reconnects; null ends the attempts.
  nextRetry({ previousRetryCount, retryReason }) {
    if (previousRetryCount > 0 && (this.isUnauthorized() || this.isRefused())) {
      return null;
    }
    const delay = retryDelay(previousRetryCount);
    this.showTrouble(previousRetryCount > 0 ? this.reason(this.notOpened()) : `The connection was lost. ${retryReason.message}`, "", delay);
    return delay;
  }

  notOpened() {
    return `The server answers, but no connection over ${this.transport.name} opens.`;
  }

  // Returns why the panel is not connected, as a sentence: the fault of the last
  // negotiation, or otherwise the reason that is given.
  reason(otherwise) {
    if (this.problem) {
      return this.problem.text;
    }
    if (this.isRefused()) {
      return `The server does not offer this transport${this.choice ? ` here: ${this.choice}` : ""}.`;
    }
    return otherwise;
  }

  // Shows why the panel is not connected, and a hint or the seconds until it tries again.
  // Without a reason it hides both.
  showTrouble(reason, hint, delay) {
    this.retryAt = delay === undefined ? undefined : performance.now() + delay;
    this.find("[data-trouble]").hidden = !reason;
    this.find("[data-reason]").textContent = reason ?? "";
    this.find("[data-retry]").textContent = hint ?? "";
    this.showCountdown();
  }

  showCountdown() {
    if (this.retryAt !== undefined) {
      const seconds = Math.ceil((this.retryAt - performance.now()) / 1000);
      this.find("[data-retry]").textContent = seconds > 0 ? `Tries again in ${seconds} s.` : "Tries again now.";
    }
  }

  // Starts a panel whose transport was not offered and is now, as any panel was told.
  startIfOffered(offered) {
    if (this.root.dataset.state === "refused" && !this.stopped && offered.includes(this.transport.key)) {
      this.start();
    }
  }

  isUnauthorized() {
    return this.problem?.status === 401;
  }

  isRefused() {
    return !this.problem && this.offered.length > 0 && !this.offered.includes(this.transport.key);
  }

  setState(state) {
    this.root.dataset.state = state;
    this.root.toggleAttribute("data-busy", state === "connecting" || state === "reconnecting");
    this.find("[data-state-text]").textContent = stateTexts[state];
    this.find("[data-send]").disabled = state !== "connected";
    if (state !== "connected") {
      this.showId(null);
    }
    showAccess();
    showSummary();
  }

  showId(id) {
    this.find("[data-id]").textContent = id ?? "–";
  }

  showAnswer({ connectionId, offered, choice }) {
    this.offered = offered;
    this.choice = choice;
    this.showId(connectionId);
    this.find("[data-offered]").replaceChildren(
      ...offered.map((name) => {
        const chip = document.createElement("span");
        chip.className = name === this.transport.key ? "chip used" : "chip";
        chip.textContent = name;
        return chip;
      }),
    );
    panels.forEach((panel) => panel.startIfOffered(offered));
  }

  showTick(time) {
    const arrived = performance.now();
    const previous = this.ticks.at(-1);
    this.count += 1;
    this.ticks.push({ arrived, sent: sentTimes.has(time.getTime()) });
    this.ticks = this.ticks.filter((tick) => arrived - tick.arrived <= shownSpan);

    this.find("[data-time]").textContent = time.toLocaleTimeString("en-GB");
    this.find("[data-time]").dateTime = time.toISOString();
    this.find("[data-fraction]").textContent = `.${String(time.getMilliseconds()).padStart(3, "0")}`;
    this.find("[data-date]").textContent = time.toLocaleDateString(undefined, {
      weekday: "long",
      day: "numeric",
      month: "long",
      year: "numeric",
    });
    this.find("[data-count]").textContent = this.count.toLocaleString();
    if (previous) {
      this.find("[data-interval]").textContent = `${Math.round(arrived - previous.arrived).toLocaleString()} ms`;
    }
    this.drawBeats(arrived);
  }

  drawBeats(now) {
    const strip = this.find("[data-beats]");
    const { width, height } = strip.viewBox.baseVal;
    const newest = this.ticks.at(-1);
    strip.replaceChildren(
      ...this.ticks.map((tick) => {
        const beat = document.createElementNS("http://www.w3.org/2000/svg", "rect");
        const tall = tick.sent ? height : height * 0.6;
        beat.setAttribute("x", (width - beatWidth) * (1 - (now - tick.arrived) / shownSpan));
        beat.setAttribute("y", height - tall);
        beat.setAttribute("width", beatWidth);
        beat.setAttribute("height", tall);
        beat.classList.toggle("newest", tick === newest);
        beat.classList.toggle("sent", tick.sent);
        return beat;
      }),
    );
  }

  async sendTime() {
    const outcome = this.find("[data-outcome]");
    const time = new Date();
    sentTimes.add(time.getTime());
    const began = performance.now();
    try {
      await this.connection.invoke("SendTimeToClients", time.toISOString());
      outcome.classList.remove("failed");
      outcome.textContent = `Sent ${time.toLocaleTimeString("en-GB")}, answered in ${Math.round(performance.now() - began)} ms`;
    } catch (error) {
      outcome.classList.add("failed");
      outcome.textContent = error.message;
    } finally {
      setTimeout(() => sentTimes.delete(time.getTime()), shownSpan);
    }
  }
}

const panels = transports.map((transport) => new Panel(transport));

function showSummary() {
  const up = panels.filter((panel) => panel.root.dataset.state === "connected").length;
  const reason = access.hidden && panels.map((panel) => panel.find("[data-reason]").textContent).find(Boolean);
  const text = up > 0 ? `${up} of ${transports.length} transports connected` : reason ? `Not connected. ${reason}` : access.hidden ? "Connecting" : "Not connected";
  if (summary.textContent !== text) { // a screen reader announces each change
    summary.textContent = text;
  }
}

// Shows the form for the token while a panel needs one, and until the panels have tried a new one.
function showAccess() {
  const asked = panels.find((panel) => panel.root.dataset.state === "unauthorized");
  const trying = !access.hidden && panels.some((panel) => panel.root.dataset.state === "connecting");
  access.hidden = !asked && !trying;
  if (asked && accessReason.textContent !== asked.problem.text) {
    accessReason.textContent = asked.problem.text;
  }
}

access.addEventListener("submit", (event) => {
  event.preventDefault();
  token = tokenField.value.trim().replace(/^bearer\s+/i, "");
  tokenField.value = "";
  accessReason.textContent = "Connecting";
  panels.filter((panel) => panel.root.dataset.state === "unauthorized").forEach((panel) => panel.start());
});

setInterval(() => panels.forEach((panel) => panel.showCountdown()), 500);

document.getElementById("command").textContent =
  `curl -X POST '${new URL(hubPath, location.href)}/negotiate?negotiateVersion=1'`;

for (const panel of panels) {
  panel.start();
}

// Long polling tells the server of its end by a request: leaving says good-bye,
// and a page that comes back from the browser's cache connects again.
addEventListener("pagehide", () => panels.forEach((panel) => panel.stop()));
addEventListener("pageshow", (event) => {
  if (event.persisted) {
    panels.forEach((panel) => panel.start());
  }
});
