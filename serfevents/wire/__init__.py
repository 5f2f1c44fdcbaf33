"""What members say to each other, and its bytes."""
