"""The names of the ways to run an encoder, for those who choose one without running it."""

from typing import Literal

Backend = Literal["plain", "fp32", "bf16", "compile", "onnx"]
Tower = Literal["text", "image"]
