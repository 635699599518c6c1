"""Keys, minted tokens, and the cases with their expected verdicts."""
