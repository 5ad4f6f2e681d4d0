"""Broken on purpose: two actors that each wait for the other before they send, and what csp says of it.

Each receives before it sends.  No scheduler can save them: the wait is a circle.  While the main program holds handles of
the channels it could still help, and csp leaves them alone; once it has given them up nobody can, and both get an error
that names who waits for whom.  The cure is to let one of them send first, or to give the channels a capacity of 1
and let both do so.
"""

from csp import Channel, RecvChannel, SendChannel, actor, select
from csp.testing import wait_parked


@actor
def polite(theirs: RecvChannel, mine: SendChannel) -> None:
    greeting = theirs.recv()  # after you ...
    mine.send(f"you said {greeting}")


def main() -> None:
    from_anna, from_bert = Channel(name="from Anna"), Channel(name="from Bert")
    anna = polite.spawn(from_bert.receiver, from_anna.sender)
    bert = polite.spawn(from_anna.receiver, from_bert.sender)
    for channel in (from_anna, from_bert):
        wait_parked(channel, receivers=1)  # both are up and wait
        figures = channel.statistics()
        print(f"{channel.name}: {figures.waiting_receivers} waits to receive, {figures.sent} sent so far")
    print("left alone while we could help:", not select([anna.exited, bert.exited], timeout=0.5))

    del channel, from_anna, from_bert  # now nobody outside the circle can
    for name, ref in (("Anna", anna), ("Bert", bert)):
        end = ref.join(timeout=30)
        assert end.remote is not None
        print(f"{name} {end.reason}: {end.remote.type_name}")
        graph = [line.split(", at ")[0].strip() for line in end.remote.message.splitlines()[1:]]
        waits = [line.partition(" channel ")[2] for line in graph]
        print("  the circle:", " and ".join(sorted(wait.split("'")[1] for wait in waits)))


if __name__ == "__main__":
    main()
