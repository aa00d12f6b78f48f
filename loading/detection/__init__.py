"""From bytes to the description of a dump: container, encoding, format and CSV dialect."""
