"""``python -m swingtrader``."""

from swingtrader.cli import main

main()
