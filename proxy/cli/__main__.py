"""`python -m proxy.cli`: the command, if its script is not installed."""

from proxy.cli import main

if __name__ == "__main__":
    main()
