"""`python -m kdsearch`: the command line, where its script is not on the path."""

from kdsearch.cli import main

main()
