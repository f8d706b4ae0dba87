"""Workers started by MPI, Slurm and others: how they meet, and what each takes of its machine."""
