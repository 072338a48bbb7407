"""``python -m swingtrader``."""

from swingtrader.cli import main

if __name__ == "__main__":  # a second process of a training imports this module, too
    main()
