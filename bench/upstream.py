#!/usr/bin/env python3
"""upstream.py [ROUNDS]: how much a faulty backend of one hub delays another hub of the same
gateway. The hub "bad" gets RATE invocations a second from N clients all the time. Its backend is
well, and then has each fault; "good" has a backend that is always well. Both states of a pair are
measured in turn, so that changes of the host affect both. The medians of "good" are printed, and
their ratios to those with a well backend:

  invoke     from the invocation of a client to its completion by the backend
  broadcast  from the request for publishing to the message at a client

Nothing but python3 and go is needed. Environment: D seconds of a measurement (3), RATE (50),
N (25), FAULTS (all; names separated by commas)."""
import asyncio, base64, http.client, json, os, socket, statistics, subprocess, sys, tempfile, time

env = lambda name, default: int(os.environ.get(name, default))
here = os.path.dirname(os.path.abspath(__file__))
faults = os.environ.get("FAULTS", "hang,status,large,die,other,drip").split(",")


class Client:
    """A client of a hub by WebSocket, without negotiation."""

    def __init__(self, port, hub):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.socket.sendall(f"GET /hubs/{hub} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        self.buffer = self.buffer.split(b"\r\n\r\n", 1)[1]
        self.send({"protocol": "json", "version": 1})
        self.frame()

    def more(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise RuntimeError("the gateway has closed a connection")
        self.buffer += data

    def send(self, message):
        text = json.dumps(message).encode() + b"\x1e"
        self.socket.sendall(b"\x81\xfe" + len(text).to_bytes(2, "big") + b"\0\0\0\0" + text)

    def frame(self):
        while True:
            if len(self.buffer) >= 2:
                size, at = self.buffer[1] & 127, 2
                if size == 126:
                    size, at = int.from_bytes(self.buffer[2:4], "big"), 4
                if len(self.buffer) >= at + size:
                    text, self.buffer = self.buffer[at:at + size], self.buffer[at + size:]
                    return text
            self.more()

    def await_text(self, text):
        while text not in self.frame():
            pass


async def backend(port, fault):
    """Serves a backend. fault is a file with the name of the fault."""

    async def serve(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                event = json.loads(await reader.readexactly(size))
                now = open(fault).read() if fault else ""
                body = json.dumps({"type": 3, "invocationId": event.get("invocationId", "0") + ("1" if now == "other" else ""), "result": 1}).encode() + b"\x1e"
                if now == "hang":
                    await asyncio.sleep(3600)
                elif now == "die":
                    return
                elif now == "drip":
                    for _ in range(3600):
                        writer.write(b"H")
                        await writer.drain()
                        await asyncio.sleep(1)
                status = "500 Oh" if now == "status" else "200 OK"
                if now == "large":
                    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"100000\r\n")
                    for i in range(20):
                        writer.write(b"x" * (1 << 20) + (b"\r\n0\r\n\r\n" if i == 19 else b"\r\n100000\r\n"))
                        await writer.drain()
                else:
                    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()


def load(port, n, rate):
    """Invokes methods of the hub "bad", each client in turn, without waiting."""
    clients = [Client(port, "bad") for _ in range(n)]
    for c in clients:
        c.socket.setblocking(False)
    begin, i = time.time(), 0
    while True:
        c = clients[i % n]
        try:
            while c.socket.recv(1 << 20):
                pass
        except BlockingIOError:
            pass
        c.send({"type": 1, "invocationId": str(i), "target": "Say", "arguments": ["x"]})
        i += 1
        time.sleep(max(0, begin + i / rate - time.time()))


class Gateway:
    def __init__(self, work):
        self.started, self.fault = [], work + "/fault"
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        self.port, good, bad = [s.getsockname()[1] for s in sockets]
        for s in sockets:
            s.close()
        self.become("")
        self.key = base64.b64encode(os.urandom(33)).decode()
        open(work + "/key", "w").write(self.key)
        hub = "  {0}:\n    clients: {{anonymous: true}}\n    upstream:\n    - url: http://127.0.0.1:{1}\n      categories: [messages]\n      timeout: 5s\n"
        open(work + "/config.yaml", "w").write(f"addr: 127.0.0.1:{self.port}\napi-key-file: {work}/key\nlog-level: error\nhubs:\n"
                                               + hub.format("good", good) + hub.format("bad", bad))
        subprocess.run(["go", "build", "-o", work + "/gateway", "./cmd/gateway"], cwd=here + "/..", check=True)
        self.start(sys.executable, __file__, "backend", str(good), "")
        self.start(sys.executable, __file__, "backend", str(bad), self.fault)
        self.start(work + "/gateway", "serve", "--config", work + "/config.yaml")
        for port in (good, bad, self.port):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.05)
        self.client = Client(self.port, "good")
        self.start(sys.executable, __file__, "load", str(self.port), str(env("N", 25)), str(env("RATE", 50)))

    def start(self, *command):
        self.started.append(subprocess.Popen(command))

    def become(self, fault):
        open(self.fault + ".new", "w").write(fault)
        os.replace(self.fault + ".new", self.fault)

    def measure(self, fault, seconds):
        """The medians of "good" in ms."""
        self.become(fault)
        time.sleep(1)
        invoke, broadcast, publisher = [], [], http.client.HTTPConnection("127.0.0.1", self.port)
        end = time.time() + seconds
        while time.time() < end:
            begin = time.perf_counter()
            self.client.send({"type": 1, "invocationId": "1", "target": "Say", "arguments": ["x"]})
            self.client.await_text(b'"result":1')
            invoke.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            publisher.request("POST", "/api/v1/hubs/good", '{"target":"tick","arguments":[1]}', {"X-Api-Key": self.key, "Content-Type": "application/json"})
            self.client.await_text(b'"tick"')
            broadcast.append(time.perf_counter() - begin)
            answer = publisher.getresponse()
            if answer.read() and answer.status != 202:
                raise RuntimeError(f"publishing is answered {answer.status}")
            time.sleep(0.005)
        if any(p.poll() is not None for p in self.started):
            raise RuntimeError("a process has ended")
        return statistics.median(invoke) * 1e3, statistics.median(broadcast) * 1e3

    def end(self):
        for p in self.started[::-1]:
            p.kill()
            p.wait()


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds = env("D", 3)
    with tempfile.TemporaryDirectory() as work:
        g = Gateway(work)
        try:
            g.measure("", seconds)
            for fault in faults:
                pairs = []
                for i in range(rounds):
                    states = ["", fault] if i % 2 else [fault, ""]
                    got = {s: g.measure(s, seconds) for s in states}
                    pairs.append((got[""], got[fault]))
                for column, title in enumerate(["invoke", "broadcast"]):
                    well, faulty = [p[0][column] for p in pairs], [p[1][column] for p in pairs]
                    ratio = [f / w for w, f in zip(well, faulty)]
                    print(f"{fault:7} {title:9} {statistics.median(well):.2f} ms well, {statistics.median(faulty):.2f} ms faulty; "
                          f"{statistics.median(ratio):.2f} x ({min(ratio):.2f} to {max(ratio):.2f})", flush=True)
        finally:
            g.end()


if len(sys.argv) > 1 and sys.argv[1] == "backend":
    asyncio.run(backend(int(sys.argv[2]), sys.argv[3]))
elif len(sys.argv) > 1 and sys.argv[1] == "load":
    load(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
else:
    main()
