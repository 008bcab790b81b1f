"""Searching the simplex: what may be chosen, drawn and minimised."""
