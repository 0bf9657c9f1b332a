"""What one intervention does to a metric: on edges and on nodes, exactly or to first order."""
