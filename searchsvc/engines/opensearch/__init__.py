"""The OpenSearch engine: an index on a cluster, for catalogues that outgrow one machine."""
