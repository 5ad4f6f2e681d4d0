"""Actors in processes of their own that are sent what does not reach there."""

from typing import Any

from csp import DecodeError, RecvChannel, actor


@actor(isolation="process")
class Plain:
    def double(self, number: Any) -> Any:
        return 2 * number


@actor(isolation="process", on_crash="redeliver")
class Redelivered:
    def double(self, number: Any) -> Any:
        return 2 * number


@actor(isolation="process")
class Async:
    async def double(self, number: Any) -> Any:
        return 2 * number


@actor(isolation="process")
def lease_two(jobs: RecvChannel[Any]) -> "list[Any]":
    seen: list[Any] = []
    for _ in range(2):
        try:
            with jobs.lease() as job:
                seen.append(job)
        except DecodeError as error:
            seen.append(str(error).rpartition(": ")[0])
    return seen
