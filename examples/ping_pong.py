"""Two actors hand a ball to and fro: each waits for the other, in an interpreter of its own."""

import csp
from csp import RecvChannel, SendChannel, actor


@actor
def player(sees: RecvChannel, plays: SendChannel) -> int:
    hits = 0
    for ball in sees:  # ends when the other player, and with it the last sender, is gone
        hits += 1
        if ball == 0:
            break
        plays.send(ball - 1)
    return hits


def main() -> None:
    to_ping, ping_sees = csp.channel()
    to_pong, pong_sees = csp.channel()
    ping = csp.spawn(player, ping_sees, to_pong, name="ping")
    pong = csp.spawn(player, pong_sees, to_ping, name="pong")
    to_ping.send(9)  # serve
    to_ping.close()  # the players have handles of their own
    to_pong.close()
    for ref in (ping, pong):
        print(ref.name, "hit the ball", ref.result(), "times")


if __name__ == "__main__":
    main()
