"""Callbacks for the trainers of other packages: each records the training of a user's own script."""
