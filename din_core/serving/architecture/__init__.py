"""The network as a person draws it: modules as boxes, from the inputs to the probability."""
