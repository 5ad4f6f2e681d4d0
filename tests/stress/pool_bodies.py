"""Workers of a pool on one channel of jobs: each job is on lease until its result has been sent."""

from typing import Any

import csp
from csp import RecvChannel, SendChannel, actor


def fails(job: int) -> bool:
    """Is it one that fails when it is handed out for the first time?"""
    return job % 20 == 7


@actor
def works(jobs: RecvChannel[Any], results: SendChannel[Any]) -> None:
    """Square the jobs until they end."""
    while True:
        try:
            lease = jobs.lease()
            with lease as job:
                csp.sleep(0.0005)
                if fails(job) and lease.deliveries == 1:
                    raise ArithmeticError(f"job {job}")
                results.send((job, job * job, lease.deliveries))
        except csp.EndOfChannel:
            return
