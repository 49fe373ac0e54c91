"""The assets, a file for each group of the graph. Bodies are thin: they call the library."""
