"""One select over every kind of case: receive, send, timer, an actor's end, and a case that is switched off."""

import csp
from csp import EndOfChannel, RecvChannel, SendChannel, actor


@actor
def kitchen(orders: RecvChannel, dishes: SendChannel) -> str:
    for order in orders:
        dishes.send(f"hot {order}")
    return "cleaned up"


def main() -> None:
    to_kitchen, orders = csp.channel()
    out, dishes = csp.channel(capacity=1)
    cook = kitchen.spawn(orders, out)
    orders.close()
    out.close()

    waiting = ["soup", "rice", "tea"]
    exited = cook.exited
    closing_time = csp.after(60)
    served: list[str] = []
    while dishes is not None or exited is not None:  # either may come first
        # A send is a pair.  None keeps its place and never fires: with no order left there is nothing to send.
        cases = [(to_kitchen, waiting[0]) if waiting else None, dishes, exited, closing_time]
        try:
            fired = csp.select(cases, timeout=30)
        except EndOfChannel as end:  # a closed case is ready, too: it tells which one it was
            ended = end.index
            dishes = None
            continue
        if fired.index == 0:
            waiting.pop(0)
            if not waiting:
                to_kitchen.close()  # so the cook's loop ends
        elif fired.channel is dishes:
            served.append(fired.value)
        elif fired.channel is exited:
            how = fired.value
            exited = None
        else:
            raise SystemExit("too late" if fired else "the kitchen is asleep")

    print(*served, sep=", ")
    print("case", ended, "ended: no more dishes")
    print("the cook:", how.reason, "and", how.value)


if __name__ == "__main__":
    main()
