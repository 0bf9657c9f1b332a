"""Where a fact is recalled: states restored in runs whose subject is corrupted."""
