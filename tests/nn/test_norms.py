"""Normalizing layers and Embedding: running statistics, texts, and what they do with bad input."""

import pytest

import pullback as torch
from pullback import errors, nn

F = nn.functional


def test_running_statistics_follow_the_batches():
    layer = nn.BatchNorm1d(3)
    x = torch.arange(6.0).reshape(2, 3)
    layer(x)
    assert layer.running_mean.tolist() == pytest.approx([0.15, 0.25, 0.35])
    assert layer.running_var.tolist() == pytest.approx([1.35] * 3) and layer.num_batches_tracked == 1
    average = nn.BatchNorm1d(3, momentum=None)
    average(x), average(x**2)
    assert average.running_mean.tolist() == [3.0, 5.5, 9.0]
    assert average.running_var.tolist() == [22.5, 58.5, 112.5] and average.num_batches_tracked == 2
    average.eval()
    expected = (x - average.running_mean) / (average.running_var + 1e-5).sqrt()
    assert torch.allclose(average(x), expected) and average.num_batches_tracked == 2
    average.reset_running_stats()
    assert average.running_var.tolist() == [1, 1, 1] and average.num_batches_tracked == 0


def test_instances_are_normalized_alone_and_tracked_together():
    layer = nn.InstanceNorm1d(2, track_running_stats=True)
    x = torch.tensor([[[0.0, 2.0], [1.0, 3.0]], [[4.0, 6.0], [5.0, 9.0]]])
    out = layer(x)
    assert torch.allclose(out.abs(), torch.ones_like(out), atol=1e-4)
    assert layer.running_mean.tolist() == pytest.approx([0.3, 0.45])
    assert torch.equal(nn.InstanceNorm1d(2)(x[0]), nn.InstanceNorm1d(2)(x)[0])


def test_graphs_are_torchs():
    x = torch.rand(2, 4, 3, requires_grad=True)
    for layer, name in (
        (nn.LayerNorm(3), "NativeLayerNormBackward0"),
        (nn.GroupNorm(2, 4), "NativeGroupNormBackward0"),
        (nn.BatchNorm1d(4), "NativeBatchNormBackward0"),
        (nn.BatchNorm1d(4).eval(), "NativeBatchNormBackward0"),
        (nn.InstanceNorm1d(4), "ViewBackward0"),
        (nn.RMSNorm(3), "MulBackward0"),
    ):
        node = layer(x).grad_fn
        assert node.name() == name
        if name.startswith("Native"):
            following = [n.name() for n, _ in node.next_functions if n is not None]
            assert following == ["torch::autograd::AccumulateGrad"] * 3


def test_statistics_take_no_gradient_and_are_saved():
    layer = nn.BatchNorm1d(2)
    layer(torch.rand(3, 2, requires_grad=True)).sum().backward()
    assert not layer.running_mean.requires_grad and layer.weight.grad is not None
    state = layer.state_dict()
    assert list(state) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    other = nn.BatchNorm1d(2)
    other.load_state_dict(state)
    assert torch.equal(other.running_var, layer.running_var)
    assert list(nn.BatchNorm1d(2, affine=False, track_running_stats=False).state_dict()) == []


def test_texts():
    assert repr(nn.LayerNorm(4)) == "LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)"
    assert repr(nn.RMSNorm((3, 4))) == "RMSNorm((3, 4), eps=None, elementwise_affine=True)"
    assert repr(nn.GroupNorm(1, 3)) == "GroupNorm(1, 3, eps=1e-05, affine=True, bias=True)"
    assert repr(nn.BatchNorm2d(3)) == (
        "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)"
    )
    assert repr(nn.Embedding(3, 2, 0, max_norm=1.0, sparse=True)) == (
        "Embedding(3, 2, padding_idx=0, max_norm=1.0, sparse=True)"
    )


def test_embedding():
    torch.manual_seed(0)
    layer = nn.Embedding(4, 2, padding_idx=-1)
    assert layer.padding_idx == 3 and layer.weight[3].tolist() == [0, 0]
    layer(torch.tensor([[0, 3], [0, 1]])).sum().backward()
    assert layer.weight.grad.tolist() == [[2, 2], [1, 1], [0, 0], [0, 0]]
    fixed = nn.Embedding.from_pretrained(torch.arange(6.0).reshape(3, 2))
    assert not fixed.weight.requires_grad and fixed(torch.tensor(2)).tolist() == [4, 5]


X = (2, 3, 4)
BAD = [
    (
        lambda x: F.layer_norm(x, (3,)),
        errors.ShapeError,
        "Given normalized_shape=[3], expected input",
    ),
    (lambda x: F.layer_norm(x, ()), RuntimeError, "Expected normalized_shape to be at least 1-dimensional"),
    (
        lambda x: F.layer_norm(x, (4,), torch.ones(3)),
        errors.ShapeError,
        "Expected weight to be of same shape as normalized_shape, but got weight of shape [3]",
    ),
    (
        lambda x: F.layer_norm(x.long(), (4,)),
        NotImplementedError,
        '"LayerNormKernelImpl" not implemented for \'L',
    ),
    (
        lambda x: nn.LayerNorm(4)(x.double()),
        errors.DtypeError,
        "mixed dtype (CPU): all inputs must share",
    ),
    (
        lambda x: F.rms_norm(x, (3,)),
        errors.ShapeError,
        "Given normalized_shape=[3], expected input",
    ),
    (
        lambda x: F.group_norm(x, 2),
        errors.ShapeError,
        "Expected number of channels in input",
    ),
    (
        lambda x: F.group_norm(x, 3, torch.ones(2)),
        errors.ShapeError,
        "Expected weight to be a vector of size equal to the number of channels in input",
    ),
    (
        lambda x: F.group_norm(x[0, 0], 2),
        RuntimeError,
        "Expected at least 2 dimensions for input",
    ),
    (
        lambda x: F.group_norm(x[:1, :2, 0], 2),
        ValueError,
        "Expected more than 1 value per channel when training",
    ),
    (lambda x: nn.GroupNorm(2, 3), ValueError, "num_channels (3) must be divisible by num_groups (2)"),
    (lambda x: F.batch_norm(x, None, None), RuntimeError, "running_mean must be defined in evaluation mode"),
    (
        lambda x: F.batch_norm(x, torch.zeros(2), torch.ones(3)),
        errors.ShapeError,
        "running_mean should contain 3 elements not 2",
    ),
    (
        lambda x: nn.BatchNorm1d(3)(x[:1, :, 0]),
        ValueError,
        "Expected more than 1 value per channel when training, got input size torch.Size([1, 3])",
    ),
    (lambda x: nn.BatchNorm1d(3)(x[0, 0]), ValueError, "expected 2D or 3D input (got 1D input)"),
    (lambda x: nn.BatchNorm2d(3)(x), ValueError, "expected 4D input (got 3D input)"),
    (
        lambda x: nn.InstanceNorm1d(3)(x[..., :1]),
        ValueError,
        "Expected more than 1 spatial element",
    ),
    (
        lambda x: F.instance_norm(x, use_input_stats=False),
        RuntimeError,
        "Expected running_mean and running_var to be defined when use_input_stats is false",
    ),
    (
        lambda x: nn.Embedding(3, 2, padding_idx=5),
        AssertionError,
        "Padding_idx must be within num_embeddings",
    ),
    (
        lambda x: nn.Embedding.from_pretrained(x),
        AssertionError,
        "Embeddings parameter is expected to be 2-dim",
    ),
    (
        lambda x: nn.Embedding(3, 2, _weight=x),
        AssertionError,
        "Shape of weight does not match",
    ),
    (lambda x: nn.Embedding(3, 2)(torch.tensor([5])), IndexError, "index out of range in self"),
    (lambda x: x.sum_to_size(2, 4), RuntimeError, "size {[2, 4]} is not expandable to size {[2, 3, 4]}."),
]


@pytest.mark.parametrize("case", BAD, ids=lambda c: c[2][:40])
def test_bad_input(case):
    call, kind, text = case
    with pytest.raises(kind) as error:
        call(torch.ones(X))
    assert str(error.value).startswith(text)
