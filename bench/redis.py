#!/usr/bin/env python3
"""redis.py [ROUNDS]: the cost of a broadcast through Redis to the WebSockets of two nodes, for our
bench server, for ASP.NET Core and for the centrifuge library. All nodes run at the same time, on
one redis-server, and are measured in turn, so that changes of the host affect all. Each round
opens new connections at both nodes of a peer, and fires the broadcasts at node A.

  one at a time    CPU time of both nodes and of Redis per delivered message. The next broadcast
                   begins when all connections of node B have the last one.
  one a second     the same, and the time from the publication at A to the last client of B.
  return           our server alone: time until all channels of CHANNELS / 2 connections, each
                   with a group of its own, are subscribed after Redis is killed and back.
  deaf             our server alone: time until it replaces a subscribing connection on which
                   nothing arrives any more. REPEATS times, like the one before.

It needs python3, redis-server, and the load generator and the peers that run.sh has built.
Environment: N connections of each node (3000), D seconds one at a time, and twice as many one a
second (6), WARM seconds of the first round, which is not counted (10), CHANNELS (20000), REPEATS
(3; 0: none)."""
import json, os, re, socket, statistics, subprocess, sys, threading, time

sys.dont_write_bytecode = True
from cluster import await_port, cpu, env, free_ports, here, run, start, started, work

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
n, seconds, warm, channels, repeats = env("N", 3000), env("D", 6), env("WARM", 10), env("CHANNELS", 20000), env("REPEATS", 3)
cache = os.environ.get("BENCH_WORK", os.path.expanduser("~/.cache/carillon-bench"))
peers = os.environ.get("PEERS", here + "/../../shared/bench")


def stop(process):
    process.kill()
    process.wait()
    started.remove(process)


class Redis:
    def __init__(self):
        [self.port] = free_ports(1)
        self.begin()

    def begin(self):
        self.process = start("redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", work.name)
        await_port(self.port)

    def channels(self):
        """The number of channels that have a subscriber."""
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.sendall(b"INFO stats\r\n")
            text = b""
            while not (found := re.search(rb"pubsub_channels:(\d+)\r", text)):
                text += s.recv(1 << 16)
        return int(found[1])


class Ours:
    name, load = "carillon", ["-proto", "signalr-ws", "-path", "/bench"]

    def node(self, port, control, redis):
        return start(work.name + "/server", f"-addr=127.0.0.1:{port}", f"-control=127.0.0.1:{control}", f"-redis=redis://127.0.0.1:{redis}")


class Centrifuge:
    name, load = "centrifuge", ["-proto", "centrifuge-ws", "-path", "/ws"]

    def node(self, port, control, redis):
        return start(cache + "/bin/centrifuge", f"-addr=127.0.0.1:{port}", f"-ctl=127.0.0.1:{control}", f"-redis=127.0.0.1:{redis}")


class AspNet:
    name, load = "ASP.NET Core", Ours.load

    def node(self, port, control, redis):
        """The program replaces the script. Idle threads are kept: one that ends takes its CPU time out of /proc."""
        return start(peers + "/../reference/aspnet", "bench", "-addr", f"127.0.0.1:{port}", "-ctl", f"127.0.0.1:{control}", "-redis", f"127.0.0.1:{redis}",
                     DOTNET_ThreadPool_ThreadTimeoutMs="600000", DOTNET_TC_BackgroundWorkerTimeoutMs="927C0")


class Pair:
    """Two nodes of a peer."""

    def __init__(self, peer, redis):
        self.peer, self.redis = peer, redis
        self.ports, self.controls = free_ports(2), free_ports(2)
        self.nodes = [peer.node(p, c, redis.port) for p, c in zip(self.ports, self.controls)]
        for port in self.ports + self.controls:
            await_port(port)

    def open(self, i, *flags):
        command = [cache + "/loadgen", "-mode=broadcast", f"-n={n}", "-addr", f"127.0.0.1:{self.ports[i]}", *self.peer.load, "-spin=false", "-warm=0s", *flags]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        self.await_line(started[-1])  # the first phase is over: all connections are open
        return started[-1]

    def await_line(self, load):
        line = load.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.peer.name}: a load generator failed")
        return json.loads(line)

    def measure(self, *phases):
        """A list of CPU time in µs per message, and of the median time of the last in ms."""
        passive = self.open(0, "-phases=r0:100ms,r0:1h")
        active = self.open(1, "-fire", f"http://127.0.0.1:{self.controls[0]}/fire", "-phases=r0:2s," + ",".join(phases))
        got = []
        for _ in phases:
            before = cpu(self.nodes + [self.redis.process])
            r = self.await_line(active)
            used = cpu(self.nodes + [self.redis.process]) - before
            if r["missing"] or r["closed"]:
                raise RuntimeError(f"{self.peer.name}: {r}")
            got.append((used * 1e6 / (r["broadcasts"] * 2 * n), r["last_p50_us"] / 1e3))
        stop(passive)
        active.wait()
        started.remove(active)
        return got


def spread(values, form):
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def compare(pairs):
    for p in pairs:
        p.measure(f"w1:{warm}s", "r1:2s")
    got = {p.peer.name: [] for p in pairs}
    for i in range(rounds):
        for p in pairs if i % 2 else pairs[::-1]:
            got[p.peer.name].append(p.measure(f"w1:{seconds}s", f"r1:{2 * seconds}s"))
            print(f"round {i + 1}: {p.peer.name:13}", ", ".join(f"{c:.1f} µs {ms:.0f} ms" for c, ms in got[p.peer.name][-1]), file=sys.stderr, flush=True)
    ours = got[Ours.name]
    for phase, column, title in [(0, 0, "one at a time, µs a message"), (1, 0, "one a second, µs a message"), (1, 1, "one a second, ms to the last of B")]:
        print(title)
        for name, measured in got.items():
            print(f"  {name:13}{spread([m[phase][column] for m in measured], '.1f')}", end="")
            ratios = [o[phase][column] / m[phase][column] for o, m in zip(ours, measured)]
            print("" if name == Ours.name else f"; carillon has {spread(ratios, '.2f')} x", flush=True)


def returns(redis):
    """Seconds until all channels are subscribed after Redis is back."""
    port, control = free_ports(2)
    node = Ours().node(port, control, redis.port)
    await_port(control)
    load = subprocess.Popen([cache + "/loadgen", "-mode=idle", f"-n={channels // 2}", "-addr", f"127.0.0.1:{port}", *Ours.load, "-spin=false", "-settle=1h"])
    started.append(load)
    times = []
    while redis.channels() < channels:
        time.sleep(0.1)
    for _ in range(repeats):
        time.sleep(3)
        stop(redis.process)
        time.sleep(3)
        redis.begin()
        begin = time.time()
        while redis.channels() < channels:
            time.sleep(0.005)
        times.append(time.time() - begin)
    stop(load)
    stop(node)
    return times


class Relay(threading.Thread):
    """Relays connections to Redis. While it is silent, nothing from Redis arrives at subscribers."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.to, self.silent, self.accepted = port, False, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.start()

    def run(self):
        while True:
            client, _ = self.listener.accept()
            self.accepted += 1
            server, subscribes = socket.create_connection(("127.0.0.1", self.to)), threading.Event()
            threading.Thread(target=self.copy, args=(client, server, subscribes, False), daemon=True).start()
            threading.Thread(target=self.copy, args=(server, client, subscribes, True), daemon=True).start()

    def copy(self, source, to, subscribes, back):
        try:
            while data := source.recv(1 << 16):
                if b"SUBSCRIBE" in data:
                    subscribes.set()
                if not (back and self.silent and subscribes.is_set()):
                    to.sendall(data)
        except OSError:
            pass
        for s in (source, to):
            s.close()


def deaf(redis):
    """Seconds until a subscribing connection that has become silent is replaced."""
    times = []
    for _ in range(repeats):
        relay, (port, control) = Relay(redis.port), free_ports(2)
        node = Ours().node(port, control, relay.listener.getsockname()[1])
        await_port(control)
        time.sleep(4)
        before, relay.silent, begin = relay.accepted, True, time.time()
        while relay.accepted == before:
            time.sleep(0.01)
        times.append(time.time() - begin)
        stop(node)
    return times


def main():
    subprocess.run(["go", "build", "-o", work.name + "/server", "./server"], cwd=here, check=True)
    redis = Redis()
    pairs = [Pair(peer, redis) for peer in (Ours(), AspNet(), Centrifuge())]
    if rounds:
        compare(pairs)
    for p in pairs:
        for node in p.nodes:
            stop(node)
    if repeats:
        print(f"return: {spread(returns(redis), '.2f')} s")
        print(f"deaf: {spread(deaf(redis), '.1f')} s")


run(main)
