"use strict";
(() => {
  const patience = 5000; // for an answer to a request
  const held = 2000; // for what should come at once
  const calls = 8;
  const separator = "\x1e";
  const names = ["WebSockets", "ServerSentEvents", "LongPolling"];
  const remedies = JSON.parse(document.getElementById("remedies").textContent);
  const hub = new URL(location.pathname.replace(/\/diagnose\/?$/, "") || "/", location.href);
  const by = id => document.getElementById(id);
  by("hub").textContent = hub.href;

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

  /** Why a negotiation failed, with the code of what was found. */
  class Failure extends Error {
    constructor(code, text) {
      super(`negotiate: ${text}`);
      this.code = code;
    }
  }

  const beginning = text => text.split(/\s+/).join(" ").slice(0, 60);

  /** What an answer to a negotiation means. */
  function parsed(response, text) {
    const page = (response.headers.get("Content-Type") || "").startsWith("text/html");
    if (!response.ok) {
      throw new Failure(remedies.statuses[response.status], `status ${response.status}${text && !page ? `: ${beginning(text)}` : ""}`);
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
      throw page ? new Failure("answered-by-page", `a page was the answer: ${beginning(text)}`)
        : new Failure("no-hub", `the answer is not a hub's: ${beginning(text)}`);
    }
    return answer;
  }

  /** One examination. */
  class Examination {
    constructor(idleSeconds, token, tell) {
      this.idleSeconds = idleSeconds;
      this.token = token;
      this.tell = tell;
      this.report = {
        url: hub.href, time: new Date().toISOString(), userAgent: navigator.userAgent, verdict: "nothing",
        negotiate: { offered: [] }, boxes: [], transports: [], findings: [], advice: [],
      };
    }

    async run() {
      this.tell("negotiating");
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
        this.find(error.code || "unreachable", "", error.message);
        this.judge();
        return r;
      }
      const open = [];
      for (const name of names) {
        this.tell(`trying ${name}`);
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
        const answer = parsed(response, text);
        if (!answer.url) {
          const id = answer.connectionToken || answer.connectionId;
          return { ...answer, token, address: withQuery(url, { id }) };
        }
        url = new URL(answer.url, url);
        token = answer.accessToken || token;
      }
      throw new Error("negotiate: sent on again and again");
    }

    /** Takes note of who answered. */
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
        this.box("haproxy", "the words of its error page");
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
      const session = new Session(this, result);
      try {
        await session.open(negotiated || await this.negotiate());
        await session.measure();
      } catch (error) {
        result.error = error.message;
      }
      return session;
    }

    async sitIdle(open) {
      if (this.idleSeconds > 0 && open.length > 0) {
        this.tell(`keeping silent for ${this.idleSeconds} s`);
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
      const working = r.transports.filter(t => t.works);
      const best = working.find(t => !t.buffered && !t.cutAfterSeconds);
      if (best) {
        r.best = best.transport;
      }
      r.verdict = working.length === 0 ? "nothing" : r.findings.length > 0 ? "fallback" : "well";
      this.advise();
    }

    judgeTransport(t, quickest) {
      const { transport: name } = t;
      if (!t.works && !t.offered && !this.report.negotiate.reason) {
        return; // the server does not want it
      }
      const late = t.works && name !== "LongPolling" ? t.delayMillis - quickest : 0;
      if (late > 500) {
        t.buffered = true;
        this.find("buffered", name, `${name} arrives late, by ${Math.round(late)} ms`);
      } else if (late > 100) {
        this.find("delayed", name, `${name} arrives ${Math.round(late)} ms later than it could`);
      } else if (t.buffered) {
        this.find("buffered", name, t.bufferedBytes
          ? `${name} is held back on the way until about ${t.bufferedBytes >> 10} KB have come`
          : `${name} is held back on the way, more than 64 KB of it`);
      } else if (t.swallowed) {
        this.find("upgrade-swallowed", name, `${name} does not get through: ${t.error}`);
      } else if (!t.works && name === "WebSockets") {
        this.find("upgrade-stripped", name, "WebSockets does not get through. Browsers do not say why; most often a proxy takes Upgrade out of the handshake");
      } else if (!t.works) {
        this.find("refused", name, `${name} does not get through: ${t.error}`);
      }
      if (t.cutAfterSeconds) {
        this.find("idle-cut", name, `${name} is cut after ${Math.round(t.cutAfterSeconds)} s of silence: ${t.cut}`);
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
          text: `where the box cannot be changed, the server pings oftener and ends idle polls earlier than silence is cut, every ${every} s`, lines: [],
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

  /** One connection to the hub under examination. */
  class Session {
    constructor(examination, result) {
      this.x = examination;
      this.result = result;
      this.records = [];
      this.waiting = null;
      this.rest = "";
      this.abort = new AbortController();
    }

    async open(negotiated) {
      this.n = negotiated;
      this.began = performance.now();
      await this[`connect${this.result.transport}`]();
      await this.send(`{"protocol":"json","version":1}${separator}`);
    }

    connectWebSockets() {
      const at = withQuery(this.n.address, { access_token: this.n.token });
      at.protocol = at.protocol.replace("http", "ws");
      return new Promise((resolve, reject) => {
        this.socket = new WebSocket(at);
        const timer = setTimeout(() => {
          this.result.swallowed = true;
          reject(new Error(`the handshake was not answered within ${patience / 1000} s`));
        }, patience);
        this.socket.onopen = () => {
          clearTimeout(timer);
          this.accepted();
          resolve();
        };
        this.socket.onmessage = event => this.arrived(event.data);
        this.socket.onclose = event => {
          clearTimeout(timer);
          reject(new Error("the handshake was refused"));
          this.ended(`closed with ${event.code}${event.reason && " " + event.reason}`);
        };
        this.send = async text => this.socket.send(text);
      });
    }

    /** A stream of which not even the head arrives is connected all the same: it may be held back. */
    connectServerSentEvents() {
      this.send = text => this.post(text);
      return new Promise((resolve, reject) => {
        this.stream = new EventSource(withQuery(this.n.address, { access_token: this.n.token }));
        this.stream.onopen = () => {
          this.accepted();
          resolve();
        };
        this.stream.onmessage = event => this.arrived(event.data);
        this.stream.onerror = () => {
          this.stream.close(); // it would connect again with an id that is used up
          reject(new Error("the event stream was refused"));
          this.ended("the event stream broke off");
        };
        after(held).then(resolve);
      });
    }

    async connectLongPolling() {
      this.send = text => this.post(text);
      await this.poll(patience);
      this.accepted();
      this.keepPolling();
    }

    async keepPolling() {
      for (;;) {
        const began = performance.now();
        try {
          this.arrived(await this.poll());
        } catch (error) {
          this.ended(error.message, performance.now() - began);
          return;
        }
      }
    }

    async poll(limit) {
      const signal = limit ? AbortSignal.any([this.abort.signal, AbortSignal.timeout(limit)]) : this.abort.signal;
      const response = await fetch(withQuery(this.n.address, { _: Date.now() }), { headers: this.x.headers(this.n.token), cache: "no-store", signal });
      const text = await response.text();
      if (response.status !== 200) {
        this.x.note(response, text);
        throw new Error(`the poll was answered with status ${response.status}`);
      }
      return text;
    }

    async post(text) {
      const response = await fetch(this.n.address, {
        method: "POST", body: text, headers: this.x.headers(this.n.token),
        signal: AbortSignal.any([this.abort.signal, AbortSignal.timeout(patience)]),
      });
      const page = await response.text();
      if (!response.ok) {
        this.x.note(response, page);
        throw new Error(`POST was answered with status ${response.status}`);
      }
    }

    accepted() {
      this.result.connectMillis ??= rounded(performance.now() - this.began);
    }

    arrived(text) {
      const parts = (this.rest + text).split(separator);
      this.rest = parts.pop();
      const at = performance.now();
      parts.forEach(record => this.records.push({ record, at }));
      this.wake();
    }

    ended(why, silence) {
      if (!this.over && !this.closed) {
        this.over = { why, silence, at: performance.now() };
        this.wake();
      }
    }

    wake() {
      this.waiting?.();
      this.waiting = null;
    }

    /** The first record that is wanted and its time; undefined if none comes in time. */
    async await(limit, wanted) {
      const end = performance.now() + limit;
      for (;;) {
        while (this.records.length > 0) {
          const next = this.records.shift();
          if (wanted(next.record)) {
            return next;
          }
        }
        if (this.over) {
          throw new Error(`the connection ended: ${this.over.why}`);
        }
        const left = end - performance.now();
        if (left <= 0) {
          return undefined;
        }
        await Promise.race([new Promise(resolve => { this.waiting = resolve; }), after(left)]);
      }
    }

    async measure() {
      const t = this.result;
      const answer = await this.await(held, () => true);
      if (!answer) {
        return this.heldBack();
      }
      if (answer.record.trim() !== "{}") {
        throw new Error(`handshake: ${answer.record}`);
      }
      t.firstEventMillis = rounded(answer.at - this.began);
      const delays = [];
      for (let i = 0; i < calls; i++) {
        const began = performance.now();
        await this.call(i, "doctor");
        const back = await this.await(held, record => record.includes(`"invocationId":"${i}"`));
        if (!back) {
          return this.heldBack();
        }
        delays.push(back.at - began);
      }
      delays.sort((a, b) => a - b);
      t.delayMillis = rounded(delays[calls / 2]);
      t.delayMaxMillis = rounded(delays[calls - 1]);
      t.works = true;
    }

    /** Calls a method that does not exist; servers answer with its name. */
    call(id, target) {
      return this.send(`{"type":1,"invocationId":"${id}","target":"${target}","arguments":[]}${separator}`);
    }

    /** Makes the server send until something arrives, to see how much is held back. */
    async heldBack() {
      const t = this.result;
      t.buffered = true;
      delete t.connectMillis;
      t.error = "what the server sends is held back on the way";
      const step = 2048;
      for (let sent = step; sent <= 65536; sent += step) {
        await this.call(calls + sent, "doctor..".repeat(step / 8));
        if (await this.await(100, () => true)) {
          t.bufferedBytes = sent;
          return;
        }
      }
    }

    /** Does what a client does that has nothing to say. */
    async sitIdle(limit) {
      const t = this.result;
      const began = performance.now();
      let moved = began;
      let pinged = began;
      t.silentSeconds = 0;
      const move = at => {
        t.silentSeconds = Math.max(t.silentSeconds, rounded((at - moved) / 1000));
        moved = at;
      };
      while (performance.now() - began < limit) {
        await Promise.race([new Promise(resolve => { this.waiting = resolve; }), after(Math.min(1000, limit - (performance.now() - began)))]);
        if (this.over) {
          t.cutAfterSeconds = (this.over.silence ?? this.over.at - moved) / 1000;
          t.cut = this.over.why;
          break;
        }
        if (this.records.length > 0) {
          move(this.records.pop().at);
          this.records.length = 0;
        }
        if (t.transport !== "LongPolling" && performance.now() - pinged >= 15000) {
          await this.send(`{"type":6}${separator}`).catch(error => this.ended(error.message));
          pinged = performance.now();
          move(pinged);
        }
      }
      if (!this.over) {
        move(performance.now());
      }
      t.idleSeconds = rounded((performance.now() - began) / 1000);
    }

    close() {
      this.closed = true;
      this.abort.abort();
      this.socket?.close();
      this.stream?.close();
      if (this.n && this.result.transport === "LongPolling") {
        fetch(this.n.address, { method: "DELETE", headers: this.x.headers(this.n.token), keepalive: true }).catch(() => {});
      }
    }
  }

  const verdicts = {
    well: "All is well", fallback: "Clients connect, but not as well as they might", nothing: "Nothing works",
  };

  const element = (name, text, className) => {
    const e = document.createElement(name);
    e.textContent = text;
    if (className) {
      e.className = className;
    }
    return e;
  };

  function row(t) {
    const tr = document.createElement("tr");
    tr.dataset.transport = t.transport;
    tr.append(element("td", t.transport));
    if (!t.works) {
      const cell = element("td", t.buffered ? "held back" : "no", "bad");
      cell.colSpan = 4;
      tr.append(cell);
      return tr;
    }
    tr.append(element("td", `${t.connectMillis} ms`, "good"), element("td", `${t.firstEventMillis} ms`),
      element("td", `${t.delayMillis} ms, at most ${t.delayMaxMillis}`));
    const talks = t.silentSeconds < t.idleSeconds / 2 ? `, silent for ${Math.round(t.silentSeconds)} s at a time` : "";
    const silence = t.cutAfterSeconds ? `cut after ${Math.round(t.cutAfterSeconds)} s` : t.idleSeconds ? `${t.idleSeconds} s and still there${talks}` : "";
    tr.append(element("td", silence, t.cutAfterSeconds ? "bad" : ""));
    return tr;
  }

  function show(r) {
    by("rows").replaceChildren(...r.transports.map(row));
    by("verdict").textContent = verdicts[r.verdict] + (r.best ? `; best by ${r.best}` : "") + ".";
    by("verdict").className = r.verdict === "well" ? "good" : "bad";
    const facts = [`offered: ${r.negotiate.offered.join(", ") || "nothing"}`];
    if (r.negotiate.reason) {
      facts.push(`because: ${r.negotiate.reason}`);
    }
    const kinds = [...new Set(r.boxes.map(b => b.kind))];
    const evidence = kind => r.boxes.filter(b => b.kind === kind).map(b => b.evidence).join("; ");
    facts.push(...kinds.map(kind => `on the way: ${kind} (${evidence(kind)})`), ...r.findings.map(f => `found: ${f.text}`));
    by("facts").replaceChildren(...facts.map(f => element("li", f)));
    by("advice").replaceChildren(...r.advice.flatMap(a => {
      const text = element("p", a.box ? `${a.guess ? "if it is " : ""}${a.box}: ${a.text}` : a.text);
      return a.lines.length > 0 ? [text, element("pre", a.lines.join("\n"))] : [text];
    }));
    by("json").textContent = JSON.stringify(r, null, 2);
    by("result").hidden = false;
  }

  by("form").addEventListener("submit", async event => {
    event.preventDefault();
    const button = event.target.querySelector("button");
    button.disabled = true;
    by("result").hidden = true;
    const tell = text => { by("status").textContent = text; };
    try {
      show(await new Examination(Number(by("idle").value), by("token").value, tell).run());
      tell("done");
    } catch (error) {
      tell(`the diagnosis failed: ${error.message}`);
    } finally {
      button.disabled = false;
    }
  });

  by("copy").addEventListener("click", () => {
    getSelection().selectAllChildren(by("json"));
    navigator.clipboard?.writeText(by("json").textContent); // where the page may: by https
  });
})();
