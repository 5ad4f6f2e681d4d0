"""The sieve of Eratosthenes as a chain of actors that grows: each filters out the multiples of one prime."""

import csp
from csp import RecvChannel, SendChannel, actor


@actor
def sieve(numbers: RecvChannel, primes: SendChannel) -> None:
    """The first number that arrives is prime; spawn the next filter and pass on what this prime does not divide."""
    prime = next(numbers, None)
    if prime is None:
        primes.close()
        return
    primes.send(prime)
    sender, receiver = csp.channel(capacity=16)
    rest = sieve.spawn(receiver, primes)
    primes.close()  # the rest of the chain has a handle of its own
    receiver.close()
    for n in numbers:
        if n % prime:
            sender.send(n)
    sender.close()
    rest.join()  # what is spawned in an actor ends with it


def main() -> None:
    numbers, first = csp.channel(capacity=16)
    found, primes = csp.channel(capacity=16)
    sieve.spawn(first, found)
    first.close()
    found.close()
    numbers.send_many(range(2, 50))
    numbers.close()
    print(*primes)


if __name__ == "__main__":
    main()
