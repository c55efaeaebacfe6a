"""One small page to try the service by hand: search, see why, click, move a weight. Our own HTML, CSS and script."""
