"""What methods with an adversary share."""

from torch import Tensor, nn
from torch.func import functional_call

BETAS = 0.0, 0.9  # of the optimizer: momentum would follow where the adversary was


def frozen(module: nn.Module, *args: Tensor) -> Tensor:
    """Call a module so that gradients reach its inputs, but none of its parameters.

    A discriminator and its generator learn in the same step: the loss of the one reads detached
    images, that of the other reads the frozen discriminator.

    Parameters
    ----------
    module : module
        The adversary.
    *args : Tensor
        Its inputs.

    Returns
    -------
    output : Tensor
        What the module returns.
    """
    weights = {name: weight.detach() for name, weight in module.named_parameters()}
    output: Tensor = functional_call(module, weights, args)
    return output
