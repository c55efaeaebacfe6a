"""The HTTP face: decode strictly, call the service, answer JSON or a problem document."""
