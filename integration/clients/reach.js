// How the official client gets through a network: one start, measured. Shared by Node and the browser; env brings what differs:
//   signalR      the official client
//   script(url)  loads {hub}/carillon.js
//
// A visit is {url, query, transport?, token?, script?, ticks, quiet?, limit}: with `ticks` the clock hub shows the time by itself and so many
// are awaited; with `quiet` (milliseconds) nothing comes for so long, and then the hub has to answer a call of what it does not have.
// All times are milliseconds.

/** Resolves to {transport, connected, first, delays} or {transport, error, log}; never fails. */
export async function reach(env, visit) {
  const log = [];
  const seen = { transport: "", delays: [] };
  const connection = await build(env, visit, seen, log);
  try {
    await within(visit.limit, watch(connection, visit, seen));
    return seen;
  } catch (error) {
    return { ...seen, error: String(error.message || error), log: log.slice(-40) };
  } finally {
    await within(1_000, connection.stop()).catch(() => {}); // a start that hangs holds it for ever
  }
}

async function build({ signalR, script }, visit, seen, log) {
  const options = { transport: signalR.HttpTransportType[visit.transport], accessTokenFactory: visit.token && (() => visit.token) };
  if (visit.script) {
    await script(visit.url + "/carillon.js");
    options.WebSocket = globalThis.CarillonWebSocket;
  }
  const note = (level, message) => {
    log.push(`${signalR.LogLevel[level]}: ${message}`);
    seen.transport = /^Selecting transport '(\w+)'/.exec(message)?.[1] ?? seen.transport;
  };
  return new signalR.HubConnectionBuilder().withUrl(visit.url + visit.query, options).configureLogging({ log: note }).build();
}

async function watch(connection, visit, seen) {
  const began = performance.now();
  const since = () => Math.round(performance.now() - began);
  await new Promise((resolve, reject) => {
    connection.onclose(error => reject(new Error(`lost after ${since()} ms: ${error}`)));
    connection.on("ShowTime", time => {
      seen.first ??= since();
      seen.delays.push(Date.now() - Date.parse(time));
      if (seen.delays.length >= visit.ticks) {
        resolve();
      }
    });
    connection.start().then(() => {
      seen.connected = since();
      if (visit.quiet) {
        const answered = error => (/does not exist/.test(error.message) ? resolve() : reject(error));
        setTimeout(() => connection.invoke("Nothing").catch(answered), visit.quiet);
      }
    }, reject);
  });
}

async function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`given up after ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
