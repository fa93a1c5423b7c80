"""Claims about a study: evidence for each seed, and a verdict from an interval over seeds."""
