"""What this process may use, what a stage will need, and what it was seen to use. Imports errors only."""
