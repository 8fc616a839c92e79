"""What nodes keep, under torch's names: `grad_fn._saved_self`, `_saved_dim`, `_saved_self_sym_sizes`, ...

Every name that torch offers is here. Where pullback keeps nothing under it, the value is None: the backward
does not need it (tests/autograd/not_saved.txt lists them).
"""

from __future__ import annotations

from pullback.autograd.saved import none, of_node
from pullback.trace import signature as sig
from pullback.trace.tracer import DTYPES

# The names of each node; "=1" where the value is that if the call did not give one.
_TABLE = """
AbsBackward0 self
AcosBackward0 self
AcoshBackward0 self
AcoshBackward1
AddBackward0 alpha=1
AddBackward1
AddbmmBackward0 alpha=1 batch1 batch1_sym_argsize_0 batch1_sym_argsize_1 batch2 batch2_sym_argsize_2 beta=1
AddcdivBackward0 tensor1 tensor2 value
AddcmulBackward0 tensor1 tensor2 value
AddmmBackward0 alpha=1 beta=1 mat1 mat1_sym_sizes mat1_sym_strides mat2 mat2_sym_sizes mat2_sym_strides
AddmvBackward0 alpha=1 beta=1 mat vec
AddrBackward0 alpha=1 beta=1 vec1 vec2
AliasBackward0
AmaxBackward0 dim keepdim result self
AminBackward0 dim keepdim result self
AminmaxBackward0 dim keepdim max min self
AsStridedBackward0 size storage_offset stride
AsStridedBackward1 size storage_offset stride
AsinBackward0 self
AsinhBackward0 self
AsinhBackward1
Atan2Backward0 other self
AtanBackward0 self
AtanhBackward0 self
AtanhBackward1
BaddbmmBackward0 alpha=1 batch1 batch2 beta=1
BernoulliBackward2
BinaryCrossEntropyBackward0 reduction self target weight
BinaryCrossEntropyWithLogitsBackward0 pos_weight reduction self target weight
BlockDiagBackward0
BmmBackward0 mat2 self
CatBackward0 dim
CauchyBackward0
CeilBackward0
CeluBackward0 alpha=1 self
ClampBackward0 max min self
ClampBackward1 max min self
ClampMaxBackward0 max self
ClampMaxBackward1 max self
ClampMinBackward0 min self
ClampMinBackward1 min self
CloneBackward0
CopysignBackward0 result self
CopysignBackward1 result self
CosBackward0 self
CoshBackward0 self
CummaxBackward0 dim indices self
CumminBackward0 dim indices self
CumprodBackward0 dim result self
CumsumBackward0 dim
Deg2RadBackward0
DiagEmbedBackward0 dim1 dim2 offset
DiagonalBackward0 dim1 dim2 offset self_sym_sizes
DiagonalBackward0_copy dim1 dim2 offset self_sym_sizes
DigammaBackward0 self
DistBackward0 other p result self
DivBackward0 other self
DivBackward1 other
DivBackward2 other rounding_mode self
DotBackward0 self tensor
EluBackward0 alpha=1 input_scale=1 scale=1 self
EluBackward1 alpha=1 input_scale=1 result scale=1
EmbeddingBackward0 indices padding_idx scale_grad_by_freq sparse weight_sym_argsize_0
EqBackward0
EqBackward1
ErfBackward0 self
ErfcBackward0 self
ErfinvBackward0 self
Exp2Backward0 result
ExpBackward0 result
ExpandBackward0 self_sym_sizes
Expm1Backward0 result
ExponentialBackward0
FillBackward0
FillBackward1
FillBackward2
FillBackward3
FlipBackward0 dims
FloorBackward0
FmaxBackward0 other self
FminBackward0 other self
FmodBackward0
FmodBackward1 other self
FracBackward0
GatherBackward0 dim index self sparse_grad
GeBackward0
GeBackward1
GeluBackward0 approximate self
GeometricBackward0
GluBackward0 dim self
GtBackward0
GtBackward1
HardshrinkBackward0 lambd self
HardsigmoidBackward0 self
HardswishBackward0 self
HardtanhBackward0 max_val min_val self
HuberLossBackward0 delta reduction self target
HypotBackward0 other result self
IndexAddBackward0 alpha=1 dim index source source_dim
IndexBackward0 indices self_sym_sizes
IndexCopyBackward0 dim index source source_dim
IndexFillBackward0 dim index
IndexFillBackward1 dim index
IndexPutBackward0 accumulate indices
IndexSelectBackward0 dim index self_sym_sizes
KthvalueBackward0 dim indices keepdim self_sym_sizes
LeBackward0
LeBackward1
LeakyReluBackward0 negative_slope self
LerpBackward0 weight
LerpBackward1 end self weight
LgammaBackward0 self
LinalgCrossBackward0 dim other self
LinalgVectorNormBackward0 dim keepdim ord result self
Log10Backward0 self
Log1PBackward0 self
Log2Backward0 self
LogBackward0 self
LogNormalBackward0
LogSigmoidBackward0 buffer self
LogSoftmaxBackward0 dim result
Logaddexp2Backward0 other self
LogaddexpBackward0 other self
LogcumsumexpBackward0 dim result self
LogitBackward0 eps self
LogsumexpBackward0 dim keepdim result self
LtBackward0
LtBackward1
MaskedFillBackward0 mask
MaskedFillBackward1 mask
MaskedScatterBackward0 mask source_sym_sizes
MaskedSelectBackward0 mask self
MaxBackward0 dim indices keepdim self_sym_sizes
MaxBackward1 result self
MaximumBackward0 other self
MeanBackward0 self_sym_numel self_sym_sizes
MeanBackward1 dim keepdim self_sym_numel self_sym_sizes
MedianBackward0 result self
MedianBackward1 dim indices keepdim self_sym_sizes
MinBackward0 dim indices keepdim self_sym_sizes
MinBackward1 result self
MinimumBackward0 other self
MishBackward0 self
MmBackward0 mat2 mat2_sym_sizes mat2_sym_strides self self_sym_sizes self_sym_strides
ModeBackward0 dim indices keepdim self_sym_sizes
MseLossBackward0 reduction self target
MulBackward0 other self
MulBackward1 other
MvBackward0 self vec
NanToNumBackward0 self
NanmedianBackward0 result self
NanmedianBackward1 dim indices keepdim self_sym_sizes
NansumBackward0 dim keepdim self
NeBackward0
NeBackward1
NegBackward0
NllLoss2DBackward0 ignore_index reduction self target total_weight weight
NllLossBackward0 ignore_index reduction self target total_weight weight
NormalBackward0
PermuteBackward0 dims
PowBackward0 exponent=2 self
PowBackward1 exponent result self
PowBackward2 exponent result self
PreluKernelBackward0 self weight
ProdBackward0 result self
ProdBackward1 dim keepdim result self
PutBackward0 accumulate index source
Rad2DegBackward0
RandomBackward2
ReciprocalBackward0 result
ReluBackward0 result
RemainderBackward0
RemainderBackward1 other self
RenormBackward0 dim maxnorm p self
RepeatBackward0 repeats self_sym_sizes
ReshapeAliasBackward0 self_sym_sizes
RollBackward0 dims shifts
Rot90Backward0 dims k
RoundBackward0
RoundBackward1
RreluWithNoiseBackward0 lower noise self training upper
RsqrtBackward0 result
RsubBackward0 alpha=1
RsubBackward1 alpha=1
ScatterAddBackward0 dim index
ScatterBackward0 dim index
ScatterBackward1 dim index
ScatterReduceBackward0 dim include_self index reduce result self src
SelectBackward0 dim index self_sym_sizes
SgnBackward0 result self
SigmoidBackward0 result
SignBackward0
SiluBackward0 self
SinBackward0 self
SincBackward0 self
SinhBackward0 self
SliceBackward0 dim end self_sym_sizes start step
SmoothL1LossBackward0 beta=1 reduction self target
SoftmaxBackward0 dim result
SoftplusBackward0 beta=1 self threshold
SoftshrinkBackward0 lambd self
SortBackward0 dim indices self_sym_sizes
SortBackward1 dim indices self_sym_sizes
SplitBackward0 dim self_sym_sizes split_size
SplitWithSizesBackward0 dim self_sym_sizes split_sizes
SqrtBackward0 result
SqueezeBackward0 self_sym_sizes
SqueezeBackward1 dim self_sym_sizes
SqueezeBackward2 dim self_sym_sizes
SqueezeBackward3 self_sym_sizes
SqueezeBackward4 dim self_sym_sizes
StackBackward0 dim
StdBackward0 correction dim keepdim result self
StdMeanBackward0 correction dim keepdim result0 self
SubBackward0 alpha=1
SumBackward0 self_sym_sizes
SumBackward1 dim keepdim self_sym_sizes
TBackward0
TBackward1
TakeBackward0 index self
TanBackward0 result
TanhBackward0 result
ThresholdBackward0 self threshold
ThresholdBackward1 self threshold
ToCopyBackward0
TopkBackward0 dim indices self_sym_sizes
TraceBackward0 self_sym_sizes
TransposeBackward0 dim0 dim1
TransposeBackward1 dim0 dim1
TrilBackward0 diagonal
TrilinearBackward0 expand1 expand2 expand3 i1 i2 i3 sumdim
TriuBackward0 diagonal
TruncBackward0
UnbindBackward0 dim
UnfoldBackward0 dimension self_sym_sizes size step
UniformBackward0
UnsafeSplitBackward0 dim self_sym_sizes split_size
UnsafeViewBackward0 self_sym_sizes
UnsqueezeBackward0 dim
UnsqueezeBackward1 dim
VarBackward0 correction dim keepdim self
VarMeanBackward0 correction dim keepdim self
VdotBackward0 other self
ViewBackward0 self_sym_sizes
WhereBackward0 condition
XlogyBackward0 other self
XlogyBackward1 other self
XlogyBackward2 other self
ZeroBackward0
torch::autograd::CopyBackwards
torch::autograd::CopySlices
torch::autograd::NotImplemented
"""
NAMES = {
    node: dict(name.partition("=")[::2] for name in names)
    for node, *names in map(str.split, _TABLE.strip().splitlines())
}

# Outputs that have names, by their number.
_OUTPUTS = {"result": 0, "result0": 0, "result1": 1, "indices": 1, "min": 0, "max": 1}
# Torch's names of parameters where the signature has another.
_PARAMETERS = {"self": "input"}
# Nodes whose list of axes has one at most, which torch shows as a number.
_ONE_AXIS = {"SqueezeBackward1", "SqueezeBackward4"}
# Numbers that were integers where another parameter says so.
_INTEGERS = {"exponent": "whole"}
_WHOLE = 2**64  # torch shows its signed integers as unsigned


class _Kept:
    """A tensor operand: its place among the operands, and its layout."""

    def __init__(self, place, layout):
        self.place, (self.shape, self.strides) = place, layout


def parameters(node):
    """(parameter, value) of the node's operation; tensors as _Kept, numbers as themselves."""
    application = node._application()
    signature = getattr(application[0], "signature", None) if application else None
    if signature is None:
        return []
    _, _, numbers, ints, _, layouts = application
    numbers, places = iter(numbers), iter(range(len(layouts)))
    operands = [next(numbers) if layout is None else _Kept(next(places), layout) for layout in layouts]
    return list(zip(signature.parameters, sig.decode(signature, operands, ints, DTYPES), strict=True))


def names(node):
    """The names that torch offers for a node; for nodes that torch does not have, those of its parameters."""
    known = NAMES.get(node.name())
    if known is not None:
        return list(known)
    own = ["self" if p.name == "input" else p.name for p, _ in parameters(node)]
    return [*own, "result"] if own else []


def value(node, name, raw=False):
    """What the node keeps under a name, or None; AttributeError for other names.

    With `raw` a tensor's SavedTensor.
    """
    if name not in names(node):
        raise AttributeError(name)
    given = parameters(node)
    found = {p.name: _unsigned(v) if p.kind in ("int", "size") else v for p, v in given}
    key = _PARAMETERS.get(name, name) if name not in found else name
    if key in found:
        v = found[key]
        if isinstance(v, _Kept):
            return _tensor(node, False, v.place, raw)
        if isinstance(v, (list, tuple)) and any(isinstance(x, _Kept) for x in v):
            return [_tensor(node, False, x.place, raw) if isinstance(x, _Kept) else x for x in v]
        if raw:
            raise AttributeError(name)
        if found.get(_INTEGERS.get(name)):
            return int(v)
        if name == "dim" and node.name() in _ONE_AXIS:
            return v[0] if v else None
        return v
    if name in _OUTPUTS:
        return _tensor(node, True, _OUTPUTS[name], raw)
    if raw:
        raise AttributeError(name)
    size = _size(found, name)
    if size is not None:
        return size
    default = NAMES.get(node.name(), {}).get(name)
    return int(default) if default else None


def _unsigned(v):
    if isinstance(v, tuple):
        return tuple(_unsigned(x) for x in v)
    return v % _WHOLE if type(v) is int else v


def _tensor(node, is_output, k, raw):
    place = next((i for i, save in enumerate(node._saves()) if save == (is_output, k)), None)
    if raw:
        return none() if place is None else of_node(node, place)
    return None if place is None else node._kept_value(place)


def _size(found, name):
    """The sizes of an operand: mat1_sym_sizes, self_sym_numel, batch1_sym_argsize_0, source_dim."""
    for suffix in ("_sym_sizes", "_sym_strides", "_sym_numel", "_dim"):
        if name.endswith(suffix):
            x = found.get(_PARAMETERS.get(name.removesuffix(suffix), name.removesuffix(suffix)))
            return _measured(x, suffix) if isinstance(x, _Kept) else None
    operand, asked, axis = name.partition("_sym_argsize_")
    x = found.get(operand)
    return x.shape[int(axis)] if asked and isinstance(x, _Kept) else None


def _measured(x, suffix):
    if suffix == "_dim":
        return len(x.shape)
    if suffix == "_sym_strides":
        return x.strides
    n = 1
    for s in x.shape:
        n *= s
    return n if suffix == "_sym_numel" else x.shape
