// The clock's hub shows a time to its caller.
import { HubConnectionBuilder } from "@microsoft/signalr";
import { ClockHub, onClock } from "./clockhub.js";

export default async function run(origin: string): Promise<void> {
  const connection = new HubConnectionBuilder().withUrl(`${origin}/clock`).build();
  const sent = "2026-02-28T23:59:59.1234567Z";
  const shown = new Promise<void>((resolve) => {
    onClock(connection, { showTime: (now) => { if (now === sent) resolve(); } }); // other times are the worker's
  });
  await connection.start();
  await new ClockHub(connection).sendTimeToClients(sent);
  await shown;
  await connection.stop();
}
