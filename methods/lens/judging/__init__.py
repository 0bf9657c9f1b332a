"""What lenses are judged by beside their loss: effects of changed states, and labels."""
