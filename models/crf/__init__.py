"""Dense CRF: permutohedral lattice, mean field, Keras layer."""
