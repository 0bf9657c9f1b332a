"""What a way of training does to a model: its loss, the size of its circuits, its sparsity."""
