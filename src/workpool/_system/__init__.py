"""What workpool asks of the operating system. These modules make system calls, decide nothing."""
