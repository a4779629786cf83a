"""The towers, CLIP, and the doors to checkpoints."""
