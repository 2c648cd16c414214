import { ChatHub, hubError, onChat } from "./chathub.js";
const find = (id) => document.getElementById(id);
const status = find("status");
const entrance = find("entrance");
const name = find("name");
const room = find("room");
const messages = find("messages");
const text = find("text");
const connection = new signalR.HubConnectionBuilder()
    .withUrl("/chat")
    .withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => 1_000 })
    .build();
const chat = new ChatHub(connection);
onChat(connection, {
    said: show,
    present(names) { find("people").textContent = (names ?? []).join(", "); },
});
// Each connection has to join: the server does not know that a new one comes from the same page.
async function join() {
    messages.replaceChildren();
    (await chat.join(room.value, name.value))?.forEach(show);
    status.textContent = "";
}
// A message may arrive before the result of join, and is then also in it. The number decides.
function show(m) {
    const later = [...messages.querySelectorAll("li")].find((line) => Number(line.dataset.id) >= m.id);
    if (later?.dataset.id === String(m.id))
        return;
    const line = document.createElement("li");
    const author = document.createElement("b");
    author.textContent = m.name;
    line.append(author, m.text);
    line.dataset.id = String(m.id);
    line.title = new Date(m.at).toLocaleString();
    messages.insertBefore(line, later ?? null);
    line.scrollIntoView({ block: "nearest" });
}
connection.onreconnecting(() => { status.textContent = "The connection is lost. Connecting again."; });
connection.onreconnected(() => attempt(join));
// Runs an action and shows its error.
async function attempt(action) {
    try {
        await action();
    }
    catch (error) {
        status.textContent = hubError(error) ?? String(error);
    }
}
entrance.addEventListener("submit", (event) => {
    event.preventDefault();
    void attempt(async () => {
        if (connection.state === "Disconnected")
            await connection.start();
        await join();
        entrance.hidden = true;
        find("chat").hidden = false;
        text.focus();
    });
});
find("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    void attempt(async () => {
        await chat.say(text.value);
        text.value = "";
    });
});
