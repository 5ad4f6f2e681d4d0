"""An ASGI app whose requests are answered by an actor on another core.  It knows no event loop: `acall` finds out which one it is in."""

from urllib.parse import parse_qs

import csp


@csp.actor(mailbox=1)
class Renderer:
    """Renders one page after the other, the slow ones each when it is let."""

    def __init__(self, gate):
        self.gate = gate

    def page(self, path):
        if path.startswith("/slow"):
            self.gate.recv()
        else:
            csp.sleep(0.002)
        return f"rendered {path}"


class Gateway:
    """The mailbox bounds what may wait; who has no answer within the time that he gives is sent away, with 503."""

    def __init__(self, gate):
        self.tree = csp.Supervisor([csp.ChildSpec(Renderer, args=(gate,), id="renderer")])

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.live(receive, send)
            return
        within = float(parse_qs(scope["query_string"].decode()).get("within", ["20"])[0])
        try:
            status, body = 200, await self.tree["renderer"].acall(timeout=within).page(scope["path"])
        except (csp.Timeout, csp.ActorDied):
            status, body = 503, "try later"
        length = str(len(body)).encode()
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body.encode()})

    async def live(self, receive, send):
        """The actors are there from before the first request until after the last answer."""
        await receive()
        async with self.tree:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
