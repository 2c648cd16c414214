"use strict";

const find = (id) => document.getElementById(id);

// The cookie of the login goes to the gateway, which is at another port of the same site.
const connection = new signalR.HubConnectionBuilder()
  .withUrl("http://localhost:8080/hubs/chat")
  .withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => 1_000 })
  .build();

connection.on("said", (room, name, text) => {
  const line = document.createElement("li");
  const author = document.createElement("b");
  author.textContent = room ? `${name} (${room})` : name;
  line.append(author, text);
  find("messages").append(line);
  line.scrollIntoView({ block: "nearest" });
});

// A new connection is in no group.
const join = () => connection.invoke("join", find("room").value);

connection.onreconnecting(() => { find("status").textContent = "The connection is lost. Connecting again."; });
connection.onreconnected(() => attempt(join));

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
    if (connection.state === "Disconnected") {
      await fetch("/login", { method: "POST", body: find("name").value });
      await connection.start();
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
