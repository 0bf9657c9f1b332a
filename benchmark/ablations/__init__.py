"""What an absent edge carries: one ablation a file."""
