"""The array types that cross module boundaries; learning has the same."""

from tuning.arrays import AnyArray, BoolArray, FloatArray, IntArray, ScoreArray

__all__ = ["AnyArray", "BoolArray", "FloatArray", "IntArray", "ScoreArray"]
