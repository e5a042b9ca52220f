"""How long questions take on many scores in the real tables."""
