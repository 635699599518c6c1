"""Starting, watching and ending what we start."""
