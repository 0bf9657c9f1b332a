"""Circuit-discovery methods: each finds circuits of several sizes."""
