"""Simulations: what is relevant, and how shoppers examine and click, is planted, and learning has to find it.

A simulation asserts what holds for the planted truth: that a learner comes close to it, that an interval covers it at
the stated rate, that bots do not move it. All randomness is seeded.
"""
