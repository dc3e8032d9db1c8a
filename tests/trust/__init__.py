"""Promises about hostile input and failing machines: a short version of each is a test, the whole is a command.

`python -m tests.trust NAME --count N --seed S` runs one and prints what it found; `make trust` runs all of them.
"""
