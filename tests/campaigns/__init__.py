"""Campaigns: many random cases of one kind, with a seed and a count, and one table out; `-m campaign` runs them."""
