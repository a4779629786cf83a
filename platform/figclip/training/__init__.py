"""Contrastive pretraining: exact loss, optimiser, loop, checkpoints."""
