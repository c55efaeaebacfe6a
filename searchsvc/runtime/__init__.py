"""What does the process need? Configuration, limits, threads, tasks, disk and memory."""
