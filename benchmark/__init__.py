"""The core of ablation-bench: any transformer as a graph of edges, ablated exactly and fast."""
