"""``python -m gnnlab`` is the command ``gnnlab``."""

from gnnlab.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
