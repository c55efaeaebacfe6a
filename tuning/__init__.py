"""What should rank higher: the feature schema and the weights over it, and the join of rankings with what followed.

Pure: values in, values out. It imports `events` alone.
"""
