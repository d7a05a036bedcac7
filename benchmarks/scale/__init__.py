"""How the cost of a task grows with the number of tasks, of workers and of bytes."""
