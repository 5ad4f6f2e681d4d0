"""Class actors of the redelivery tests: they handle numbered jobs, which are on lease meanwhile."""

from typing import Any

import csp
from csp import ActorRef, SendChannel, actor

DELIVERIES = 4  # how often a job is handed out at most


@actor(on_crash="redeliver", max_deliveries=DELIVERIES, mailbox=16)
class Diligent:
    """Says which job it begins, which is when it counts as handed out, and which it has finished."""

    def __init__(self, log: SendChannel[Any]) -> None:
        self.log = log

    def work(self, job: Any) -> Any:
        self.log.send(("begun", job))
        csp.sleep(0.001)
        self.log.send(("done", job))
        return job


@actor(on_crash="redeliver", max_deliveries=DELIVERIES, mailbox=16)
class DiligentTask(Diligent):
    """The same in an event loop."""

    async def work(self, job: Any) -> Any:
        await self.log.asend(("begun", job))
        await csp.after(0.001).arecv()
        await self.log.asend(("done", job))
        return job


def produce(refs: list[ActorRef[Any]], me: int, n: int) -> list[Any]:
    """Casts and asks in turn; the jobs that were accepted.  An answer may be lost with the life that would have given it."""
    accepted = []
    for i in range(n):
        job, ref = (me, i), refs[i % len(refs)]
        if i % 3 == 0:
            ref.ask.work(job)
        else:
            ref.cast.work(job)
        accepted.append(job)
    return accepted
