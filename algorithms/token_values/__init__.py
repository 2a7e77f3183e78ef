"""Values of single tokens beside a language model, for ILQL and its kin (torch)."""
