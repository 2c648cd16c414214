"use strict";

const find = (id) => document.getElementById(id);
let connection;

async function connect(name) {
  connection = new signalR.HubConnectionBuilder()
    .withUrl(`http://localhost:8080/hubs/chat?name=${encodeURIComponent(name)}`)
    .withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => 1_000 })
    .build();
  connection.on("said", show);
  connection.onreconnecting(() => { find("status").textContent = "The connection is lost. Connecting again."; });
  connection.onreconnected(() => attempt(join));
  await connection.start();
}

function show(room, name, text) {
  const line = document.createElement("li");
  const author = document.createElement("b");
  author.textContent = room ? `${name} (${room})` : name;
  line.append(author, text);
  find("messages").append(line);
  line.scrollIntoView({ block: "nearest" });
}

// A new connection is in no group.
const join = () => connection.invoke("join", find("room").value);

// Runs an action and shows its error.
async function attempt(action) {
  try {
    await action();
    find("status").textContent = "";
  } catch (error) {
    find("status").textContent = String(error);
  }
}

find("entrance").addEventListener("submit", (event) => {
  event.preventDefault();
  void attempt(async () => {
    if (connection?.state !== "Connected") {
      await connect(find("name").value);
    }
    await join();
    find("entrance").hidden = true;
    find("chat").hidden = false;
    find("text").focus();
  });
});

find("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  void attempt(async () => {
    await connection.invoke("say", event.submitter.value === "all" ? "" : find("room").value, find("text").value);
    find("text").value = "";
  });
});
