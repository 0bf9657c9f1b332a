"""What studies of nodes share: the problem, the truth, estimators and their judge."""
