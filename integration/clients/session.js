// One run of one scenario: builds connections of the transport and protocol that are asked for, remembers them,
// and ends them. It knows neither Node nor a browser; env brings what differs:
//   signalR, msgpack   the official client and its MessagePack protocol
//   runner             "node" or "chromium"
//   ask(what)          has the test beside do something to the server: "terminate", "start"
//   webSocket(url)     a bare WebSocket

export class Session {
  constructor(env, order) {
    this.env = env;
    this.order = order;
    this.log = [];
    this.connections = [];
  }

  get transport() {
    return this.order.transport;
  }

  get protocol() {
    return this.order.protocol;
  }

  get binary() {
    return this.protocol === "messagepack";
  }

  url(path) {
    return this.order.url + path;
  }

  ask(what) {
    return this.env.ask(what);
  }

  /**
   * A connection that is not started. Options are those of withUrl, where transport: undefined leaves the choice to the
   * client. configure gets the builder. The connection has an inbox `closed`: [error] each time onclose is called.
   */
  build(path, options = {}, configure = () => {}) {
    const { signalR, msgpack } = this.env;
    const builder = new signalR.HubConnectionBuilder()
      .configureLogging({ log: (level, message) => this.note(level, message) })
      .withUrl(this.url(path), { transport: signalR.HttpTransportType[this.transport], ...options });
    if (this.binary) {
      builder.withHubProtocol(new msgpack.MessagePackHubProtocol());
    }
    configure(builder);
    const connection = builder.build();
    connection.closed = new Inbox();
    connection.onclose(error => connection.closed.put([error]));
    this.connections.push(connection);
    return connection;
  }

  async connect(path, options, configure) {
    const connection = this.build(path, options, configure);
    await connection.start();
    return connection;
  }

  /** Waits until connections get the messages of other nodes: a server answers the first invocation after that. */
  async joined(...connections) {
    await Promise.all(connections.map(connection => connection.invoke("NoSuchMethod").catch(() => {})));
  }

  /** What the server calls `method` with, in order: next() is the arguments of the next call. */
  calls(connection, method) {
    const calls = new Inbox();
    connection.on(method, (...args) => { calls.put(args); });
    return calls;
  }

  /** A stream, read to its end: {items, error}. */
  read(connection, method, ...args) {
    return new Promise(resolve => {
      const items = [];
      connection.stream(method, ...args).subscribe({
        next: item => items.push(item),
        complete: () => resolve({ items }),
        error: error => resolve({ items, error: error.message }),
      });
    });
  }

  /** Uploads the items, and fails with `error` at the end if there is one. Call it after the method was invoked. */
  upload(subject, items, error) {
    for (const item of items) {
      subject.next(item);
    }
    if (error) {
      subject.error(new Error(error));
    } else {
      subject.complete();
    }
  }

  async text(path) {
    const answer = await fetch(this.url(path));
    return answer.text();
  }

  async end() {
    await Promise.all(this.connections.map(connection => connection.stop()));
  }

  note(level, message) {
    this.log.push(`${this.env.signalR.LogLevel[level]}: ${message}`);
  }
}

/** A queue with one reader. */
export class Inbox {
  constructor() {
    this.items = [];
    this.reader = undefined;
  }

  put(item) {
    if (this.reader) {
      const reader = this.reader;
      this.reader = undefined;
      reader(item);
    } else {
      this.items.push(item);
    }
  }

  next() {
    if (this.items.length > 0) {
      return Promise.resolve(this.items.shift());
    }
    return new Promise(resolve => {
      this.reader = resolve;
    });
  }
}
