"""A pool of workers: all receive from one channel, so whoever is free takes the next job."""

import csp
from csp import ActorFailed, RecvChannel, SendChannel, actor

WORKERS = 3


@actor
def worker(jobs: RecvChannel, results: SendChannel) -> int:
    handled = 0
    for n in jobs:  # ends when the jobs do
        steps, at = 0, n
        while at != 1:  # Collatz
            at = at // 2 if at % 2 == 0 else 3 * at + 1
            steps += 1
        results.send((n, steps))
        handled += 1
    return handled


@actor
def clumsy(jobs: RecvChannel) -> None:
    with jobs.lease() as job:  # goes back to the channel if the block fails
        raise ValueError(f"dropped job {job}")


def main() -> None:
    jobs, take_job = csp.channel(capacity=32)
    give_result, results = csp.channel(capacity=32)

    jobs.send_many(range(1, 21))
    try:
        clumsy.spawn(take_job).result()
    except ActorFailed as error:
        print("one worker failed:", error.remote.message)

    workers = [worker.spawn(take_job, give_result) for _ in range(WORKERS)]
    jobs.close()
    give_result.close()
    steps = dict(sorted(results))  # until the last worker is gone
    handled = [ref.result() for ref in workers]

    print(len(steps), "results,", sum(handled), "jobs handled, none lost")
    print("the longest way has", max(steps.values()), "steps, from", max(steps, key=steps.__getitem__))


if __name__ == "__main__":
    main()
