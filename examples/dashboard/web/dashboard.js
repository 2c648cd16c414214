// Charts of the samples that the hub sends. EventSource connects again by itself.

const maxShown = 60; // samples in a chart

const charts = [
  { name: "Clients", value: (sample) => sample.clients, text: String },
  { name: "Goroutines", value: (sample) => sample.goroutines, text: String },
  { name: "Heap", value: (sample) => sample.heapMiB, text: (mib) => `${mib.toFixed(1)} MiB` },
].map((chart) => {
  const section = document.getElementById("chart").content.cloneNode(true).firstElementChild;
  section.querySelector("h2").textContent = chart.name;
  section.querySelector("svg").setAttribute("aria-label", `${chart.name}, the latest samples`);
  document.getElementById("charts").append(section);
  return { ...chart, section };
});

let shown = [];

// A newcomer gets the latest samples, which the page may have already.
function show(samples) {
  const newest = Date.parse(shown.at(-1)?.at ?? 0);
  shown = [...shown, ...samples.filter((sample) => Date.parse(sample.at) > newest)].slice(-maxShown);
  charts.forEach(draw);
}

function draw({ section, value, text }) {
  const values = shown.map(value);
  const top = Math.max(...values, 1);
  const points = values.map((v, i) => `${300 - (values.length - 1 - i) * (300 / (maxShown - 1))},${58 - (v / top) * 56}`);
  section.querySelector("output").textContent = text(values.at(-1));
  section.querySelector("polyline").setAttribute("points", points.join(" "));
}

const status = document.getElementById("status");
const events = new EventSource("/dashboard/events");
events.addEventListener("open", () => { status.textContent = "Live"; });
events.addEventListener("error", () => { status.textContent = "The connection is lost. Connecting again."; });
events.addEventListener("Show", (event) => {
  const [samples] = JSON.parse(event.data); // the arguments of the method
  if (samples.length > 0) show(samples);
});
