"""Values and gradients of layers, losses and initializers against PyTorch's.

``expected.json`` holds PyTorch's results: ``python tests/nn/test_values.py`` writes it anew where torch is
installed. Inputs are uniform random numbers, which are the same in both for the same seed.
"""

import json
import pathlib

import pytest

FILE = pathlib.Path(__file__).with_name("expected.json")

ACTIVATIONS = {
    "relu": "ReLU()",
    "relu6": "ReLU6()",
    "sigmoid": "Sigmoid()",
    "tanh": "Tanh()",
    "softmax": "Softmax(1)",
    "softmin": "Softmin(0)",
    "log_softmax": "LogSoftmax(1)",
    "leaky_relu": "LeakyReLU(0.2)",
    "elu": "ELU(0.7)",
    "celu": "CELU(0.7)",
    "selu": "SELU()",
    "gelu": "GELU()",
    "gelu_tanh": "GELU('tanh')",
    "silu": "SiLU()",
    "mish": "Mish()",
    "softplus": "Softplus(2.0, 3.0)",
    "softsign": "Softsign()",
    "logsigmoid": "LogSigmoid()",
    "hardtanh": "Hardtanh(-0.5, 0.7)",
    "hardsigmoid": "Hardsigmoid()",
    "hardswish": "Hardswish()",
    "hardshrink": "Hardshrink()",
    "softshrink": "Softshrink()",
    "tanhshrink": "Tanhshrink()",
    "threshold": "Threshold(0.1, 20.0)",
    "prelu": "PReLU()",
    "glu": "GLU()",
    "dropout": "Dropout(0.3)",
    "alpha_dropout": "AlphaDropout(0.3)",
    "linear": "Linear(4, 3)",
    "linear_no_bias": "Linear(4, 3, bias=False)",
    "flatten": "Flatten(0)",
    "unflatten": "Unflatten(1, (2, 2))",
    "identity": "Identity(3, x=1)",
    "layer_norm": "LayerNorm(4)",
    "layer_norm_plain": "LayerNorm((6, 4), eps=0.1, elementwise_affine=False)",
    "layer_norm_no_bias": "LayerNorm(4, bias=False)",
    "rms_norm": "RMSNorm(4)",
    "rms_norm_eps": "RMSNorm((6, 4), eps=0.1, elementwise_affine=False)",
    "group_norm": "GroupNorm(2, 4)",
    "batch_norm": "BatchNorm1d(4)",
    "batch_norm_plain": "BatchNorm1d(4, affine=False, momentum=None)",
    "batch_norm_eval": "BatchNorm1d(4, eps=0.1).eval()",
    "instance_norm": "InstanceNorm1d(6, affine=True)",
    "instance_norm_tracking": "InstanceNorm1d(6, track_running_stats=True).eval()",
    "sequential": "Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))",
}

# In these, x are logits (6, 4), p probabilities of the same shape, t classes, w class weights.
LOSSES = {
    "mse": "mse_loss(x, p)",
    "mse_sum": "mse_loss(x, p, reduction='sum')",
    "mse_none": "mse_loss(x, p, reduction='none')",
    "mse_weight": "mse_loss(x, p, weight=p)",
    "l1": "l1_loss(x, p)",
    "l1_weight": "l1_loss(x, p, weight=p)",
    "smooth_l1": "smooth_l1_loss(x, p, beta=0.5)",
    "smooth_l1_0": "smooth_l1_loss(x, p, beta=0.0)",
    "huber": "huber_loss(x, p, delta=0.4)",
    "huber_weight": "huber_loss(x, p, weight=p)",
    "cross_entropy": "cross_entropy(x, t)",
    "cross_entropy_weight": "cross_entropy(x, t, w)",
    "cross_entropy_ignore": "cross_entropy(x, t, w, ignore_index=2)",
    "cross_entropy_sum": "cross_entropy(x, t, reduction='sum')",
    "cross_entropy_none": "cross_entropy(x, t, reduction='none')",
    "cross_entropy_smooth": "cross_entropy(x, t, label_smoothing=0.1)",
    "cross_entropy_smooth_all": "cross_entropy(x, t, w, ignore_index=1, label_smoothing=0.3)",
    "cross_entropy_soft": "cross_entropy(x, p)",
    "cross_entropy_soft_all": "cross_entropy(x, p, w, label_smoothing=0.2)",
    "cross_entropy_1d": "cross_entropy(x[0], t[0])",
    "nll": "nll_loss(x.log_softmax(1), t)",
    "nll_weight_sum": "nll_loss(x.log_softmax(1), t, w, reduction='sum')",
    "nll_2d": "nll_loss(x.log_softmax(1).view(3, 4, 2), t.view(3, 2))",
    "bce": "binary_cross_entropy(x.sigmoid(), p)",
    "bce_weight": "binary_cross_entropy(x.sigmoid(), p, w)",
    "bce_logits": "binary_cross_entropy_with_logits(x, p)",
    "bce_logits_all": "binary_cross_entropy_with_logits(x, p, w, pos_weight=w)",
    "kl_div": "kl_div(x, p, reduction='batchmean')",
    "kl_div_log": "kl_div(x, p, reduction='sum', log_target=True)",
    "poisson": "poisson_nll_loss(x, p * 4, full=True)",
    "poisson_plain": "poisson_nll_loss(x.abs(), p, log_input=False)",
    "gaussian": "gaussian_nll_loss(x, p, p + 0.1, full=True)",
    "normalize": "normalize(x)",
    "normalize_1": "normalize(x, p=1.0, dim=0)",
}

INITS = {
    "uniform": "uniform_(e, -1.0, 2.0)",
    "constant": "constant_(e, 3.5)",
    "eye": "eye_(e)",
    "xavier_uniform": "xavier_uniform_(e, gain=2.0)",
    "kaiming_uniform": "kaiming_uniform_(e, a=0.1)",
    "kaiming_fan_out": "kaiming_uniform_(e, mode='fan_out', nonlinearity='relu')",
    "normal": "normal_(e, 1.0, 0.5)",
    "xavier_normal": "xavier_normal_(e)",
    "kaiming_normal": "kaiming_normal_(e)",
    "trunc_normal": "trunc_normal_(e, std=2.0)",
    "trunc_normal_far": "trunc_normal_(e, mean=1.0, a=1.8, b=2.2)",
    "sparse": "sparse_(e, 0.4)",
}


def _result(torch, build, inputs):
    """[value, gradients of the leaves] of ``build()``, as nested lists."""
    torch.manual_seed(1)
    out = build()
    grads = []
    if out.requires_grad:
        out.sum().backward()
        grads = [leaf.grad.tolist() for leaf in inputs if leaf.grad is not None]
    return [out.detach().tolist(), grads]


def run(torch, kind, text):
    """One case, computed by this ``torch``."""
    nn = torch.nn
    torch.manual_seed(0)
    x = (torch.rand(6, 4) * 4 - 2).requires_grad_()
    p = torch.rand(6, 4)
    w = torch.rand(4)
    t = torch.randint(0, 4, (6,))
    names = {"nn": nn, "x": x, "p": p, "w": w, "t": t}
    if kind == "layer":
        module = eval("nn." + text, names)
        return _result(torch, lambda: module(x), [x, *module.parameters()])
    if kind == "loss":
        return _result(torch, lambda: eval("nn.functional." + text, names), [x])
    names["e"] = torch.zeros(3, 4)
    return _result(torch, lambda: eval("nn.init." + text, names), [])


CASES = [
    *(("layer", name, text) for name, text in ACTIVATIONS.items()),
    *(("loss", name, text) for name, text in LOSSES.items()),
    *(("init", name, text) for name, text in INITS.items()),
]


def close(a, b):
    if isinstance(b, list):
        return isinstance(a, list) and len(a) == len(b) and all(map(close, a, b))
    return a == b or abs(a - b) <= 1e-6 + 2e-6 * abs(b)


@pytest.mark.parametrize(("kind", "name", "text"), CASES, ids=lambda v: v if " " not in v else "")
def test_agrees_with_torch(kind, name, text):
    import pullback

    expected = json.loads(FILE.read_text())[f"{kind}.{name}"]
    got = run(pullback, kind, text)
    assert close(got, expected), (got, expected)


if __name__ == "__main__":
    import torch

    results = {f"{kind}.{name}": run(torch, kind, text) for kind, name, text in CASES}
    FILE.write_text(
        "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in results.items()) + "\n}\n"
    )
