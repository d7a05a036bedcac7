"""What is done to the pools, from inside their parent."""
