"""Fine-tuning of one checkpoint."""
