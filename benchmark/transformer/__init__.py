"""What a model is made of: plain weights, and blocks that compute with them."""
