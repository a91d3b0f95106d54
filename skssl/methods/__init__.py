"""Self-supervised methods, one file each."""

from skssl.methods._denoising import DenoisingAutoencoder
from skssl.methods._multitask import MultiTask
from skssl.methods._scarf import SCARF
from skssl.methods._vime import VIME

__all__ = ["SCARF", "VIME", "DenoisingAutoencoder", "MultiTask"]
