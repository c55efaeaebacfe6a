"""The engine for who outgrows one machine: an OpenSearch cluster behind the protocol of
`searchsvc.engines.protocol`."""
