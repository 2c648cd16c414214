import { equal } from "../check.js";

export const groups = [
  {
    name: "groups",
    async run(session) {
      const members = [session.build("/lab"), session.build("/lab"), session.build("/lab")];
      const seen = members.map(() => []);
      const last = members.map((connection, i) => new Promise(resolve => {
        connection.on("Group", text => { seen[i].push(text); });
        connection.on("Others", text => { seen[i].push(text); });
        connection.on("All", text => { seen[i].push(text); resolve(); });
      }));
      await Promise.all(members.map(connection => connection.start()));
      await Promise.all([members[0].invoke("Join", "red"), members[1].invoke("Join", "red"), members[2].invoke("Join", "blue")]);

      const [one] = members;
      await one.invoke("Group", "red", "to the red");
      await one.invoke("Group", "blue", "to the blue");
      await one.invoke("Group", "nobody", "to nobody");
      await one.invoke("Others", "to the others");
      await one.invoke("All", "to all");
      await Promise.all(last); // what one sends to another arrives in order, so nothing can come later
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
      await staying.invoke("Group", "team", "hello");
      await staying.invoke("All", "end");
      await all.next();
      equal(await kept.next(), ["hello"], "the member");
      equal(gone.items, [], "the one that left");
    },
  },
];
