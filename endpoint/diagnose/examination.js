"use strict";
const patience = 5000; // for an answer to a request
const held = 2000; // for what should come at once
const calls = 8;
const separator = "\x1e";
const names = ["WebSockets", "ServerSentEvents", "LongPolling"];
const remedies = JSON.parse(document.getElementById("remedies").textContent);
const hub = new URL(location.pathname.replace(/\/diagnose\/?$/, "") || "/", location.href);
const titles = { WebSockets: "WebSockets", ServerSentEvents: "Server-sent events", LongPolling: "Long polling" };

/** Resolves with undefined after ms. */
const after = ms => new Promise(resolve => setTimeout(resolve, ms));
const rounded = ms => Math.round(ms * 10) / 10;

const withQuery = (url, values) => {
  const u = new URL(url);
  for (const [name, value] of Object.entries(values)) {
    if (value) {
      u.searchParams.set(name, value);
    }
  }
  return u;
};

/** An error of a negotiation, with the code of its finding. */
class Failure extends Error {
  constructor(code, text) {
    super(`negotiate: ${text}`);
    this.code = code;
  }
}

/** Returns the Failure for an answer with an error status. A missing token is told apart from one that is refused. */
function refused(response, detail, token) {
  const challenge = response.headers.get("WWW-Authenticate");
  const code = response.status === 401 && token ? "token-refused" : remedies.statuses[response.status];
  return new Failure(code, `status ${response.status}${challenge ? `, ${challenge}` : detail}`);
}

/** Returns the answer to a negotiation; throws a Failure that says why it is none. */
function parsed(response, text, x) {
  const page = (response.headers.get("Content-Type") || "").startsWith("text/html");
  const beginning = x.scrub(text).split(/\s+/).join(" ").slice(0, 60);
  if (!response.ok) {
    throw refused(response, beginning && !page ? `: ${beginning}` : "", x.token);
  }
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    // seen below
  }
  if (answer?.error) {
    throw new Failure("unreachable", answer.error);
  }
  if (!answer?.url && !answer?.connectionId) {
    throw page ? new Failure("answered-by-page", `a page was the answer: ${beginning}`)
      : new Failure("no-hub", `the answer is not a hub's: ${beginning}`);
  }
  return answer;
}

/** One examination. It calls step(text, milliseconds, share) at the beginning of each step, and changed() when the report has more. */
class Examination {
  constructor(idleSeconds, token, { step, changed }) {
    this.idleSeconds = idleSeconds;
    this.token = token;
    this.secrets = new Set();
    this.keepSecret(token);
    this.step = step;
    this.changed = changed;
    this.phases = {}; // by transport: trying, tried, idle, done
    this.report = {
      url: hub.href, time: new Date().toISOString(), userAgent: navigator.userAgent, verdict: "nothing",
      negotiate: { offered: [] }, boxes: [], transports: [], findings: [], advice: [],
    };
  }

  async run() {
    this.step("Negotiating", patience, 0);
    const r = this.report;
    const began = performance.now();
    const negotiated = {};
    try {
      negotiated.WebSockets = await this.negotiate();
      r.negotiate.millis = rounded(performance.now() - began);
      r.negotiate.offered = (negotiated.WebSockets.availableTransports || []).map(t => t.transport);
      // Before WebSockets are tried: a server that learns may not give event streams a chance after what it saw of them.
      negotiated.ServerSentEvents = await this.negotiate();
    } catch (error) {
      r.negotiate.error = error.message;
      this.find(error.code || "unreachable", "", error.code ? error.message : `The hub does not answer: ${error.message}`);
      this.judge();
      return r;
    }
    const open = [];
    for (const [i, name] of names.entries()) {
      this.step(`Trying ${titles[name]}`, patience + held, 0.1 + 0.1 * i);
      const session = await this.try(name, negotiated[name]);
      if (session.result.works) {
        open.push(session);
      } else {
        session.close();
      }
    }
    await this.sitIdle(open);
    open.forEach(s => s.close());
    this.judge();
    return r;
  }

  /** Keeps a text out of the report, in the encoding of URLs too. */
  keepSecret(text) {
    if (text) {
      this.secrets.add(text).add(encodeURIComponent(text));
    }
  }

  scrub(text) {
    return [...this.secrets].reduce((rest, secret) => rest.replaceAll(secret, "***"), text);
  }

  headers(token) {
    return token ? { Authorization: `Bearer ${token}`, "X-Requested-With": "XMLHttpRequest" } : { "X-Requested-With": "XMLHttpRequest" };
  }

  async negotiate() {
    let url = hub;
    let token = this.token;
    for (let i = 0; i < 10; i++) {
      const at = withQuery(url, { negotiateVersion: "1" });
      at.pathname = at.pathname.replace(/\/?$/, "/negotiate");
      const response = await fetch(at, { method: "POST", headers: this.headers(token), signal: AbortSignal.timeout(patience) });
      const text = await response.text();
      this.note(response, text);
      this.report.negotiate.status = response.status;
      this.report.negotiate.reason = response.headers.get("Carillon-Transport-Reason") || this.report.negotiate.reason;
      const answer = parsed(response, text, this);
      if (!answer.url) {
        const id = answer.connectionToken || answer.connectionId;
        this.keepSecret(answer.connectionToken);
        return { ...answer, token, address: withQuery(url, { id }) };
      }
      url = new URL(answer.url, url);
      token = answer.accessToken || token;
      this.keepSecret(token);
    }
    throw new Error("negotiate: too many redirections");
  }

  /** Notes the servers and proxies that an answer names. */
  note(response, page) {
    for (const { header, own } of remedies.telling) {
      const value = response.headers.get(header);
      if (value) {
        const low = value.toLowerCase();
        const mark = remedies.marks.find(m => low.includes(m.mark));
        // Where the header alone says it, its value is another one each time.
        this.box(mark ? mark.kind : own || "server", mark || !own ? `${header}: ${value}` : header);
      }
    }
    if (response.status >= 400 && page.includes("The server didn't respond in time.")) {
      this.box("haproxy", "the text of its error page");
    }
  }

  box(kind, evidence) {
    if (!this.report.boxes.some(b => b.kind === kind && b.evidence === evidence)) {
      this.report.boxes.push({ kind, evidence });
    }
  }

  /**
   * Tries a transport on a negotiation of its own. The first one is not wasted: to a server that learns, a negotiation of
   * which nothing comes means that WebSockets do not arrive.
   */
  async try(name, negotiated) {
    const result = { transport: name, offered: this.report.negotiate.offered.includes(name), works: false, buffered: false };
    this.report.transports.push(result);
    this.phases[name] = "trying";
    this.changed();
    const session = new Session(this, result);
    try {
      await session.open(negotiated || await this.negotiate());
      await session.measure();
    } catch (error) {
      result.error = error.message;
    }
    this.phases[name] = "tried";
    this.changed();
    return session;
  }

  async sitIdle(open) {
    if (this.idleSeconds > 0 && open.length > 0) {
      this.step("Keeping the connections idle", this.idleSeconds * 1000, 0.4);
      await Promise.all(open.map(s => s.sitIdle(this.idleSeconds * 1000)));
    }
  }

  find(code, transport, text) {
    this.report.findings.push({ code, transport, text });
  }

  judge() {
    const r = this.report;
    const quickest = Math.min(...r.transports.filter(t => t.works).map(t => t.delayMillis));
    r.transports.forEach(t => this.judgeTransport(t, quickest));
    names.forEach(name => { this.phases[name] = "done"; });
    const working = r.transports.filter(t => t.works);
    const good = working.filter(t => !t.buffered && !t.cutAfterSeconds);
    const best = good.find(t => t.offered) || good[0]; // clients use only what is offered
    if (best) {
      r.best = best.transport;
    }
    r.verdict = working.length === 0 ? "nothing" : r.findings.length > 0 ? "fallback" : "well";
    this.advise();
  }

  judgeTransport(t, quickest) {
    const { transport: name } = t;
    if (!t.works && !t.offered && !this.report.negotiate.reason) {
      return; // the server does not offer it to anybody
    }
    const late = t.works && name !== "LongPolling" ? t.delayMillis - quickest : 0;
    if (late > 500) {
      t.buffered = true;
      this.find("buffered", name, `${titles[name]}: buffered by a proxy; messages arrive ${Math.round(late)} ms late`);
    } else if (late > 100) {
      this.find("delayed", name, `${titles[name]}: messages arrive ${Math.round(late)} ms later than over the fastest transport`);
    } else if (t.buffered) {
      this.find("buffered", name, t.bufferedBytes
        ? `${titles[name]}: buffered by a proxy until about ${t.bufferedBytes >> 10} KB have come`
        : `${titles[name]}: buffered by a proxy, more than 64 KB`);
    } else if (!t.works) {
      this.judgeFailure(t);
    }
    if (t.cutAfterSeconds) {
      this.find("idle-cut", name, `${titles[name]}: idle timeout after ${Math.round(t.cutAfterSeconds)} s (${t.cut})`);
    }
  }

  judgeFailure({ transport: name, swallowed, error }) {
    if (swallowed) {
      this.find("upgrade-swallowed", name, `${titles[name]} does not work: ${error}`);
    } else if (name === "WebSockets") {
      this.find("upgrade-stripped", name, "WebSockets does not work. Browsers do not say why; most often a proxy removes Upgrade from the handshake");
    } else {
      this.find("refused", name, `${titles[name]} does not work: ${error}`);
    }
  }

  advise() {
    const suspects = [...new Set(this.report.boxes.map(b => b.kind))].filter(kind => remedies.boxes[kind]);
    for (const { code } of this.report.findings) {
      const known = suspects.filter(kind => remedies.boxes[kind][code]);
      known.forEach(kind => this.addAdvice(kind, false, remedies.boxes[kind][code]));
      if (known.length === 0 && remedies.general[code]) {
        this.addAdvice("", false, remedies.general[code]);
      }
      if (suspects.length === 0) {
        Object.keys(remedies.boxes).filter(kind => remedies.boxes[kind][code]).forEach(kind => this.addAdvice(kind, true, remedies.boxes[kind][code]));
      }
    }
    const cuts = this.report.transports.map(t => t.cutAfterSeconds).filter(Boolean);
    if (cuts.length > 0) {
      const every = Math.max(1, Math.floor(Math.min(...cuts) / 2));
      this.addAdvice("", false, {
        text: `If the proxy cannot be changed, set the server's keep-alive interval and the length of its polls to at most ${every} s`, lines: [],
      });
    }
  }

  addAdvice(box, guess, { text, lines }) {
    if (this.report.advice.some(a => a.box === box && a.text === text)) {
      return;
    }
    const values = { $HOST: hub.hostname, $PORT: hub.port || (hub.protocol === "https:" ? "443" : "80"), $PATH: hub.pathname, $UP: "SERVER" };
    const filled = lines.map(line => line.replace(/\$(HOST|PORT|PATH|UP)\b/g, name => values[name]));
    this.report.advice.push({ box, guess, text, lines: filled });
  }
}
