"""Building blocks of the networks, one idea a module."""
