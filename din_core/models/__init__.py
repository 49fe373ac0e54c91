"""Networks. No optimizer and no I/O belongs here."""
