"""Compiled functions take numbers, arrays and NamedTuples of arrays, and refuse other types."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
import pytest

from tuning.arrays import AnyArray, ScoreArray
from tuning.compiled import compiled


class Part(NamedTuple):
    values: Annotated[AnyArray, "f8[1]"]
    factor: Annotated[float, "f8"]


class Whole(NamedTuple):
    part: Part
    numbers: Annotated[AnyArray, "i4[1]"]


@compiled("Whole f8 f8[1]!")
def multiply(whole: Whole, offset: float, result: ScoreArray) -> int:
    n = 0
    for i in range(whole.numbers.shape[0]):
        result[i] = whole.part.values[whole.numbers[i]] * whole.part.factor + offset
        n += 1
    return n


@compiled("Part!")
def increase(part: Part) -> None:
    for i in range(part.values.shape[0]):
        part.values[i] += part.factor


@compiled("f8[1]", "f4[1]")
def total(values: AnyArray) -> float:
    sums = 0.0
    for value in values:
        sums += value
    return sums


WHOLE = Whole(Part(np.array([1.0, 2.0, 3.0]), 10.0), np.array([2, 0], np.int32))


def test_a_named_tuple_of_named_tuples_is_passed() -> None:
    result = np.empty(2)
    assert multiply(WHOLE, 0.5, result) == 2
    assert result.tolist() == [30.5, 10.5]


def test_arrays_to_read_may_be_read_only_and_arrays_to_write_may_not() -> None:
    values = np.array([1.0, 2.0, 3.0])
    values.flags.writeable = False
    result = np.empty(2)
    multiply(Whole(Part(values, 1.0), WHOLE.numbers), 0.0, result)
    assert result.tolist() == [3.0, 1.0]
    with pytest.raises(TypeError):
        increase(Part(values, 1.0))


def test_the_arrays_of_a_named_tuple_can_be_written_to() -> None:
    part = Part(np.array([1.0, 2.0]), 0.5)
    increase(part)
    assert part.values.tolist() == [1.5, 2.5]


def test_each_signature_is_compiled_and_other_types_are_refused() -> None:
    assert total(np.array([1.0, 2.0])) == total(np.array([1.0, 2.0], np.float32)) == 3.0
    with pytest.raises(TypeError):
        total(np.array([1, 2]))
    with pytest.raises(TypeError):
        multiply(Whole(Part(WHOLE.part.values, 1.0), np.array([0])), 0.0, np.empty(1))
