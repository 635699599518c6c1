"""`python -m jwtdrill` is the console script."""

from jwtdrill.cli import main

if __name__ == "__main__":
    main()
