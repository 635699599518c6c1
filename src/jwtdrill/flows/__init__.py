"""OAuth and bearer interactions without I/O: each builds its request and judges the response."""
