"""Models whose norms do something."""

from torch import nn

from htnet.models import create_model


def lively(name, **settings):
    """A model in evaluation mode with random norms and statistics: fresh ones are 1 and 0, and hide wrong algebra."""
    model = create_model(name, **{"mean": (120.0, 100.0, 90.0), "std": (80.0, 70.0, 60.0), **settings})
    for module in model.modules():
        if isinstance(module, nn.LayerNorm | nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return model.eval()


def relative(found, truth):
    """Largest difference beside the largest magnitude of the truth."""
    found, truth = found.detach().double(), truth.detach().double()
    return float((found - truth).abs().max() / truth.abs().max())
