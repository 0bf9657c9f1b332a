"""The models that ship, as Hugging Face directories with cards, and the reader of those cards."""
