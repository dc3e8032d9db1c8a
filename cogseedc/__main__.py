"""`python -m cogseedc`: the same as the command `cogseedc`."""

from cogseedc.cli.main import main

main()
