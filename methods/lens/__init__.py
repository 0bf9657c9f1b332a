"""What a layer already knows: lenses that read predictions from the states before a layer."""
