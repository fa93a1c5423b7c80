"""Reading a cube: intervals over seeds, depth, onset, locality. Labelled arrays in, labelled arrays out, no torch."""
