import { equal, truth } from "../check.js";

export const clock = [
  {
    name: "ticks of the clock",
    async run(session) {
      const connection = session.build("/hubs/clock");
      const ticks = session.calls(connection, "ShowTime");
      await connection.start();
      const [first] = await ticks.next();
      const [second] = await ticks.next();
      equal(first instanceof Date, session.binary, "the time is a Date");
      truth(Date.parse(first) > Date.UTC(2020), `${first} is no time of today`);
      truth(Date.parse(second) > Date.parse(first), `${first}, ${second} is no progress`);
    },
  },
  {
    name: "a client sets off a tick",
    async run(session) {
      const connection = session.build("/hubs/clock");
      const other = session.build("/hubs/clock");
      const ticks = session.calls(other, "ShowTime");
      await Promise.all([connection.start(), other.start()]);
      await session.joined(other);
      const time = new Date(Date.UTC(2001, 1, 3, 4, 5, 6));
      await connection.invoke("SendTimeToClients", time);
      for (;;) {
        const [tick] = await ticks.next();
        if (new Date(tick).getTime() === time.getTime()) {
          return;
        }
        truth(Date.parse(tick) > Date.UTC(2020), `tick ${tick}, want ${time.toISOString()} or now`);
      }
    },
  },
];
