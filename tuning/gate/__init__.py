"""The path of candidate weights to shoppers: step sizes, interleaving, evidence, gate, ramp and guard."""
