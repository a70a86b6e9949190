"""`python -m matbind.cli`."""

from matbind.cli.main import main

main()
