"""``python -m zegel_server`` is ``zegel-server``."""

from zegel_server.cli import main

if __name__ == "__main__":
    main()
