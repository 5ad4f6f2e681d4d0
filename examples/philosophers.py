"""The dining philosophers: a fork is a channel that holds one value, and nobody starves or deadlocks."""

from csp import Channel, RecvChannel, SendChannel, actor

NAMES = ["Aristotle", "Diogenes", "Hypatia", "Plato", "Socrates"]
MEALS = 20


@actor
def philosopher(name: str, forks: list[tuple[int, RecvChannel, SendChannel]], diary: SendChannel) -> int:
    # All take the fork with the lower number first.  If each took the left one first, all could hold one and wait for ever.
    (_, take_first, lay_first), (_, take_second, lay_second) = sorted(forks, key=lambda fork: fork[0])
    meals = 0
    while meals < MEALS:
        first = take_first.recv()  # waits until the fork lies on the table
        second = take_second.recv()
        meals += 1
        lay_first.send(first)
        lay_second.send(second)
    diary.send(f"{name} has eaten {meals} times")
    return meals


def main() -> None:
    table = []
    for number in range(len(NAMES)):
        fork = Channel(capacity=1, name=f"fork {number}")
        fork.send("fork")
        table.append((number, fork.receiver, fork.sender))

    diary = Channel(capacity=len(NAMES))
    guests = [philosopher.spawn(name, [table[n], table[(n + 1) % len(NAMES)]], diary.sender) for n, name in enumerate(NAMES)]
    total = sum(guest.result(timeout=60) for guest in guests)
    for line in sorted(diary.recv_many(len(NAMES))):
        print(line)
    print(total, "meals, and all", len(table), "forks are on the table again")


if __name__ == "__main__":
    main()
