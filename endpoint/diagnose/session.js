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
    t.error = "buffered by a proxy";
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
    this.x.phases[t.transport] = "idle";
    this.x.changed();
    const move = at => {
      t.silentSeconds = Math.max(t.silentSeconds, rounded((at - moved) / 1000));
      moved = at;
    };
    while (performance.now() - began < limit) {
      await Promise.race([new Promise(resolve => { this.waiting = resolve; }), after(Math.min(1000, limit - (performance.now() - began)))]);
      this.x.changed();
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
    this.x.phases[t.transport] = "done";
    this.x.changed();
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
