"""Which SQL makes which table, in which order and with which options."""
