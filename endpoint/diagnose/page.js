const by = id => document.getElementById(id);

/** The verdict for people: a tone, a headline and a sentence. */
const refusals = {
  "unauthorized": ["ask", "The hub asks for an access token", "Enter one above and start again."],
  "token-refused": ["bad", "The hub does not accept this access token", "Enter another one and start again."],
  "forbidden": ["bad", "Access is not allowed", "The hub, or a filter before it, refuses this user or this page."],
  "no-hub": ["bad", "There is no hub at this address", "Check the address, and the path that a proxy adds or removes."],
  "proxy-auth": ["bad", "The forward proxy asks for a login", "Log in at the proxy of this network."],
  "server-away": ["bad", "The server is not available", "A proxy answers and does not reach the hub, or the hub is shutting down."],
  "too-many": ["bad", "The hub takes no more connections", "Try again later."],
  "answered-by-page": ["bad", "Something else answers in place of the hub", "It may be a login page or a filter of this network."],
  "unreachable": ["bad", "The hub does not answer", "Check the address, the network and the firewall, and that the server runs."],
};

function verdictOf(r) {
  const failed = r.negotiate.error && r.findings[0];
  if (failed) {
    const [tone, headline, todo] = refusals[failed.code] || refusals.unreachable;
    const why = /error_description="([^"]*)"/.exec(failed.text)?.[1];
    return [tone, headline, why ? `${why}. ${todo}` : todo];
  }
  const count = r.findings.length === 1 ? "One problem was" : `${r.findings.length} problems were`;
  const via = r.best ? ` Clients use ${titles[r.best]}.` : "";
  if (r.verdict === "nothing") {
    return ["bad", "Clients cannot connect", `The hub answers, but no transport works. ${count} found, see below.`];
  }
  const all = r.negotiate.offered.length < names.length ? "Everything that the server offers works" : "Everything works";
  return r.verdict === "well" ? ["good", all, via.trim()]
    : ["warn", "Clients connect, with restrictions", `${count} found, see below.${via || " Every connection is cut when it is idle, or is slow."}`];
}

const element = (name, text, className = "") => {
  const e = document.createElement(name);
  e.textContent = text;
  e.className = className;
  return e;
};

/** What a card shows for a transport: its tone, its state in words, and a sentence that explains it. */
function stateOf(t, phase, reason) {
  if (!t) {
    return ["idle", "Waiting", ""];
  }
  if (phase === "trying") {
    return ["busy", "Trying", ""];
  }
  if (!t.works && !t.offered) {
    return ["idle", "Not offered", reason ? `The server does not offer it here: ${reason}.` : "The server does not offer this transport, so clients do not use it."];
  }
  if (t.buffered) {
    return ["bad", "Buffered", t.works ? "A proxy passes messages on late." : "A proxy collects messages and does not pass them on."];
  }
  if (!t.works) {
    return ["bad", "Does not work", `${t.error[0].toUpperCase()}${t.error.slice(1)}.`];
  }
  if (t.cutAfterSeconds) {
    return ["warn", "Idle timeout", `An idle connection ended after ${Math.round(t.cutAfterSeconds)} s.`];
  }
  return ["good", "Works", t.offered ? "" : "The server does not offer it, so clients do not use it."];
}

function idleText(t, phase) {
  if (t.cutAfterSeconds) {
    return `after ${Math.round(t.cutAfterSeconds)} s`;
  }
  if (phase !== "done") {
    return "watching";
  }
  if (!t.idleSeconds) {
    return "not measured";
  }
  // The hub's own messages keep a connection from being idle.
  const talks = t.silentSeconds < t.idleSeconds / 2;
  return talks ? `none in ${Math.round(t.idleSeconds)} s (idle ${Math.round(t.silentSeconds)} s at a time)` : `none within ${Math.round(t.idleSeconds)} s`;
}

const ms = value => `${value < 10 ? value : Math.round(value)}\u00a0ms`;

/** The measurements of a transport that works, as pairs of a term and a value. */
const measurements = (t, phase) => !t?.works || phase === "trying" ? [] : [
  ["Connected after", ms(t.connectMillis)],
  ["First message after", ms(t.firstEventMillis)],
  ["Round trip", `${ms(t.delayMillis)}, max.\u00a0${ms(t.delayMaxMillis)}`],
  ["Idle timeout", idleText(t, phase)],
];

function card(name, x) {
  const t = x.report.transports.find(other => other.transport === name);
  const phase = x.phases[name];
  const [tone, state, sentence] = stateOf(t, phase, x.report.negotiate.reason);
  const article = by("card").content.cloneNode(true).firstElementChild;
  article.dataset.transport = name;
  article.dataset.tone = tone;
  article.toggleAttribute("data-busy", phase === "trying" || phase === "idle");
  article.querySelector("h2").textContent = titles[name];
  article.querySelector(".state-text").textContent = state;
  article.querySelector(".reason").textContent = x.scrub(sentence);
  const rows = measurements(t, phase).map(([term, value]) => {
    const row = element("div", "");
    row.append(element("dt", term), element("dd", value));
    return row;
  });
  article.querySelector("dl").replaceChildren(...rows);
  return article;
}

const showCards = x => by("transports").replaceChildren(...names.map(name => card(name, x)));

/** The progress of an examination: the step, the time that is left of it, and a bar. */
class Progress {
  begin() {
    by("bar").hidden = false;
    this.timer = setInterval(() => this.show(), 250);
  }

  step(text, millis, share) {
    Object.assign(this, { began: performance.now(), millis, share });
    by("status").textContent = `${text}.`;
    this.show();
  }

  show() {
    const left = Math.max(0, this.millis - (performance.now() - this.began));
    const whole = this.share < 0.4 ? 0.1 : 0.6; // negotiation and transports 10 % each, the idle time 60 %
    by("bar").value = this.share + whole * (1 - left / (this.millis || 1));
    by("countdown").textContent = this.share < 0.4 ? `At most ${Math.ceil(left / 1000)} s` : `${Math.ceil(left / 1000)} s left`;
  }

  end() {
    clearInterval(this.timer);
    by("bar").hidden = true;
    by("countdown").textContent = "";
  }
}

const sentence = text => text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
const adviceTitle = a => a.box ? `${a.guess ? "If the proxy is " : ""}${a.box}` : "In general";

/** The servers and proxies that answers named, a line each. */
const seen = r => [...new Set(r.boxes.map(b => b.kind))]
  .map(kind => `${kind} (${r.boxes.filter(b => b.kind === kind).map(b => b.evidence).join("; ")})`);

function facts(r) {
  const offered = r.negotiate.offered.map(name => titles[name] || name).join(", ");
  return [
    ...(r.negotiate.error ? [] : [`Offered by the server: ${offered || "nothing"}`]),
    ...(r.negotiate.reason ? [`Reason for this offer: ${r.negotiate.reason}`] : []),
    ...seen(r).map(box => `Named in answers: ${box}`),
  ];
}

function adviceItem(a) {
  const item = element("li", "");
  item.append(element("h3", adviceTitle(a)), element("p", sentence(a.text)));
  if (a.lines.length > 0) {
    item.append(element("pre", a.lines.join("\n")));
  }
  return item;
}

function transportLine(t, reason) {
  const [, state, explanation] = stateOf(t, "done", reason);
  return `- ${titles[t.transport]}: ${[state, explanation, ...measurements(t, "done").map(([term, value]) => `${term}: ${value}`)].filter(Boolean).join("; ")}`;
}

/** The report as text for an administrator. */
function reportText(r) {
  const [, headline, explanation] = verdictOf(r);
  const list = (title, lines) => lines.length > 0 ? ["", title, ...lines] : [];
  return [
    `Connection diagnosis of ${r.url}`, `${r.time}, ${r.userAgent}`, "", `${headline}. ${explanation}`,
    ...list("Transports", r.transports.map(t => transportLine(t, r.negotiate.reason))),
    ...list("Problems", r.findings.map(f => `- ${f.text} [${f.code}]`)),
    ...list("Advice", r.advice.flatMap(a => [`- ${adviceTitle(a)}: ${sentence(a.text)}`, ...a.lines.map(line => `    ${line}`)])),
    ...list("Facts", facts(r).map(fact => `- ${fact}`)),
  ].join("\n") + "\n";
}

/** Shows the report. Texts of servers may quote the token, so each text is scrubbed. */
function show(x) {
  const r = JSON.parse(JSON.stringify(x.report, (_, value) => typeof value === "string" ? x.scrub(value) : value));
  const [tone, headline, explanation] = verdictOf(r);
  by("summary").dataset.tone = tone;
  by("verdict").replaceChildren(element("strong", headline + "."), " ", element("span", explanation));
  if (r.transports.length === 0) {
    by("transports").replaceChildren();
  }
  by("findings").replaceChildren(...r.findings.map(f => element("li", sentence(f.text))));
  by("facts").replaceChildren(...facts(r).map(fact => element("li", fact)));
  by("advice").replaceChildren(...r.advice.map(adviceItem));
  for (const id of ["findings", "facts", "advice"]) {
    by(id).parentElement.hidden = by(id).children.length === 0;
  }
  by("report").textContent = reportText(r);
  by("json").textContent = JSON.stringify(r, null, 2);
  by("copied").textContent = "";
  by("result").hidden = false;
  if (tone === "ask" || r.findings[0]?.code === "token-refused") {
    by("token").focus();
  }
}

async function examine() {
  const progress = new Progress();
  by("summary").dataset.tone = "busy";
  by("verdict").replaceChildren();
  by("result").hidden = true;
  const token = by("token").value.trim().replace(/^bearer\s+/i, "");
  const x = new Examination(Number(by("idle").value), token, { step: (...step) => progress.step(...step), changed: () => showCards(x) });
  progress.begin();
  showCards(x);
  try {
    await x.run();
    showCards(x);
    show(x);
    by("status").textContent = "";
  } catch (error) {
    by("summary").dataset.tone = "bad";
    by("status").textContent = `The diagnosis failed: ${x.scrub(error.message)}`;
  } finally {
    progress.end();
  }
}

by("hub").textContent = hub.href;

by("form").addEventListener("submit", async event => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  if (button.ariaDisabled === "true") {
    return; // disabled in this way, the button keeps the focus
  }
  button.ariaDisabled = "true";
  await examine();
  button.ariaDisabled = "false";
});

/** Copies the report. Browsers have navigator.clipboard only by https and on loopback names. */
by("copy").addEventListener("click", async () => {
  let done = false;
  try {
    await navigator.clipboard.writeText(by("report").textContent);
    done = true;
  } catch {
    by("text").open = true;
    getSelection().selectAllChildren(by("report"));
    done = document.execCommand("copy");
  }
  by("copied").textContent = done ? "Copied. The report has no access token in it." : "The browser does not allow it: copy the marked text.";
});
