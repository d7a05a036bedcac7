"""Where the time of a task goes: system calls and processor time."""
