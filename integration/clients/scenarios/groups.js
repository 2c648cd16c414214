import { equal } from "../check.js";

export const groups = [
  {
    name: "groups",
    async run(session) {
      const members = [session.build("/lab"), session.build("/lab"), session.build("/lab")];
      const seen = members.map(() => []);
      let wake = () => {};
      members.forEach((connection, i) => {
        for (const method of ["Group", "Others", "All"]) {
          connection.on(method, text => { seen[i].push(text); wake(); });
        }
      });
      // Nodes promise no order between audiences, so each message is awaited before the next.
      const reached = async (...counts) => {
        while (counts.some((n, i) => seen[i].length < n)) {
          await new Promise(resolve => { wake = resolve; });
        }
      };
      await Promise.all(members.map(connection => connection.start()));
      await Promise.all([members[0].invoke("Join", "red"), members[1].invoke("Join", "red"), members[2].invoke("Join", "blue")]);

      const [one] = members;
      await one.invoke("Group", "red", "to the red");
      await reached(1, 1, 0);
      await one.invoke("Group", "blue", "to the blue");
      await reached(1, 1, 1);
      await one.invoke("Group", "nobody", "to nobody");
      await one.invoke("Others", "to the others");
      await reached(1, 2, 2);
      await one.invoke("All", "to all");
      await reached(2, 3, 3);
      equal(seen, [
        ["to the red", "to all"],
        ["to the red", "to the others", "to all"],
        ["to the blue", "to the others", "to all"],
      ], "what each connection got");
    },
  },
  {
    name: "a group is left with the connection",
    async run(session) {
      const [leaving, staying] = [session.build("/lab"), session.build("/lab")];
      const [gone, kept] = [session.calls(leaving, "Group"), session.calls(staying, "Group")];
      const all = session.calls(leaving, "All");
      await Promise.all([leaving.start(), staying.start()]);
      await Promise.all([leaving.invoke("Join", "team"), staying.invoke("Join", "team")]);
      await leaving.stop();
      await leaving.start(); // a new connection, in no group
      await session.joined(leaving);
      await staying.invoke("Group", "team", "hello");
      await staying.invoke("All", "end");
      await all.next();
      equal(await kept.next(), ["hello"], "the member");
      equal(gone.items, [], "the one that left");
    },
  },
];
