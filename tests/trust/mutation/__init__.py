"""Mutation testing: a small change of one place of the compiler at a time, and whether tests see it.

`python -m tests.trust.mutation AREA` prints the score and the survivors. `areas` says what is changed and who ought to see it,
`changes` what a change is, `swapping` puts one into place, `running` runs tests with and without changes.
"""
