"""How lenses are fitted: the states of the text, the loss, and the loop."""
