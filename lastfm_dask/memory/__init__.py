"""What the process may use and was seen to use, and the one budget that plans are fitted to. Knows no algorithm."""
