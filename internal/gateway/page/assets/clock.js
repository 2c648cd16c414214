// The clock in three panels: the same hub, each time over another transport.

const signalR = globalThis.signalR;
const hubPath = document.body.dataset.hub;
const summary = document.getElementById("summary");

const shownSpan = 30_000; // milliseconds on the strip of ticks
const beatWidth = 3;
const retryDelays = [0, 1_000, 2_000, 5_000, 10_000]; // the last one goes on for ever

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
};

// What this page sent itself, to tell those ticks from the worker's: the time on
// the wire is all that a ShowTime carries.
const sentTimes = new Set();

const retryDelay = (attempt) => retryDelays[Math.min(attempt, retryDelays.length - 1)];

// Passes every request on and lets the panel see what negotiate answered. The
// connection token is not handed over: nothing on the page may show it.
class WatchingHttpClient extends signalR.HttpClient {
  constructor(onAnswer) {
    super();
    this.inner = new signalR.DefaultHttpClient(signalR.NullLogger.instance);
    this.onAnswer = onAnswer;
  }

  async send(request) {
    const response = await this.inner.send(request);
    if (new URL(request.url, location.href).pathname.endsWith("/negotiate") && response.statusCode === 200) {
      const { connectionId, availableTransports = [] } = JSON.parse(response.content);
      this.onAnswer({ connectionId, offered: availableTransports.map((t) => t.transport) });
    }
    return response;
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

    const fragment = document.getElementById("panel").content.cloneNode(true);
    this.root = fragment.querySelector(".panel");
    this.root.dataset.transport = transport.key;
    this.find("[data-name]").textContent = transport.name;
    this.find("[data-send]").addEventListener("click", () => this.sendTime());
    document.getElementById("panels").append(fragment);

    this.connection = new signalR.HubConnectionBuilder()
      .withUrl(hubPath, {
        transport: signalR.HttpTransportType[transport.key],
        WebSocket: CarillonWebSocket,
        httpClient: new WatchingHttpClient((answer) => this.showAnswer(answer)),
      })
      .withAutomaticReconnect({ nextRetryDelayInMilliseconds: (retry) => retryDelay(retry.previousRetryCount) })
      .configureLogging(signalR.LogLevel.None)
      .build();
    this.connection.on("ShowTime", (time) => this.showTick(new Date(time)));
    this.connection.onreconnecting(() => this.setState("reconnecting"));
    this.connection.onreconnected((id) => this.connected(id));
    this.connection.onclose(() => this.lost("disconnected"));
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  async start() {
    this.stopped = false;
    this.setState("connecting");
    try {
      await this.connection.start();
      this.connected(this.connection.connectionId);
    } catch {
      this.lost(this.isRefused() ? "refused" : "disconnected");
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
    this.setState("connected");
  }

  // The client gives up where the server refused a connection or ended it for
  // good; the page keeps asking, so that it comes back with the server. It does
  // not ask for what is not offered: the others learn when that changes.
  lost(state) {
    this.setState(state);
    if (this.stopped || state === "refused") {
      return;
    }
    this.attempt += 1;
    this.timer = setTimeout(() => this.start(), retryDelay(this.attempt));
  }

  // Starts a panel whose transport was not offered and is now, as any panel was told.
  startIfOffered(offered) {
    if (this.root.dataset.state === "refused" && !this.stopped && offered.includes(this.transport.key)) {
      this.start();
    }
  }

  isRefused() {
    return this.offered.length > 0 && !this.offered.includes(this.transport.key);
  }

  setState(state) {
    this.root.dataset.state = state;
    this.find("[data-state-text]").textContent = stateTexts[state];
    this.find("[data-send]").disabled = state !== "connected";
    if (state !== "connected") {
      this.showId(null);
    }
    showSummary();
  }

  showId(id) {
    this.find("[data-id]").textContent = id ?? "–";
  }

  showAnswer({ connectionId, offered }) {
    this.offered = offered;
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
  const up = document.querySelectorAll('.panel[data-state="connected"]').length;
  summary.textContent = up === 0 ? "Not connected" : `${up} of ${transports.length} transports connected`;
}

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
