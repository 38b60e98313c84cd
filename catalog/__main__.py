"""``python -m catalog``: the command, from any interpreter that has the package."""

from catalog.cli import main

if __name__ == "__main__":
    main()
