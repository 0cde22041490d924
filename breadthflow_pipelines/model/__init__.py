"""The vocabulary and the lists of facts that every room needs. Imports the standard library and nothing else."""
