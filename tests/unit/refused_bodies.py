"""Actors of a module that needs numpy, as one writes it who has not heard of subinterpreters."""

import numpy


def total(numbers: list[float]) -> float:
    return float(numpy.sum(numbers))


class Adder:
    def total(self, numbers: list[float]) -> float:
        return total(numbers)
