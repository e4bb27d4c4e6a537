import torch
import torch.nn.functional as F

from htnet.models import create_model


def by_hand(model, image):
    """STSTNet from its description, one stream after the other, without modules."""
    maps = []
    for i in (1, 2, 3):
        conv, norm = getattr(model, f"conv{i}"), getattr(model, f"bn{i}")
        x = F.conv2d(F.pad(image, (2, 2, 2, 2)), conv.weight, conv.bias).clamp(min=0)
        x = (x - norm.running_mean.view(-1, 1, 1)) / (norm.running_var.view(-1, 1, 1) + norm.eps).sqrt()
        x = x * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
        x = F.pad(x, (1, 1, 1, 1), value=float("-inf"))
        x = x.unfold(2, 3, 3).unfold(3, 3, 3).amax(dim=(4, 5))
        maps.append(x)
    x = torch.cat(maps, 1)
    x = x.unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(4, 5))
    return x.reshape(len(image), -1) @ model.fc.weight.T + model.fc.bias


def test_equals_the_description():
    model = create_model("ststnet").double()
    image = torch.rand(8, 3, 28, 28, dtype=torch.float64) * 255
    model(image)  # training mode: moves the running statistics
    model.eval()
    torch.testing.assert_close(model(image), by_hand(model, image), rtol=1e-9, atol=1e-9)


def test_published_shape():
    model = create_model("ststnet").eval()
    assert model.fc.in_features == 400
    assert model.forward_features(torch.zeros(2, 3, 28, 28)).shape == (2, 16, 5, 5)
    names = {key.split(".")[0] for key in model.state_dict()}
    assert names == {"conv1", "conv2", "conv3", "bn1", "bn2", "bn3", "fc"}
