"""The routes, one module a topic. Each handler decodes, calls one use case and encodes; it decides nothing."""
