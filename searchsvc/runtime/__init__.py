"""What does the process need? Configuration, limits, time, threads, tasks, disk and memory."""
