"""``python -m l8s2.cli``."""

from l8s2.cli import main

if __name__ == "__main__":
    main()
