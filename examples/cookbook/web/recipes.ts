import { HubConnectionBuilder } from "@microsoft/signalr";
import { hubError, MarketHub, onMarket, type Price } from "./markethub.js";

declare function show(...values: unknown[]): void;
declare function confirm(question: string): boolean;
declare function freshToken(): Promise<string>;

const connection = new HubConnectionBuilder()
  .withUrl("/market", { accessTokenFactory: freshToken })
  .withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => 2_000 })
  .build();
const market = new MarketHub(connection);

onMarket(connection, {
  changed: (price) => show(price.share, price.cents),
  bought: (share, number) => show("bought", number, share),
  confirm: (question) => confirm(question), // the hub waits for the answer
});

connection.onreconnected(() => market.watch("ACME")); // a new connection is in no group
await connection.start();
await market.watch("ACME");

export async function follow(): Promise<void> {
  for await (const price of market.prices("ACME")) {
    show(price.cents);
    if (price.cents > 5_000) break; // cancels the stream at the hub
  }
}

async function* prices(): AsyncGenerator<Price> {
  for (let cents = 4_000; cents < 5_000; cents += 100) yield { share: "ACME", cents };
}

export async function upload(): Promise<void> {
  show(await market.import(prices()), "prices imported");
}

export async function buy(): Promise<void> {
  try {
    await market.buy("ACME", 10);
  } catch (error) {
    show(hubError(error) ?? "the connection has failed");
  }
}
