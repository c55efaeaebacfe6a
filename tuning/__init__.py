"""What should rank higher: the features and their weights, and how the weights are learnt from clicks.

    arrays, compiled            array types, compiled loops
    features, weights, curves   which numbers describe a candidate, which weights are allowed, how a score is a sum
    metrics                     what a ranking is worth by graded judgments
    clicks                      from the log to clicks that can be learnt from
    learners                    from clicks to weights and behavior values
    gate                        from candidate weights to shoppers, and back
    online                      one index learning while it runs: all of the above together

Pure: values in, values out. Imports `events` alone.
"""
