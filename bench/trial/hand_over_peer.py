"""The other side of `bench.trial.hand_over`: a process that answers from another core. Imports nothing of ours."""

import mmap
import os
import sys

PING, PONG, READY = 0, 256, 512
"""Bytes of the shared page, in cache lines of their own, and not in neighbouring ones, which are fetched together."""
LARGEST = 250
"""Values go from 1 to this, and begin again."""
SPINS = 200_000
"""Looks at a value before a side gives up, some ten milliseconds."""
LENGTH = 9


def question(number: int, core: int, rounds: int) -> bytes:
    """Return what asks for some rounds on a core."""
    return bytes([number]) + core.to_bytes(4, "little") + rounds.to_bytes(4, "little")


def answer(shared: mmap.mmap, asked: bytes) -> None:
    """Answer the rounds of one question; give up where the other side does not go on."""
    number, core, rounds = asked[0], int.from_bytes(asked[1:5], "little"), int.from_bytes(asked[5:], "little")
    try:
        os.sched_setaffinity(0, {core})
    except OSError:
        return  # the core is gone: the other side gives up
    shared[PING] = shared[PONG] = 0
    shared[READY] = number
    for value in range(rounds):
        told = value % LARGEST + 1
        for _ in range(SPINS):
            if shared[PING] == told:
                break
        else:
            return
        shared[PONG] = told


def main(file: int, asked: int) -> None:
    """Answer questions until there are no more."""
    shared = mmap.mmap(file, mmap.PAGESIZE)
    while len(question := os.read(asked, LENGTH)) == LENGTH:
        answer(shared, question)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
