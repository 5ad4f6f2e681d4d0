"""A web server on trio (hypercorn) whose requests are answered by an actor.  Overloaded, it says 503 instead of queueing on; it stops in order."""

from collections import Counter
from functools import partial

import trio
from gateway.app import Gateway
from gateway.client import fetch

import csp


async def main():
    from hypercorn.config import Config  # here, since the interpreter of the actor imports this file too
    from hypercorn.trio import serve

    config, leave = Config(), trio.Event()
    config.bind, config.errorlog = "127.0.0.1:0", None

    gate, got = csp.Channel(), csp.Channel(float("inf"), local=True)
    gateway = Gateway(gate.receiver)
    async with trio.open_nursery() as nursery:
        [base] = await nursery.start(partial(serve, gateway, config, shutdown_trigger=leave.wait))

        async def client(path):
            await got.asend((path, *await trio.to_thread.run_sync(fetch, base + path)))

        async def until(condition):
            while not condition():
                await trio.sleep(0.001)

        nursery.start_soon(client, "/slow/one")
        await until(lambda: gate.statistics().waiting_receivers)  # in hand
        nursery.start_soon(client, "/slow/two")
        await until(lambda: gateway.tree["renderer"].statistics().queued)  # in the mailbox
        nursery.start_soon(client, "/slow/three?within=0.05")  # no room
        print(*await got.arecv())
        for _ in range(2):
            await gate.asend("go on")
            print(*await got.arecv())

        for n in range(400):
            nursery.start_soon(client, f"/fast?within={n % 2 * 20}")
        answers = Counter([(await got.arecv())[1:] for _ in range(400)])
        print(answers.total(), "more, each answered by one of", sorted(answers))

        nursery.start_soon(client, "/slow/last")
        await until(lambda: gate.statistics().waiting_receivers)
        leave.set()  # no more connections; what is in hand is finished; then the tree is stopped
        await gate.asend("go on")
        print(*await got.arecv())
    print("stopped:", gateway.tree.count_children().active, "actors left")


if __name__ == "__main__":
    trio.run(main)
