"""A web server on trio whose requests are answered by an actor on another core.  Overloaded, it says 503 instead of queueing on."""

import urllib.error
import urllib.request
from functools import partial

import trio

import csp


@csp.actor(mailbox=1)
class Renderer:
    """Renders one page after the other, each when it is let."""

    def __init__(self, gate):
        self.gate = gate

    def page(self, path):
        self.gate.recv()
        return f"rendered {path}"


async def answer(renderer, stream):
    """One HTTP request.  The mailbox bounds what may wait; who finds no room within 50 ms is sent away."""
    async with stream:
        request = await stream.receive_some(65536)
        path = request.split()[1].decode()
        try:
            reply = await renderer.acall(timeout=0.05 if path == "/three" else 10).page(path)
            status = "200 OK"
        except csp.Timeout:
            reply, status = "try later", "503 Service Unavailable"
        await stream.send_all(f"HTTP/1.0 {status}\r\nContent-Length: {len(reply)}\r\n\r\n{reply}".encode())


def fetch(url):
    """A client as there are many."""
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def main():
    gate = csp.Channel()
    renderer = Renderer.spawn(gate.receiver)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, partial(answer, renderer), 0, host="127.0.0.1"))
        base = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        got = csp.Channel(3, local=True)

        async def client(path):
            await got.asend((path, *await trio.to_thread.run_sync(fetch, base + path)))

        nursery.start_soon(client, "/one")  # in hand
        while gate.statistics().waiting_receivers < 1:
            await trio.sleep(0.001)
        nursery.start_soon(client, "/two")  # in the mailbox
        while renderer.statistics().queued < 1:
            await trio.sleep(0.001)
        nursery.start_soon(client, "/three")  # no room
        print(*await got.arecv())
        for _ in range(2):
            await gate.asend("go on")
            print(*await got.arecv())
        nursery.cancel_scope.cancel()
    print("stopped:", (await trio.to_thread.run_sync(renderer.stop)).reason)


if __name__ == "__main__":
    trio.run(main)
