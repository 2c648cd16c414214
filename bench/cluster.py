#!/usr/bin/env python3
"""cluster.py [PAIRS]: the cost of three nodes behind HAProxy with round robin, as ratios to one
node behind the same HAProxy. All run at the same time and are measured in turn, so that changes
of the host affect all. Nothing but python3 and haproxy is needed.

  connect  CPU time of all nodes per connect by WebSocket. Two of three connections open at
           another node than the one that negotiated. Beside it the same three nodes without
           that: the balancer sends both requests of a client to one node. Three processes cost
           more than one even so.
  POST     CPU time of all nodes per POST of an event stream, if it arrives at another node.
  poll     resident bytes of all nodes per parked poll, if it arrives at another node. These
           nodes collect garbage early (GOGC=10), so that it hardly counts.

Environment: D seconds of a measurement (3), N connections at a time (60), POSTS of a measurement
(6000), POLLS that are parked (1500), PROCS cores of each node (1, like the servers of run.sh)."""
import glob, http.client, json, os, socket, statistics, subprocess, sys, tempfile, time

here = os.path.dirname(os.path.abspath(__file__))
env = lambda name, default: int(os.environ.get(name, default))
pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
seconds, clients, posts, polls = env("D", 3), env("N", 60), env("POSTS", 6000), env("POLLS", 1500)
work = tempfile.TemporaryDirectory()
gateway, path = work.name + "/gateway", "/hubs/clock"
started = []


def start(*command, **variables):
    log = open(work.name + "/log", "ab")
    started.append(subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | variables))
    return started[-1]


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Nodes:
    """n gateways, of one cluster if there are several."""

    def __init__(self, n, **variables):
        self.ports, links = free_ports(n), [f"127.0.0.1:{p}" for p in free_ports(n)]
        self.processes = []
        for port, link in zip(self.ports, links):
            cluster = ["--cluster-addr", link, "--cluster-peers", ",".join(links), "--cluster-secret-file", work.name + "/secret"]
            self.processes.append(start(gateway, "--addr", f"127.0.0.1:{port}", "--interval=-1s", "--log-level=error",
                                        "--max-per-address=-1", *(cluster if n > 1 else []), GOMAXPROCS=os.environ.get("PROCS", "1"), **variables))
        for port in self.ports:
            await_port(port)

    def cpu(self):
        return cpu(self.processes)

    def resident(self):
        return sum(int(open(f"/proc/{p.pid}/statm").read().split()[1]) for p in self.processes) * os.sysconf("SC_PAGE_SIZE")


def cpu(processes):
    """Seconds of CPU time of processes."""
    total = 0
    for p in processes:
        for name in glob.glob(f"/proc/{p.pid}/task/*/schedstat"):
            total += int(open(name).read().split()[0])
    return total / 1e9


def await_port(port):
    deadline = time.time() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.time() > deadline:
                raise
            time.sleep(0.02)


def balance(three, one):
    """Starts HAProxy and returns its ports: round robin, by the header X-Node, one node."""
    ports = free_ports(3)
    servers = "".join(f"  server s{i} 127.0.0.1:{p}\n" for i, p in enumerate(three.ports))
    with open(work.name + "/haproxy.cfg", "w") as f:
        f.write("global\n  maxconn 4000\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  timeout tunnel 1h\n")
        f.write(f"listen three\n  bind 127.0.0.1:{ports[0]}\n  balance roundrobin\n{servers}")
        f.write(f"listen sticky\n  bind 127.0.0.1:{ports[1]}\n" + "".join(f"  use-server s{i} if {{ hdr(X-Node) {i} }}\n" for i in range(3)) + servers)
        f.write(f"listen one\n  bind 127.0.0.1:{ports[2]}\n  server s0 127.0.0.1:{one.ports[0]}\n")
    start("haproxy", "-f", work.name + "/haproxy.cfg")
    for port in ports:
        await_port(port)
    return ports


def connects(nodes, *loads):
    """CPU time in µs per connect. Each load is a port, a number of connections and more flags of bench."""
    before = nodes.cpu()
    running = [subprocess.Popen([gateway, "bench", "--mode=connect", "--json", "--warmup=0s", f"-d{seconds}s", f"-c{n}", *flags,
                                 f"http://127.0.0.1:{port}{path}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for port, n, *flags in loads]
    count = sum(json.loads(r.communicate()[0])["operations"] for r in running)
    return (nodes.cpu() - before) * 1e6 / count


class Client:
    """A connection of an event stream or of long polling. A request names the node that it is for."""

    def __init__(self, nodes):
        self.nodes, self.conns = nodes, {}
        self.token = json.loads(self.send("POST", path + "/negotiate?negotiateVersion=1", 0))["connectionToken"]
        self.url = f"{path}?id={self.token}"

    def conn(self, node):
        if node not in self.conns:
            self.conns[node] = http.client.HTTPConnection("127.0.0.1", self.nodes.ports[node], timeout=60)
        return self.conns[node]

    def send(self, method, url, node, body=b""):
        self.conn(node).request(method, url, body)
        answer = self.conns[node].getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} at node {node}: {answer.status}")
        return content

    def begin(self, accept=None):
        """Opens the transport at node 0 and shakes hands. accept: an event stream."""
        if accept:
            self.stream = http.client.HTTPConnection("127.0.0.1", self.nodes.ports[0], timeout=60)
            self.stream.request("GET", self.url, headers={"Accept": accept})
            self.events = self.stream.getresponse()
        else:
            self.send("GET", self.url, 0)
        self.send("POST", self.url, 0, b'{"protocol":"json","version":1}\x1e')
        return self

    def park(self, node):
        """Leaves a poll at a node, over a network connection of its own."""
        self.send("GET", self.url, 0)  # the answer of the handshake
        s = socket.create_connection(("127.0.0.1", self.nodes.ports[node]))
        s.sendall(f"GET {self.url} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        for c in self.conns.values():
            c.close()
        self.conns, self.poll = {}, s


def post(client, node):
    before = client.nodes.cpu()
    for _ in range(posts):
        client.send("POST", client.url, node, b'{"type":6}\x1e')
    return (client.nodes.cpu() - before) * 1e6 / posts


def parked(node):
    """Resident bytes per poll that is parked at a node while its connection is at node 0."""
    nodes = Nodes(3, GOGC="10")
    time.sleep(2)
    warm = [Client(nodes).begin() for _ in range(20)]
    for c in warm:
        c.park(node)
    time.sleep(2)
    before, held = nodes.resident(), []
    for _ in range(polls):
        held.append(Client(nodes).begin())
        held[-1].park(node)
    time.sleep(12)  # a poll that has waited for ten seconds has no goroutine
    grown = (nodes.resident() - before) / polls
    for c in warm + held:
        c.poll.close()
    for p in nodes.processes:
        p.kill()
        p.wait()
    return grown


def show(name, unit, measured, *of):
    """Prints medians, and the median, least and largest ratio of pairs."""
    print(f"{name:8}" + ", ".join(f"{title} {statistics.median(column):.0f} {unit}" for title, column in zip(of, zip(*measured))), flush=True)
    for i, title in enumerate(of[1:], 1):
        ratios = sorted(m[i] / m[0] for m in measured)
        print(f"{'':8}{title}: {statistics.median(ratios):.2f} x, from {ratios[0]:.2f} to {ratios[-1]:.2f} ({len(ratios)})", flush=True)


def main():
    subprocess.run(["go", "build", "-o", gateway, "./cmd/gateway"], cwd=here + "/..", check=True)
    with open(work.name + "/secret", "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as f:
        subprocess.run([gateway, "secret"], stdout=f, check=True)
    three, one = Nodes(3), Nodes(1)
    robin, sticky, alone = balance(three, one)
    measures = [lambda: connects(one, (alone, clients)), lambda: connects(three, (robin, clients)),
                lambda: connects(three, *((sticky, clients // 3, f"--header=X-Node={i}") for i in range(3)))]
    time.sleep(3)
    for m in measures:
        m()  # warms up
    rounds = []
    for i in range(pairs):
        order = [0, 1, 2] if i % 2 else [2, 1, 0]
        got = {k: measures[k]() for k in order}
        rounds.append([got[k] for k in range(3)])
    show("connect", "µs", rounds, "one node", "three nodes", "three nodes without claims")
    stream = Client(three).begin("text/event-stream")
    rounds = [[post(stream, 0), post(stream, 1)] for _ in range(pairs)]
    show("POST", "µs", rounds, "direct", "forwarded")
    show("poll", "bytes", [[parked(0), parked(1)]], "local", "forwarded")


def run(main):
    """Runs main, and ends all processes that it has started."""
    try:
        main()
    finally:
        for p in started:
            p.kill()
            p.wait()
        work.cleanup()


if __name__ == "__main__":
    run(main)
