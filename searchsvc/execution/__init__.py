"""When and where does a search run? Threads, deadlines and load: the shell around `searchsvc.search`."""
