"""How fast and how true the project is, always as a ratio to a reference in the same run."""
