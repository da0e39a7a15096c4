"""The nouns that every part of lowtide shares: numpy only, no I/O, small and still."""
