"""A web server on asyncio (hypercorn) whose requests are answered by an actor.  Overloaded, it says 503 instead of queueing on; it stops in order."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from gateway.app import Gateway
from gateway.client import fetch

import csp


async def main():
    from hypercorn.asyncio import serve  # here, since the interpreter of the actor imports this file too
    from hypercorn.config import Config

    config, leave = Config(), asyncio.Event()
    config.bind, config.errorlog = "127.0.0.1:0", None
    [listener] = config.create_sockets().insecure_sockets
    listener.listen()
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config.bind = f"fd://{listener.detach()}"

    gate = csp.Channel()
    gateway = Gateway(gate.receiver)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(20))

    def client(path):
        return asyncio.create_task(asyncio.to_thread(fetch, base + path))

    async def until(condition):
        while not condition():
            await asyncio.sleep(0.001)

    async with asyncio.TaskGroup() as group:
        group.create_task(serve(gateway, config, shutdown_trigger=leave.wait))

        one = client("/slow/one")
        await until(lambda: gate.statistics().waiting_receivers)  # in hand
        two = client("/slow/two")
        await until(lambda: gateway.tree["renderer"].statistics().queued)  # in the mailbox
        print("/slow/three", *await client("/slow/three?within=0.05"))  # no room
        for path, answer in [("/slow/one", one), ("/slow/two", two)]:
            await gate.asend("go on")
            print(path, *await answer)

        answers = Counter(await asyncio.gather(*[client(f"/fast?within={n % 2 * 20}") for n in range(400)]))
        print(answers.total(), "more, each answered by one of", sorted(answers))

        last = client("/slow/last")
        await until(lambda: gate.statistics().waiting_receivers)
        leave.set()  # no more connections; what is in hand is finished; then the tree is stopped
        await gate.asend("go on")
        print("/slow/last", *await last)
    print("stopped:", gateway.tree.count_children().active, "actors left")


if __name__ == "__main__":
    asyncio.run(main())
