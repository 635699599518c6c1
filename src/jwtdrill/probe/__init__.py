"""Questions to a live system, breaking nothing."""
