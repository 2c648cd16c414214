"""signalrcore: a client with threads, over WebSockets and event streams. Its long polling reads one message of each poll."""

import logging
import os
import queue
import threading
import time
import uuid

from signalrcore.hub.handlers import StreamHandler
from signalrcore.hub_connection_builder import HubConnectionBuilder
from signalrcore.messages.stream_invocation_message import StreamInvocationMessage
from signalrcore.subject import Subject
from signalrcore.types import HttpTransportType

import orders

PATIENCE = 20  # seconds


class Client:
    def __init__(self, url, transport):
        self.errors = queue.Queue()
        self.opened = queue.Queue()
        self.hub = (
            HubConnectionBuilder()
            .with_url(f"{url}/testhub", options={"transport": HttpTransportType(transport)})
            .configure_logging(logging.CRITICAL)
            .with_automatic_reconnect({"type": "raw", "keep_alive_interval": 2, "reconnect_interval": 0.2, "max_attempts": 200})
            .build()
        )
        self.hub.on_open(lambda: self.opened.put(True))
        self.hub.on_error(lambda message: self.errors.put(message.error))

    def start(self):
        self.hub.start()
        self.opened.get(timeout=PATIENCE)

    def call(self, method, *arguments, patience=PATIENCE):
        results = queue.Queue()
        self.hub.invoke(method, list(arguments), results.put)
        return results.get(timeout=patience).result

    def failure(self, method, *arguments):
        self.hub.invoke(method, list(arguments))
        return self.errors.get(timeout=PATIENCE)


def calls(client, transport):
    orders.equal(client.call("Echo", "žluť"), "žluť")
    orders.equal(client.call("GetActiveTransportName"), transport)
    messages = queue.Queue()
    client.hub.on("Message", messages.put)
    client.hub.send("InvokeWithString", ["hello"])
    orders.equal(messages.get(timeout=PATIENCE), ["hello"])
    error = client.failure("ThrowException", "boom")
    assert "InvalidOperationException: boom" in error, error


def streams(client, _):
    items, stream = queue.Queue(), StreamHandler("Stream", str(uuid.uuid4()))
    stream.subscribe({"next": items.put, "complete": lambda _: items.put("end"), "error": items.put})
    # What hub.stream does, but for its order: items that come before it returns find nobody.
    client.hub.stream_handlers[stream.invocation_id].append(stream)
    client.hub.transport.send(StreamInvocationMessage(stream.invocation_id, "Stream", [], headers=client.hub.headers))
    orders.equal([items.get(timeout=PATIENCE) for _ in range(4)], ["a", "b", "c", "end"])


def uploads(client, _):
    """The library's upload asks for no result: that the next call is answered shows that it went well."""
    subject = Subject()
    client.hub.send("StreamingConcat", subject)
    for item in "abc":
        subject.next(item)
    subject.complete()
    orders.equal(client.call("Echo", "after"), "after")
    assert client.errors.empty(), client.errors.get()


def restart(client, _):
    orders.ask("terminate")
    orders.ask("start")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            orders.equal(client.call("Echo", "again", patience=1), "again")
            return
        except Exception:  # not connected yet
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def run(name, url):
    scenario, transport = name.split(" over ")
    scenario = {"calls": calls, "streams": streams, "uploads": uploads, "restart": restart}[scenario]
    # Two threads of the library may reconnect concurrently and then disturb each other for ever,
    # whatever the server does. So a client that does not come back is replaced twice.
    for attempts_left in (2, 1, 0) if scenario is restart else (0,):
        client = Client(url, transport)
        client.start()
        try:
            return scenario(client, transport)
        except Exception:
            if not attempts_left:
                raise
        finally:
            threading.Thread(target=client.hub.stop, daemon=True).start()  # it waits for the next ping


scenarios = [f"{name} over {kind}" for name in ("calls", "streams", "uploads") for kind in ("WebSockets", "ServerSentEvents")]
scenarios.append("restart over WebSockets")  # with event streams the library does not come back, from the original either
orders.serve(scenarios, run)
os._exit(0)  # without waiting for threads of the library
