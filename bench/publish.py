#!/usr/bin/env python3
"""publish.py [PAIRS]: what publishing by HTTP costs, and whether it keeps its promises under load.

  cost  CPU time of the gateway per publication, as a ratio to a net/http handler that reads the same
        body. Both run at the same time and are measured in turn, so that changes of the host
        affect both. With an API key and with a token, to a group without connections and to one
        connection.
  load  1,000 publications a second, each to one of 1,000 WebSockets, and then 30 a second to all
        of them. Counts what is lost, comes twice or out of order, and prints the gateway's memory.

Nothing but python3 and Go is needed. Environment: REQUESTS of a measurement (5000), SECONDS of
each part of the load (60; 0: none), CLIENTS (1000)."""
import base64, hashlib, hmac, json, os, statistics, subprocess, sys, threading, time

sys.dont_write_bytecode = True
from cluster import await_port, cpu, env, free_ports, here, run, start, work

pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
requests, seconds, clients = env("REQUESTS", 5000), env("SECONDS", 60), env("CLIENTS", 1000)
api_key, access_key = "an-API-key-of-this-benchmark-0001", "an-access-key-of-this-benchmark-01"
query = "?api-version=2024-12-01"


def write(name, text):
    with open(work.name + "/" + name, "w") as f:
        f.write(text)
    return f.name


def token(audience):
    part = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
    text = b".".join(part(json.dumps(v).encode()) for v in ({"alg": "HS256", "typ": "JWT"}, {"aud": audience, "exp": int(time.time()) + 3600, "nameid": "bench"}))
    return (text + b"." + part(hmac.new(access_key.encode(), text, hashlib.sha256).digest())).decode()


def resident(process):
    return int(open(f"/proc/{process.pid}/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def per_request(server, url, header):
    before = cpu([server])
    subprocess.run([work.name + "/publish", "-url", url, "-header", header, "-requests", str(requests)], check=True)
    return (cpu([server]) - before) / requests * 1e6


def cost(gateway, base, sink, sink_url, connection):
    group, one = base + "/api/hubs/chat/groups/none/:send", f"{base}/api/hubs/chat/connections/{connection}/:send"
    key = "X-Api-Key: " + api_key
    rows = [("API key, no receiver", group, key), ("API key, one connection", one, key),
            ("token, no receiver", group, "Authorization: Bearer " + token(group)), ("token, one connection", one, "Authorization: Bearer " + token(one))]
    ratios, floor = {name: [] for name, _, _ in rows}, []
    for pair in range(pairs + 1):  # the first is not counted
        for name, url, header in rows:
            both = [per_request(sink, sink_url, key), per_request(gateway, url + query, header)]
            if pair:
                floor.append(both[0])
                ratios[name].append(both[1] / both[0])
    print(f"net/http handler: {statistics.median(floor):.1f} us of CPU time per request")
    for name, values in ratios.items():
        print(f"{name}: {statistics.median(values):.2f} times as much ({min(values):.2f} to {max(values):.2f})", flush=True)


def load(gateway, base):
    memory, parts = [], []
    p = subprocess.Popen([work.name + "/publish", "-load", "-url", base, "-header", "X-Api-Key: " + api_key, "-seconds", str(seconds), "-clients", str(clients)], stdout=subprocess.PIPE, text=True)
    threading.Thread(target=lambda: parts.extend(json.loads(line) for line in p.stdout), daemon=True).start()
    while p.poll() is None:
        if parts:
            memory.append(resident(gateway))
        time.sleep(1)
    for part in parts[1:]:
        print(json.dumps(part))
    tenth = [f"{m:.0f}" for m in memory[:: max(1, len(memory) // 10)]]
    print("resident MB of the gateway, over the time:", " ".join(tenth), flush=True)
    return p.returncode


def main():
    for module, package, name in ((here + "/..", "./cmd/gateway", "gateway"), (here, "./publish", "publish")):
        subprocess.run(["go", "build", "-o", work.name + "/" + name, package], cwd=module, check=True)
    port, sink_port = free_ports(2)
    api, access = write("api.key", api_key), write("access.key", access_key)
    config = write("gateway.yaml", f"hubs:\n  chat:\n    api-key-file: {api}\n    access-key-file: {access}\n    clients: {{anonymous: true}}\n")
    gateway = start(work.name + "/gateway", "--config", config, "--addr", f"127.0.0.1:{port}", "--log-level=warn")
    sink = start(work.name + "/publish", "-sink", f"127.0.0.1:{sink_port}")
    await_port(port)
    await_port(sink_port)
    base = f"http://127.0.0.1:{port}"
    watch = subprocess.Popen([work.name + "/gateway", "watch", base + "/hubs/chat", "--json", "--target", "none", "--transport", "websockets"], stdout=subprocess.PIPE, text=True)
    connection = next(e["connectionId"] for e in map(json.loads, watch.stdout) if e.get("connectionId"))
    try:
        cost(gateway, base, sink, f"http://127.0.0.1:{sink_port}/", connection)
        watch.kill()
        return load(gateway, base) if seconds else 0
    finally:
        watch.kill()
        for p in (gateway, sink):
            p.kill()


if __name__ == "__main__":
    run(main)
