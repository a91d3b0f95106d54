"""Scaler and encoders of images: from an image's tensor to its embedding."""

import copy
import math
import pickle

import pytest
import torch
from torch import nn

from skssl._data._columns import Columns
from skssl.encoders import (
    AllLayers,
    ImageScaler,
    ResNet,
    ViT,
    encode,
    grid_positions,
    image_encoder,
    patchify,
    small_resnet,
    table_encoder,
    unpatchify,
    width_of,
)
from skssl.encoders._transformer import attend
from skssl.encoders._vit import choose_patch_size

# (channels, height, width): digits, thirteen bands, Fashion-MNIST, CIFAR-10, an oblong
SHAPES = [(1, 8, 8), (13, 16, 16), (1, 28, 28), (3, 32, 32), (3, 64, 48)]


def images(n, *shape, seed=0):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


def n_parameters(net):
    return sum(p.numel() for p in net.parameters())


# ---- ImageScaler -------------------------------------------------------------------------


def bytes_of(n, *shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("shape", SHAPES)
def test_channels_are_standardised_and_come_back(shape):
    x = bytes_of(20, *shape)
    kept = x.clone()
    scaler = ImageScaler(x, None)
    z = scaler(x)
    assert z.dtype == torch.float32 and z.shape == x.shape
    channels = z.double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(channels.mean(1), torch.zeros(shape[0]).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(channels.std(1, correction=0), torch.ones(shape[0]).double())
    back = scaler.inverse(z)
    assert back.dtype == torch.float32
    assert torch.equal(back.round().to(torch.uint8), x) and torch.equal(x, kept)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_floats_are_scaled_like_bytes_and_not_written(dtype):
    x = bytes_of(20, 3, 8, 8)
    floats = (x.to(dtype) / 255).requires_grad_(False)
    kept = floats.clone()
    z = ImageScaler(floats)(floats)
    assert z.dtype == torch.float32 and torch.equal(floats, kept)
    torch.testing.assert_close(z, ImageScaler(x)(x), atol=1e-5, rtol=1e-5)


def test_a_constant_channel_is_zero_and_comes_back():
    for value in (0.0, 0.1, 1e6):
        x = images(10, 2, 4, 4)
        x[:, 1] = value
        scaler = ImageScaler(x)
        assert scaler(x).isfinite().all() and not scaler(x)[:, 1].any()
        assert not scaler(x + 5)[:, 1].any()  # nothing is known of how far off that is
        torch.testing.assert_close(scaler.inverse(scaler(x)), x)


def test_far_from_zero_small_differences_count():
    x = 1e4 + images(50, 1, 8, 8).double()
    z = ImageScaler(x)(x)
    assert z.std() == pytest.approx(1, abs=1e-3) and abs(z.mean()) < 1e-2


def test_the_scaler_learns_from_a_sample_in_chunks(monkeypatch):
    x = bytes_of(1000, 2, 8, 8)
    whole = ImageScaler(x)
    monkeypatch.setattr("skssl.encoders._image.NUMBERS_AT_ONCE", 1000)
    chunked = ImageScaler(x)
    torch.testing.assert_close(chunked.mean, whole.mean)
    torch.testing.assert_close(chunked.scale, whole.scale)
    sample = ImageScaler(x, subsample=300)
    torch.testing.assert_close(sample.mean, ImageScaler(x[::4]).mean)
    assert sorted(whole.state_dict()) == ["mean", "scale"]


# ---- patches and positions ---------------------------------------------------------------


def test_patches_are_cut_as_slices_and_put_together_again():
    x = images(3, 2, 6, 9)
    patches = patchify(x, 3)
    assert patches.shape == (3, 6, 18)
    for row in range(2):
        for column in range(3):
            cut = x[:, :, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            assert torch.equal(patches[:, 3 * row + column], cut.flatten(1))
    assert torch.equal(unpatchify(patches, 3, (6, 9)), x)
    assert patchify(bytes_of(2, 1, 4, 4), 2).dtype == torch.uint8
    with pytest.raises(ValueError, match="6 x 9 pixels; got 2. Both sides can be divided by 1, 3;"):
        patchify(x, 2)


@pytest.mark.parametrize(
    ("size", "patch_size"),
    [((8, 8), 2), ((28, 28), 4), ((32, 32), 4), ((64, 64), 8), ((64, 48), 8), ((96, 96), 12)],
)
def test_the_patch_follows_the_image(size, patch_size):
    assert choose_patch_size(size) == patch_size


@pytest.mark.parametrize(("size", "near"), [((31, 31), "28 x 28"), ((7, 9), "4 x 8")])
def test_images_that_no_patch_fills(size, near):
    with pytest.raises(ValueError, match=f"patches of 2 or more.*crop or pad.*{near}"):
        ViT(1, size)


def test_positions_say_where_a_patch_stands():
    at = grid_positions(4, 6, 10)
    assert at.shape == (24, 10) and at.unique(dim=0).shape[0] == 24
    grid = at.view(4, 6, 10)
    assert (grid[:, :1, :5] == grid[..., :5]).all() and (grid[:1, :, 5:] == grid[..., 5:]).all()
    near, far = (grid[0, 0] - grid[0, 1]).norm(), (grid[0, 0] - grid[0, 3]).norm()
    assert near < far


def test_positions_of_another_grid_cover_the_same_area():
    known = grid_positions(8, 8, 32)
    torch.testing.assert_close(grid_positions(8, 8, 32, span=(8, 8)), known)
    coarse = grid_positions(4, 4, 32, span=(8, 8)).view(4, 4, 32)
    fine = known.view(8, 8, 32)
    between = (fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]) / 4
    torch.testing.assert_close(coarse, between, atol=0.15, rtol=0)  # waves, not lines
    centre = (fine[2, 2] - coarse).norm(dim=2).flatten().argmin()
    assert centre == 5  # patch (2, 2) of 8 x 8 lies in patch (1, 1) of 4 x 4


# ---- every encoder -----------------------------------------------------------------------


def make(name, shape, n_components=32):
    torch.manual_seed(0)
    return image_encoder(name, images(4, *shape), None, n_components)


@pytest.mark.parametrize("name", ["auto", "vit"])
@pytest.mark.parametrize("shape", SHAPES)
def test_encoders_read_any_size_and_channels(name, shape):
    encoder, x = make(name, shape), images(4, *shape)
    assert width_of(encoder, x) == 32 and encoder.training
    z = encoder(x)
    assert z.shape == (4, 32) and z.isfinite().all()
    z.square().mean().backward()
    for parameter in encoder.parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0


@pytest.mark.parametrize("name", ["auto", "resnet18", "vit"])
def test_an_image_alone_is_read_like_one_in_a_batch(name):
    shape = (3, 16, 16)
    encoder, x = make(name, shape), images(6, *shape)
    encoder(x)  # batch normalisation takes note
    encoder.eval()
    with torch.no_grad():
        torch.testing.assert_close(encoder(x[:1]), encoder(x)[:1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(encoder(x.flip(0)).flip(0), encoder(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["auto", "vit"])
def test_layers_end_with_the_embedding(name):
    encoder, x = make(name, (1, 28, 28)).eval(), images(3, 1, 28, 28)
    with torch.no_grad():
        layers = encoder.layers(x)
        assert len(layers) >= 4 and all(z.ndim == 2 and len(z) == 3 for z in layers)
        torch.testing.assert_close(layers[-1], encoder(x))
        assert AllLayers(encoder)(x).shape == (3, sum(z.shape[1] for z in layers))


@pytest.mark.parametrize("name", ["auto", "vit"])
def test_crops_of_other_sizes_are_read(name):
    encoder = make(name, (3, 32, 32))
    z = encode(encoder, [images(4, 3, 32, 32), images(4, 3, 16, 16), images(4, 3, 32, 32, seed=1)])
    assert [v.shape for v in z] == [(4, 32)] * 3


@pytest.mark.parametrize("name", ["auto", "resnet18", "vit"])
def test_encoders_survive_copies_and_train_in_bfloat16(name):
    encoder, x = make(name, (1, 8, 8)), images(8, 1, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        encoder(x).float().square().mean().backward()
    encoder.eval()
    with torch.no_grad():
        z = encoder(x)
        assert torch.equal(copy.deepcopy(encoder)(x), z)
        assert torch.equal(pickle.loads(pickle.dumps(encoder))(x), z)
        other = image_encoder(name, x, None, 32).eval()
        other.load_state_dict(encoder.state_dict())
        assert torch.equal(other(x), z)


def test_modules_hold_plain_attributes():
    plain = (bool, int, float, str, type(None), torch.dtype)

    def is_plain(value):
        if isinstance(value, tuple | list):
            return all(map(is_plain, value))
        return isinstance(value, plain)

    for name in ("auto", "resnet18", "vit"):
        for module in make(name, (3, 16, 16)).modules():
            own = {k: v for k, v in vars(module).items() if not k.startswith("_")}
            assert all(map(is_plain, own.values())), (type(module), own)


# ---- ResNet ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_the_small_net_follows_the_image(shape):
    net = small_resnet(images(2, *shape), 256)
    assert 0.3e6 <= n_parameters(net) <= 1e6
    sides = [min(stage.shape[2:]) for stage in net.maps(images(2, *shape))]
    assert 3 <= sides[-1] <= 6
    assert width_of(net, images(2, *shape)) == 256


def test_resnet18_is_the_published_net():
    net = make("resnet18", (3, 32, 32), n_components=512)
    head = 512 * 1000 + 1000
    stem = 64 * 3 * (7 * 7 - 3 * 3)  # ours is 3 x 3
    assert n_parameters(net) == 11_689_512 - head - stem
    sides = [stage.shape[1:] for stage in net.eval().maps(images(1, 3, 32, 32))]
    assert sides == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    narrow = make("resnet18", (3, 32, 32), n_components=32)
    assert n_parameters(narrow) == n_parameters(net) + 512 * 32 + 2 * 32


def test_stages_of_a_residual_net():
    net = ResNet(2, widths=(8, 16, 16), n_blocks=(1, 2, 1), n_components=24, stem_stride=2)
    shapes = [tuple(stage.shape) for stage in net.maps(images(2, 2, 30, 20))]
    assert shapes == [(2, 8, 15, 10), (2, 16, 8, 5), (2, 16, 4, 3), (2, 24, 4, 3)]
    assert ResNet(2, (8, 16), (1, 1))(images(2, 2, 8, 8)).shape == (2, 16)
    bare = ResNet(2, (8, 16), (0, 1)).maps(images(2, 2, 8, 8))
    assert [tuple(stage.shape) for stage in bare] == [(2, 8, 8, 8), (2, 16, 4, 4)]


@pytest.mark.parametrize("n_channels", [1, 3])
def test_maps_are_channels_last(n_channels):
    net = ResNet(n_channels, (8, 16), (1, 1), 24)
    for trained in (net, pickle.loads(pickle.dumps(copy.deepcopy(net)))):
        for stage in trained.maps(images(4, n_channels, 16, 16)):
            assert stage.is_contiguous(memory_format=torch.channels_last)
            assert not stage.is_contiguous()


def test_a_batch_of_one_in_evaluation():
    net = make("auto", (1, 8, 8)).eval()
    assert net(images(1, 1, 8, 8)).isfinite().all()


def test_a_residual_block_adds_to_its_input():
    block = ResNet(1, (8,), (2,)).stages[0][1]
    nn.init.zeros_(block.second[1].weight)
    x = images(4, 8, 6, 6).relu()
    assert torch.equal(block(x), x)


# ---- ViT ---------------------------------------------------------------------------------


def plain_tokens(vit, x, keep):
    """Read the kept patches of one image after the other, with attention written out."""
    out = []
    for image, kept in zip(x, keep, strict=True):
        p, rows = vit.patch_size, []
        for i in kept.tolist():
            top, left = p * (i // vit.grid[1]), p * (i % vit.grid[1])
            pixels = image[:, top : top + p, left : left + p].flatten()
            rows.append(vit.embed(pixels) + vit.positions[i])
        t = torch.stack(rows)
        for block in vit.blocks:
            q, k, v = block.qkv(block.before_attention(t)).chunk(3, 1)
            heads = []
            for one in zip(*(a.chunk(block.n_heads, 1) for a in (q, k, v)), strict=True):
                weight = (one[0] @ one[1].T / math.sqrt(one[0].shape[1])).softmax(1)
                heads.append(weight @ one[2])
            t = t + block.out(torch.cat(heads, 1))
            t = t + block.down(nn.functional.gelu(block.up(block.before_dense(t))))
        out.append(vit.norm(t))
    return torch.stack(out)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 12)])
def test_kept_tokens_are_those_of_a_net_that_never_saw_the_others(shape):
    torch.manual_seed(0)
    vit, x = ViT(shape[0], shape[1:], 2, width=16, n_layers=2, n_heads=2), images(3, *shape)
    keep = torch.stack([torch.randperm(16)[:5] for _ in range(3)])
    with torch.no_grad():
        wanted = plain_tokens(vit, x, keep)
        torch.testing.assert_close(vit.tokens(x, keep), wanted)
        everything = torch.arange(math.prod(vit.grid)).expand(3, -1)
        torch.testing.assert_close(vit.tokens(x), plain_tokens(vit, x, everything))
        torch.testing.assert_close(vit.tokens(x, everything), vit.tokens(x))
        torch.testing.assert_close(vit(x), vit.tokens(x).mean(1))
        hidden = patchify(x, 2)
        mask = torch.ones(3, hidden.shape[1], 1).scatter(1, keep[:, :, None], 0)
        altered = unpatchify(hidden + 9 * mask, 2, shape[1:])
        torch.testing.assert_close(vit.tokens(altered, keep), wanted)


@pytest.mark.parametrize("n_tokens", [5, 200])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_is_the_same_however_it_is_computed(dtype, n_tokens):
    parts = [images(2, 3, n_tokens, 8, seed=i).to(dtype).requires_grad_() for i in range(3)]
    out = attend(*parts)
    assert out.dtype == dtype
    fused = nn.functional.scaled_dot_product_attention(*parts)
    close = {"atol": 0.03, "rtol": 0.03} if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(out, fused, **close)
    for ours, theirs in zip(
        torch.autograd.grad(out.sum(), parts), torch.autograd.grad(fused.sum(), parts), strict=True
    ):
        torch.testing.assert_close(ours, theirs, **close)


def test_a_transformer_tells_where_a_patch_stands():
    torch.manual_seed(0)
    vit, x = ViT(1, (8, 8), width=16, n_layers=2), images(2, 1, 8, 8)
    moved = unpatchify(patchify(x, 2)[:, torch.randperm(16)], 2, (8, 8))
    assert not torch.allclose(vit(moved), vit(x), atol=1e-3)


def test_widths_heads_and_patches():
    assert ViT(1, (8, 8), width=256).blocks[0].n_heads == 4
    assert ViT(1, (8, 8), width=192).blocks[0].n_heads == 3
    assert ViT(1, (8, 8), width=10)(images(2, 1, 8, 8)).shape == (2, 10)
    assert ViT(1, (8, 8), patch_size=4).grid == (2, 2)
    with pytest.raises(ValueError, match="n_heads must divide width=32; got 5. Try 1"):
        ViT(1, (8, 8), width=32, n_heads=5)
    with pytest.raises(ValueError, match="28 x 28 pixels; got 5.*by 1, 2, 4, 7, 14, 28"):
        ViT(1, (28, 28), patch_size=5)
    with pytest.raises(ValueError, match="30 x 30 pixels; got 4.*to 28 x 28"):
        ViT(1, (28, 28))(images(1, 1, 30, 30))


# ---- the parameter encoder= --------------------------------------------------------------


def test_a_module_is_copied_and_a_callable_sees_images():
    x = images(5, 3, 8, 8)
    module = nn.Sequential(nn.Flatten(), nn.Linear(192, 6))
    encoder = image_encoder(module, x, None, 32)
    assert encoder is not module and torch.equal(encoder(x), module(x))
    seen = []

    def make_net(batch):
        seen.append(batch)
        return ResNet(batch.shape[1], (8, 8), (1, 1))

    encoder = image_encoder(make_net, x, None, 32)
    assert encoder(x).shape == (5, 8) and torch.equal(seen[0], x) and len(seen) == 1
    assert all(p.requires_grad for p in encoder.parameters())


@pytest.mark.parametrize(
    ("encoder", "error", "message"),
    [
        (nn.Flatten, TypeError, r"got the class Flatten.*lambda x: Flatten\(...\)"),
        (lambda x: "a net", TypeError, "must return a torch.nn.Module; got str"),
        ("ft_transformer", ValueError, "does not read images; by name there are 'auto' and"),
    ],
)
def test_wrong_encoders_are_said(encoder, error, message):
    with pytest.raises(error, match=message):
        image_encoder(encoder, images(4, 1, 8, 8), None, 32)


def test_tables_say_the_same():
    x = torch.zeros(4, 3)
    for encoder, error, message in [
        (nn.Linear, TypeError, r"got the class Linear.*lambda x: Linear\(...\)"),
        ("vit", ValueError, "'vit' does not read a table; by name there are 'auto' and 'ft_tr"),
    ]:
        with pytest.raises(error, match=message):
            table_encoder(encoder, x, Columns((0, 0, 0)), 8)


def test_a_module_that_cannot_read_images_is_said():
    with pytest.raises(ValueError, match=r"shape \(2, 3, 8, 8\).*\(n, channels, height, width\)"):
        width_of(nn.Conv2d(1, 4, 3), images(4, 3, 8, 8))
    with pytest.raises(ValueError, match=r"returned \(2, 4, 6, 6\). End it with pooling"):
        width_of(nn.Conv2d(3, 4, 3), images(4, 3, 8, 8))
