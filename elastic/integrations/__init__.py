"""Callbacks for the trainers of PyTorch Lightning and Hugging Face transformers."""
