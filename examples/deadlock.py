"""Broken on purpose: two actors that each wait for the other before they send, and how to see who waits where.

Each receives before it sends.  No scheduler can save them: the wait is a circle.  The cure is to let one of them send
first, or to give the channels a capacity of 1 and let both do so.
"""

from csp import Channel, RecvChannel, SendChannel, Timeout, actor, select
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
    ended = select([anna.exited, bert.exited], timeout=0.5)
    print("one of them has ended:", bool(ended))
    try:
        anna.join(timeout=0.1)
    except Timeout:
        print("Anna is still waiting")

    for channel in (from_anna, from_bert):
        figures = channel.statistics()
        print(f"{channel.name}: {figures.waiting_receivers} waits to receive, {figures.waiting_senders} to send, {figures.sent} sent so far")

    from_bert.send("good morning")  # somebody from outside breaks the circle
    print("Bert heard it from Anna:", from_bert.recv(timeout=10))
    print("they ended:", anna.join(timeout=10).reason, bert.join(timeout=10).reason)


if __name__ == "__main__":
    main()
