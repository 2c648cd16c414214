"""pysignalr: a client on asyncio, over WebSockets."""

import asyncio

from pysignalr.client import SignalRClient

import orders

PATIENCE = 20  # seconds


class Client:
    def __init__(self, url):
        self.hub = SignalRClient(f"{url}/testhub")
        self.opened = asyncio.Event()
        self.errors = asyncio.Queue()
        self.hub.on_open(self.open)
        self.hub.on_error(self.errors.put)
        self.running = asyncio.create_task(self.hub.run())

    async def open(self):
        self.opened.set()

    async def start(self):
        opened = asyncio.create_task(self.opened.wait())
        await asyncio.wait([opened, self.running], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if self.running.done():
            self.running.result()  # raises why
        assert self.opened.is_set(), "it does not open"

    async def call(self, method, *arguments):
        results = asyncio.Queue()
        await self.hub.send(method, list(arguments), results.put)
        return (await asyncio.wait_for(results.get(), PATIENCE)).result

    async def stop(self):
        self.running.cancel()
        await asyncio.wait([self.running])


async def calls(client, _):
    orders.equal(await client.call("Echo", "žluť"), "žluť")
    orders.equal(await client.call("GetActiveTransportName"), "WebSockets")
    messages = asyncio.Queue()
    client.hub.on("Message", messages.put)
    await client.hub.send("InvokeWithString", ["hello"])
    orders.equal(await asyncio.wait_for(messages.get(), PATIENCE), ["hello"])
    await client.hub.send("ThrowException", ["boom"], asyncio.Queue().put)
    error = (await asyncio.wait_for(client.errors.get(), PATIENCE)).error
    assert "InvalidOperationException: boom" in error, error


async def streams(client, _):
    items = asyncio.Queue()

    async def complete(_):
        await items.put("end")

    await client.hub.stream("Stream", [], items.put, complete)
    orders.equal([await asyncio.wait_for(items.get(), PATIENCE) for _ in range(4)], ["a", "b", "c", "end"])


async def uploads(client, _):
    """The library's upload asks for no result: that the next call is answered shows that it went well."""
    async with client.hub.client_stream("StreamingConcat") as stream:
        for item in "abc":
            await stream.send(item)
    orders.equal(await client.call("Echo", "after"), "after")
    assert client.errors.empty(), client.errors.get_nowait()


async def restart(client, url):
    """The library asks for the old connection again: an application starts a new client."""
    await asyncio.to_thread(orders.ask, "terminate")
    await asyncio.to_thread(orders.ask, "start")
    await client.stop()
    again = Client(url)
    try:
        await again.start()
        orders.equal(await again.call("Echo", "again"), "again")
    finally:
        await again.stop()


async def connected(name, url):
    client = Client(url)
    try:
        await client.start()
        await {"calls": calls, "streams": streams, "uploads": uploads, "restart": restart}[name](client, url)
    finally:
        await client.stop()


orders.serve(["calls", "streams", "uploads", "restart"], lambda name, url: asyncio.run(connected(name, url)))
