"""A pool of class actors under a supervisor: a message that its worker crashes over goes to the next life.

The mailbox belongs to the reference, not to one life, so the messages behind it wait meanwhile.  What crashes
every life ends as a dead letter, and the rest of the work goes on.
"""

import csp
from csp import SendChannel, actor

WORKERS = 2


@actor(on_crash="redeliver", max_deliveries=3)
class Worker:
    def __init__(self, results: SendChannel, crashes: SendChannel) -> None:
        self.results, self.crashes = results, crashes

    def on_receive(self, job: tuple[int, int]) -> None:
        number, bad_lives = job
        life = csp.current_actor().ref.epoch
        if life <= bad_lives:
            self.crashes.send(number)
            raise RuntimeError(f"job {number} crashes life {life}")
        self.results.send((number, number * number))


def main() -> None:
    results, crashes = csp.Channel(100), csp.Channel(100)
    pool = csp.ChildSpec(Worker, args=(results.sender, crashes.sender), id="worker", count=WORKERS)
    with csp.Supervisor([pool], max_restarts=10) as tree:
        workers = [tree[f"worker[{n}]"] for n in range(WORKERS)]
        for number in range(10):
            bad_lives = {2: 1, 7: 99}.get(number, 0)  # job 2 crashes a first life, job 7 crashes them all
            workers[number % WORKERS].send((number, bad_lives))

        squares = sorted(results.recv(timeout=30) for _ in range(9))
        letter = csp.dead_letters.recv(timeout=30)
        lives = [ref.epoch for ref in workers]

    crashes.close()
    print("crashed over:", sorted(crashes))
    print("squares:", squares)
    print("dead letter:", letter.message, "after", letter.deliveries, "deliveries")
    print("lives of the two workers:", lives)


if __name__ == "__main__":
    main()
