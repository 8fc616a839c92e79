"""What each op is for, and an example: read by `pullback.documentation` when a docstring is asked for.

A row begins with the op's name and a sentence. Parts that do not follow from the declaration are written
below under their names; the line with > is the example, a call in which lists are tensors. `clip = clamp` is
a second name.
"""

TABLE = """
abs The absolute values.
    > abs([-1.5, 0.0, 2.0])
acos The angle in [0, pi] that has this cosine; nan outside [-1, 1].
    > acos([-1.0, 0.0, 1.0])
acosh The inverse of cosh, in [0, inf); nan below 1.
    > acosh([1.0, 2.0])
add input + alpha * other.
    > add([1.0, 2.0], [10.0, 20.0], alpha=2)
addcdiv input + value * tensor1 / tensor2.
    > addcdiv([1.0, 1.0], [3.0], [2.0, 4.0], value=2)
addcmul input + value * tensor1 * tensor2.
    > addcmul([1.0, 1.0], [3.0], [2.0, 4.0], value=2)
all Whether no element is 0, of all of them or along axes.
    Shapes   input (*) -> () without dim; with it, those axes go away (keepdim: have size 1)
    > all([[1.0, 0.0], [1.0, 2.0]], dim=1)
amax The largest elements along axes (of all of them without dim).
    Shapes   input (*) -> (*) without the axes of dim (keepdim: of size 1)
    Gradient shared evenly by the elements that are the largest
    Errors   IndexError where dim names an axis of size 0
    > amax([[1.0, 3.0], [4.0, 2.0]], dim=1)
amin The smallest elements along axes (of all of them without dim).
    Shapes   input (*) -> (*) without the axes of dim (keepdim: of size 1)
    Gradient shared evenly by the elements that are the smallest
    Errors   IndexError where dim names an axis of size 0
    > amin([[1.0, 3.0], [4.0, 2.0]], dim=1)
any Whether some element is not 0, of all of them or along axes.
    Shapes   input (*) -> () without dim; with it, those axes go away (keepdim: have size 1)
    > any([[1.0, 0.0], [0.0, 0.0]], dim=1)
argmax Where the largest element is: along an axis, or in the flattened tensor. Of equal ones, the first.
    Shapes   input (*) -> () without dim; with it, that axis goes away (keepdim: has size 1)
    > argmax([[1.0, 3.0], [4.0, 2.0]], dim=1)
argmin Where the smallest element is: along an axis, or in the flattened tensor. Of equal ones, the first.
    Shapes   input (*) -> () without dim; with it, that axis goes away (keepdim: has size 1)
    > argmin([[1.0, 3.0], [4.0, 2.0]], dim=1)
argsort The positions that would sort an axis.
    Shapes   input (*) -> (*)
    > argsort([3.0, 1.0, 2.0])
asin The angle in [-pi/2, pi/2] that has this sine; nan outside [-1, 1].
    > asin([-1.0, 0.0, 1.0])
asinh The inverse of sinh.
    > asinh([-1.0, 0.0, 1.0])
atan The angle in (-pi/2, pi/2) that has this tangent.
    > atan([-1.0, 0.0, 1.0])
atan2 The angle of the point (other, input) of the plane, in [-pi, pi].
    Gradient input: g * other / (input**2 + other**2); other: -g * input / (input**2 + other**2)
    > atan2([1.0, 1.0], [1.0, -1.0])
atanh The inverse of tanh; nan outside [-1, 1].
    > atanh([-0.5, 0.0, 0.5])
binary_cross_entropy_with_logits Cross entropy of sigmoid(input), without overflow.
    Shapes   input (*), target (*) -> () for reduction 1 (mean) and 2 (sum), (*) for 0 (none)
    > binary_cross_entropy_with_logits([0.0, 2.0], [1.0, 1.0])
bitwise_and The bits that both have; of bools, and.
    > bitwise_and([12, 10], [6, 6])
bitwise_left_shift input * 2**other: the bits moved up.
    > bitwise_left_shift([1, 3], 2)
bitwise_not All bits turned over: -1 - x of signed integers; of bools, not.
    > bitwise_not([0, 5])
bitwise_or The bits that one of them has; of bools, or.
    > bitwise_or([12, 10], [6, 6])
bitwise_right_shift floor(input / 2**other): the bits moved down.
    > bitwise_right_shift([4, 12], 2)
bitwise_xor The bits that just one of them has; of bools, whether they differ.
    > bitwise_xor([12, 10], [6, 6])
bmm The products of two batches of matrices.
    Shapes   input (b, n, k), mat2 (b, k, m) -> (b, n, m)
    Gradient input: bmm(g, mat2.mT); mat2: bmm(input.mT, g)
    Errors   ShapeError where batches or the inner axes differ: nothing broadcasts, unlike in matmul()
    > bmm([[[1.0, 2.0]]], [[[3.0], [4.0]]])
cat Tensors one behind the other along an axis that they have.
    Shapes   (*, n1, *), (*, n2, *), ... -> (*, n1 + n2 + ..., *)
    Gradient to each tensor its part of g
    Errors   ShapeError where another axis differs; a tensor of shape (0,) fits everywhere
    > cat(([1.0, 2.0], [3.0]))
ceil Rounded up to whole numbers.
    > ceil([-1.5, 0.2, 2.0])
clamp Held between min and max; either may be missing, and both may be tensors.
    Shapes   input (*a), min (*b), max (*c) -> broadcast(a, b, c)
    Gradient g between the bounds or at one, else 0; a bound that is a tensor gets the rest
    Errors   RuntimeError where both bounds are missing
    > clamp([-2.0, 0.5, 2.0], -1.0, 1.0)
clamp_max Held below a bound.
    Gradient g where input <= max, else 0; a bound that is a tensor gets the rest
    > clamp_max([-2.0, 0.5, 2.0], 1.0)
clamp_min Held above a bound.
    Gradient g where input >= min, else 0; a bound that is a tensor gets the rest
    > clamp_min([-2.0, 0.5, 2.0], 0.0)
clip = clamp
concat = cat
concatenate = cat
copysign The size of input with the sign of other, -0.0 included.
    Shapes   input (*a), other (*b) or a number -> broadcast(a, b)
    Gradient input: g where the sign is kept, -g where it is turned over, 0 at 0; other: 0
    > copysign([1.0, -2.0], [-1.0, 1.0])
cos The cosine of angles in radians.
    > cos([0.0, 1.0])
cosh The hyperbolic cosine.
    > cosh([0.0, 1.0])
count_nonzero How many elements are not 0, of all of them or along axes.
    Shapes   input (*) -> () without dim; with it, those axes go away
    > count_nonzero([[1.0, 0.0], [2.0, 3.0]], dim=1)
cummax The largest element so far along an axis, and where it is (of equal ones, the last).
    Shapes   input (*) -> (*), (*)
    Gradient g goes back to where the elements came from
    > cummax([1.0, 3.0, 2.0], 0)
cummin The smallest element so far along an axis, and where it is (of equal ones, the last).
    Shapes   input (*) -> (*), (*)
    Gradient g goes back to where the elements came from
    > cummin([3.0, 1.0, 2.0], 0)
cumprod The products of the elements up to each along an axis.
    Shapes   input (*) -> (*)
    Gradient g times the products without each element, summed; right where some are 0
    > cumprod([1.0, 2.0, 3.0], 0)
cumsum The sums of the elements up to each along an axis.
    Shapes   input (*) -> (*)
    > cumsum([1.0, 2.0, 3.0], 0)
deg2rad Degrees as radians.
    > deg2rad([0.0, 180.0])
diagonal The diagonal of two axes: a view, with the diagonal as the last axis.
    Shapes   input (*, n, m) -> (*, min(n, m)) for the diagonal without an offset
    Gradient g on the diagonal, 0 elsewhere
    > diagonal([[1.0, 2.0], [3.0, 4.0]])
digamma The derivative of lgamma.
    Gradient g * trigamma(input)
    > digamma([1.0, 2.0])
dist The p-norm of input - other, all axes together.
    Shapes   input (*a), other (*b) -> ()
    Gradient input: for p=2 g * (input - other) / out, 0 where out is 0; other: minus that
    > dist([1.0, 2.0], [4.0, 6.0])
div input / other; rounding_mode "trunc" rounds towards 0, "floor" down.
    Shapes   input (*a), other (*b) or a number -> broadcast(a, b)
    > div([1.0, 2.0], [4.0, 5.0])
dot The inner product of two vectors.
    Shapes   input (n), tensor (n) -> ()
    Errors   ShapeError for other shapes
    > dot([1.0, 2.0], [3.0, 4.0])
elu x where positive, alpha * (exp(x) - 1) elsewhere.
    Gradient g where input > 0, g * alpha * exp(input) elsewhere
    > elu([-1.0, 0.0, 1.0])
embedding The rows of weight that the indices name.
    Shapes   weight (n, d), indices (*) -> (*, d)
    Gradient g is added into the rows that were read; padding_idx gets none
    > embedding([[1.0, 2.0], [3.0, 4.0]], [1, 0])
eq Whether elements are equal; nan never is.
    > eq([1.0, 2.0], [1.0, 3.0])
erf The error function: 2/sqrt(pi) times the integral of exp(-t^2) from 0.
    > erf([0.0, 1.0])
erfc 1 - erf(x), exact where that is small.
    > erfc([0.0, 5.0])
erfinv The number whose error function this is; nan beyond -1 and 1, infinite there.
    > erfinv([0.0, 0.5])
exp e to the power of each element.
    > exp([0.0, 1.0])
exp2 2 to the power of each element.
    > exp2([0.0, 3.0])
expand A view in which axes of size 1 are repeated without copying; -1 keeps an axis.
    Shapes   input (a, 1), size (a, n) -> (a, n); new axes come in front
    Gradient summed over the repeated axes
    Errors   ShapeError where an axis that is not 1 would change
    > expand([[1.0], [2.0]], (2, 3))
expm1 exp(x) - 1, exact where x is small.
    > expm1([0.0, 1e-05])
fill Every element becomes the value, a number or a tensor without axes.
    Shapes   input (*), value () -> (*)
    > fill([1.0, 2.0], 5.0)
flip The order of the elements reversed along axes: a copy.
    Shapes   input (*) -> (*)
    Gradient flip(g, dims)
    > flip([[1.0, 2.0], [3.0, 4.0]], (0,))
floor Rounded down to whole numbers.
    > floor([-1.5, 0.2, 2.0])
floor_divide floor(input / other).
    > floor_divide([7.0, -7.0], 2.0)
fma input * other + third with one rounding.
    > fma([2.0], [3.0], [1.0])
fmax The larger of two; where one is nan, the other.
    Gradient g to the larger, or to the one that is not nan; to input where they are equal
    > fmax([1.0, nan], [2.0, 0.0])
fmin The smaller of two; where one is nan, the other.
    Gradient g to the smaller, or to the one that is not nan; to input where they are equal
    > fmin([1.0, nan], [2.0, 0.0])
fmod The remainder of a division rounded towards 0: it has the sign of input.
    Gradient input: g; other, where it is a tensor: -g * trunc(input / other)
    > fmod([7.0, -7.0], 3.0)
frac x - trunc(x).
    > frac([1.25, -1.25])
gather Elements of an axis by their positions: out[i][j] = input[i][index[i][j]] for dim=1.
    Shapes   input (*), index (*i) -> (*i); index has as many axes, none of them longer except dim
    Gradient g is added where the elements came from
    Errors   RuntimeError for an index out of range
    > gather([[1.0, 2.0], [3.0, 4.0]], 1, [[1], [0]])
ge Whether input >= other.
    > ge([1.0, 2.0], 2.0)
gelu x * Phi(x), with Phi the normal distribution function; approximate="tanh" is a cheaper form.
    Gradient g * (Phi(input) + input * phi(input)), phi the density
    > gelu([-1.0, 0.0, 1.0])
gt Whether input > other.
    > gt([1.0, 2.0], 1.5)
hardshrink x outside [-lambd, lambd], 0 inside.
    > hardshrink([-1.0, 0.2, 1.0])
hardsigmoid min(max(0, x + 3), 6) / 6.
    > hardsigmoid([-4.0, 0.0, 1.0])
hardswish x * min(max(0, x + 3), 6) / 6.
    Gradient 0 up to -3, g from 3 on, g * (input / 3 + 0.5) between
    > hardswish([-4.0, 0.0, 1.0])
hardtanh x held between min_val and max_val.
    > hardtanh([-2.0, 0.5, 2.0])
heaviside 0 where input is negative, 1 where positive, values where it is 0.
    > heaviside([-1.0, 0.0, 1.0], [0.5])
hypot sqrt(input^2 + other^2), without overflow.
    > hypot([3.0], [4.0])
index_add A copy in which alpha times the slices of source are added at positions of an axis.
    Shapes   input (n, *), index (k), source (k, *) -> (n, *), for dim=0
    Errors   RuntimeError for an index out of range
    > index_add([0.0, 0.0], 0, [1, 1], [1.0, 2.0])
index_copy A copy in which the slices at positions of an axis are those of source.
    Shapes   input (n, *), index (k), source (k, *) -> (n, *), for dim=0
    Errors   IndexError for an index out of range
    > index_copy([0.0, 0.0], 0, [1, 0], [1.0, 2.0])
index_fill A copy in which the slices at positions of an axis hold one value.
    Shapes   input (n, *), index (k), value () -> (n, *), for dim=0
    Gradient g, 0 in those slices
    Errors   IndexError for an index out of range
    > index_fill([1.0, 2.0, 3.0], 0, [0, 2], 9.0)
index_select The slices at positions of an axis, in that order: a copy.
    Shapes   input (n, *), index (k) -> (k, *), for dim=0
    Gradient g is added where the slices came from
    Errors   IndexError for an index out of range
    > index_select([1.0, 2.0, 3.0], 0, [2, 0])
isfinite Whether elements are neither infinite nor nan.
    > isfinite([1.0, inf, nan])
isinf Whether elements are infinite.
    > isinf([1.0, -inf, nan])
isnan Whether elements are nan.
    > isnan([1.0, inf, nan])
isneginf Whether elements are -inf.
    > isneginf([1.0, -inf, inf])
isposinf Whether elements are inf.
    > isposinf([1.0, -inf, inf])
isreal Whether elements are real: all are, there are no complex types.
    > isreal([1.0, 2.0])
kthvalue The k-th smallest element along an axis, and where it is.
    Shapes   input (*) -> two of (*) without the axis (keepdim: of size 1)
    Gradient g goes back to where the elements came from
    Errors   RuntimeError for k out of range
    > kthvalue([3.0, 1.0, 2.0], 2)
le Whether input <= other.
    > le([1.0, 2.0], 1.5)
leaky_relu x where positive, negative_slope * x elsewhere.
    > leaky_relu([-1.0, 2.0], 0.1)
lerp The point between input and end: input + weight * (end - input).
    Shapes   input (*a), end (*b), weight (*c) or a number -> broadcast(a, b, c)
    Gradient input: g * (1 - weight); end: g * weight; weight, where it is a tensor: g * (end - input)
    > lerp([0.0, 1.0], [10.0, 2.0], 0.5)
lgamma The logarithm of the absolute value of the gamma function.
    > lgamma([1.0, 5.0])
log The natural logarithm; -inf at 0, nan below.
    > log([1.0, 10.0])
log10 The logarithm to the base 10.
    > log10([1.0, 1000.0])
log1p log(1 + x), exact where x is small.
    > log1p([0.0, 1e-05])
log2 The logarithm to the base 2.
    > log2([1.0, 8.0])
log_sigmoid log(sigmoid(x)), without overflow.
    > log_sigmoid([-100.0, 0.0])
logaddexp log(exp(input) + exp(other)), without overflow.
    Gradient g times the softmax weights of both
    > logaddexp([0.0, 1000.0], [0.0, 1000.0])
logaddexp2 log2(2^input + 2^other), without overflow.
    Gradient g times the weights 2**input and 2**other, divided by their sum
    > logaddexp2([0.0, 1000.0], [0.0, 1000.0])
logcumsumexp log(cumsum(exp(x))) along an axis, without overflow.
    Shapes   input (*) -> (*)
    Gradient g times the softmax weights of the elements up to each, summed
    > logcumsumexp([0.0, 0.0, 1000.0], 0)
logical_and Whether neither element is 0.
    > logical_and([1.0, 0.0], [1.0, 1.0])
logical_not Whether elements are 0.
    > logical_not([1.0, 0.0])
logical_or Whether one of both elements is not 0.
    > logical_or([1.0, 0.0], [0.0, 0.0])
logical_xor Whether just one of both elements is 0.
    > logical_xor([1.0, 0.0], [1.0, 1.0])
logit The inverse of sigmoid: log(x / (1 - x)), with x held in [eps, 1 - eps] where eps is given.
    > logit([0.25, 0.5])
logsumexp log(sum(exp(x))) along axes, without overflow.
    Shapes   input (*) -> (*) without the axes of dim (keepdim: of size 1)
    Gradient g times the softmax weights
    > logsumexp([1000.0, 1000.0], 0)
lt Whether input < other.
    > lt([1.0, 2.0], 1.5)
masked_fill A copy with the value (a number or a tensor without axes) where the mask holds.
    Shapes   input (*a), mask (*b), value () -> broadcast(a, b)
    Gradient input: g, 0 where the mask holds; value, where it is a tensor: the sum of g there
    Errors   RuntimeError for a mask that is not bool
    > masked_fill([1.0, 2.0], [True, False], 0.0)
masked_scatter A copy in which the elements of source stand, in order, where the mask holds.
    Shapes   input (*a), mask (*b), source (*) -> broadcast(a, b)
    Gradient input: g outside of the mask; source: g inside, in order
    Errors   RuntimeError where source has too few elements
    > masked_scatter([1.0, 2.0], [False, True], [8.0])
max The largest element of all; along an axis, with where it is; or of two tensors, element by element.
    Shapes   input (*) -> (); with dim two of (*) without that axis; with other as in maximum()
    Gradient shared by all that are the largest; with dim to the one taken; with other see maximum()
    Errors   RuntimeError (IndexError with dim) where there are no elements
    > max([[1.0, 3.0], [4.0, 2.0]], 1)
maximum The larger of two; nan where one is.
    Gradient g to the larger, half to each where they are equal
    > maximum([1.0, 5.0], [2.0, 4.0])
mean The mean of all elements, or along axes.
    Shapes   input (*) -> (); with dim without those axes (keepdim: of size 1)
    Gradient g / n for each
    > mean([[1.0, 2.0], [3.0, 4.0]], 0)
min The smallest element of all; along an axis, with where it is; or of two tensors, element by element.
    Shapes   input (*) -> (); with dim two of (*) without that axis; with other as in minimum()
    Gradient shared by all that are the smallest; with dim to the one taken; with other see minimum()
    Errors   RuntimeError (IndexError with dim) where there are no elements
    > min([[1.0, 3.0], [4.0, 2.0]], 1)
minimum The smaller of two; nan where one is.
    Gradient g to the smaller, half to each where they are equal
    > minimum([1.0, 5.0], [2.0, 4.0])
mish x * tanh(softplus(x)).
    Gradient g * (tanh(s) + input * sigmoid(input) * (1 - tanh(s)**2)), s = softplus(input)
    > mish([-1.0, 0.0, 1.0])
mm The product of two matrices.
    Shapes   input (n, k), mat2 (k, m) -> (n, m)
    Gradient input: mm(g, mat2.T); mat2: mm(input.T, g)
    Errors   ShapeError where the inner axes differ or an operand is no matrix
    > mm([[1.0, 2.0]], [[3.0], [4.0]])
mode The most frequent element along an axis (of equally frequent ones the smallest), and where it is.
    Shapes   input (*) -> two of (*) without the axis (keepdim: of size 1)
    Gradient g goes back to where the elements came from
    > mode([1.0, 2.0, 2.0])
mse_loss (input - target)^2, reduced.
    Shapes   input (*), target (*) -> () for reduction 1 (mean) and 2 (sum), (*) for 0 (none)
    Gradient input: 2 * (input - target) * g / n (sum and none without n); target: minus that
    > mse_loss([1.0, 2.0], [0.0, 0.0])
msort Sorted along the first axis.
    Shapes   input (*) -> (*)
    Gradient g goes back to where the elements came from
    > msort([3.0, 1.0, 2.0])
mul input * other.
    > mul([1.0, 2.0], [3.0, 4.0])
mv The product of a matrix and a vector.
    Shapes   input (n, k), vec (k) -> (n)
    Gradient input: outer(g, vec); vec: mv(input.T, g)
    Errors   ShapeError where k differs
    > mv([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0])
nan_to_num nan as 0 and infinities as the largest numbers of the type, or as what is given for them.
    > nan_to_num([nan, inf, 1.0], posinf=9.0)
nansum The sum, with nan counted as 0.
    Shapes   input (*) -> (); with dim without those axes (keepdim: of size 1)
    Gradient g for each, 0 for nan
    > nansum([1.0, nan, 2.0])
ne Whether elements differ.
    > ne([1.0, 2.0], [1.0, 3.0])
neg -x.
    > neg([1.0, -2.0])
permute The axes in another order: a view.
    Shapes   input (a, b, c), dims (2, 0, 1) -> (c, a, b)
    Gradient g with the axes put back
    > permute([[1.0, 2.0, 3.0]], (1, 0))
prod The product of all elements, or along an axis.
    Shapes   input (*) -> (); with dim without that axis (keepdim: of size 1)
    Gradient g times the product of all the others, right where some are 0
    > prod([[1.0, 2.0], [3.0, 4.0]], 1)
put A copy in which source stands at positions of the flattened tensor (or is added there: accumulate).
    Shapes   input (*), index (*i), source (*i) -> (*)
    Gradient input: g, 0 where source went (with accumulate: g); source: g taken at index
    Errors   IndexError for an index out of range
    > put([1.0, 2.0, 3.0], [2, 0], [8.0, 9.0])
rad2deg Radians as degrees.
    > rad2deg([0.0, 1.0])
reciprocal 1 / x.
    > reciprocal([2.0, 4.0])
relu max(x, 0).
    > relu([-1.0, 0.0, 2.0])
remainder The remainder of a division rounded down: it has the sign of other.
    Gradient input: g; other, where it is a tensor: -g * floor(input / other)
    > remainder([7.0, -7.0], 3.0)
renorm The slices along dim, scaled down to a p-norm of maxnorm where theirs is larger.
    Shapes   input (*, n, *), of two axes at least -> (*, n, *)
    Gradient g times the slice's factor, less what the norm takes from it
    Errors   RuntimeError for fewer axes, for p that is not positive and for a negative maxnorm
    > renorm([[3.0, 4.0], [0.3, 0.4]], 2, 0, 1)
repeat Repeated along each axis, copied; leading repeats make new axes.
    Shapes   input (a, b), repeats (r, s) -> (r a, s b)
    Gradient summed over the repeats
    > repeat([1.0, 2.0], (2, 2))
reshape The same elements under another shape, a view where the layout allows; -1 stands for what is left.
    Shapes   input (*) -> shape, with as many elements
    Gradient g in the shape of input
    Errors   ShapeError where the number of elements differs
    > reshape([[1.0, 2.0], [3.0, 4.0]], (4,))
round Rounded to whole numbers, halves to even ones; with decimals, to so many places.
    > round([0.5, 1.5, 2.4])
rsqrt 1 / sqrt(x).
    > rsqrt([1.0, 4.0])
rsub other - alpha * input.
    > rsub([1.0, 2.0], 10.0)
scatter A copy with src (or a number) at positions of an axis: out[i][index[i][j]] = src[i][j] for dim=1.
    Shapes   input (*), index (*i), src (*i or larger) -> (*)
    Errors   RuntimeError for an index out of range
    > scatter([1.0, 2.0, 3.0], 0, [2, 0], [8.0, 9.0])
scatter_add A copy to which src is added at positions of an axis; several may meet in one place.
    Shapes   input (*), index (*i), src (*i or larger) -> (*)
    Errors   RuntimeError for an index out of range
    > scatter_add([0.0, 0.0], 0, [1, 1], [8.0, 9.0])
scatter_reduce What meets in one place by the index, summed, multiplied, averaged, or its largest or smallest.
    Shapes   input (*), index (*i), src (*i or larger) -> (*)
    Gradient as of sum, prod, mean, amax and amin: of equal largest ones, shared evenly
    Errors   RuntimeError for an index out of range
    > scatter_reduce([1.0], 0, [0, 0], [8.0, 9.0], "amax")
select The slice at a position of an axis, without the axis: a view.
    Shapes   input (n, *) -> (*), for dim=0
    Gradient g in the slice, 0 elsewhere
    Errors   IndexError for a position out of range
    > select([[1.0, 2.0], [3.0, 4.0]], 0, 1)
sgn The sign: -1, 0 or 1.
    > sgn([-2.0, 0.0, 3.0])
sigmoid 1 / (1 + exp(-x)).
    > sigmoid([-1.0, 0.0, 1.0])
sign The sign: -1, 0 or 1.
    > sign([-2.0, 0.0, 3.0])
signbit Whether the sign bit is set: of -0.0 too.
    > signbit([-2.0, -0.0, 3.0])
silu x * sigmoid(x).
    > silu([-1.0, 0.0, 1.0])
sin The sine of angles in radians.
    > sin([0.0, 1.0])
sinc sin(pi x) / (pi x), and 1 at 0.
    Gradient g * (cos(pi x) - sinc(x)) / x, 0 at 0
    > sinc([0.0, 0.5])
sinh The hyperbolic sine.
    > sinh([0.0, 1.0])
smooth_l1_loss d^2 / (2 beta) where d = |input - target| is below beta, d - beta / 2 elsewhere; reduced.
    Shapes   input (*), target (*) -> () for reduction 1 (mean) and 2 (sum), (*) for 0 (none)
    Gradient d / beta where d = input - target is smaller than beta, its sign elsewhere; times g
    > smooth_l1_loss([0.5, 3.0], [0.0, 0.0])
softplus log(1 + exp(beta x)) / beta; x itself where beta x exceeds the threshold.
    > softplus([-1.0, 0.0, 30.0])
sort Sorted along an axis, and where each element was.
    Shapes   input (*) -> (*), (*)
    Gradient g goes back to where the elements came from
    > sort([3.0, 1.0, 2.0])
sqrt The square root; nan below 0.
    > sqrt([4.0, 2.0])
square x^2.
    > square([-2.0, 3.0])
std The standard deviation of all elements, or along axes; divides by n - correction (1).
    Shapes   input (*) -> (); with dim without those axes (keepdim: of size 1)
    Gradient g * (input - mean) / ((n - correction) * out), 0 where out is 0
    > std([1.0, 2.0, 3.0])
std_mean std() and mean() at once.
    Shapes   input (*) -> two of (); with dim without those axes (keepdim: of size 1)
    Gradient the sum of both: see std() and mean()
    > std_mean([1.0, 2.0, 3.0])
sub input - alpha * other.
    > sub([1.0, 2.0], [10.0, 20.0])
sum The sum of all elements, or along axes.
    Shapes   input (*) -> (); with dim without those axes (keepdim: of size 1)
    Gradient g for each
    > sum([[1.0, 2.0], [3.0, 4.0]], 0)
take Elements by their positions in the flattened tensor.
    Shapes   input (*), index (*i) -> (*i)
    Gradient g is added where the elements came from
    Errors   IndexError for an index out of range
    > take([[1.0, 2.0], [3.0, 4.0]], [3, 0])
tan The tangent of angles in radians.
    > tan([0.0, 1.0])
tanh The hyperbolic tangent.
    > tanh([-1.0, 0.0, 1.0])
threshold x where it exceeds the threshold, value elsewhere.
    > threshold([-1.0, 0.5, 2.0], 1.0, 0.0)
topk The k largest (or smallest) elements along an axis, and where they are.
    Shapes   input (*, n) -> two of (*, k), for the last axis
    Gradient g goes back to where the elements came from
    Errors   RuntimeError for k out of range
    > topk([1.0, 4.0, 3.0], 2)
trace The sum of the diagonal of a matrix.
    Shapes   input (n, m) -> ()
    Gradient g on the diagonal, 0 elsewhere
    > trace([[1.0, 2.0], [3.0, 4.0]])
transpose Two axes swapped: a view.
    Shapes   input (a, b, c) -> (c, b, a), for axes 0 and 2
    Gradient g with the axes swapped back
    > transpose([[1.0, 2.0, 3.0]], 0, 1)
tril The part of matrices on and below a diagonal; 0 above.
    Shapes   input (*, n, m) -> (*, n, m)
    > tril([[1.0, 2.0], [3.0, 4.0]])
triu The part of matrices on and above a diagonal; 0 below.
    Shapes   input (*, n, m) -> (*, n, m)
    > triu([[1.0, 2.0], [3.0, 4.0]])
trunc Rounded towards 0.
    > trunc([-1.5, 1.5])
unfold Windows of a size along an axis, one each step: a view with the window as a new last axis.
    Shapes   input (*, n, *) -> (*, (n - size) // step + 1, *, size)
    Gradient g is added where the windows came from
    > unfold([1.0, 2.0, 3.0, 4.0], 0, 2, 2)
unsqueeze A new axis of size 1: a view.
    Shapes   input (n, m) -> (1, n, m) for dim=0, (n, m, 1) for dim=-1
    Gradient g without the axis
    > unsqueeze([1.0, 2.0], 0)
var The variance of all elements, or along axes; divides by n - correction (1).
    Shapes   input (*) -> (); with dim without those axes (keepdim: of size 1)
    Gradient g * 2 * (input - mean) / (n - correction)
    > var([1.0, 2.0, 3.0])
var_mean var() and mean() at once.
    Shapes   input (*) -> two of (); with dim without those axes (keepdim: of size 1)
    Gradient the sum of both: see var() and mean()
    > var_mean([1.0, 2.0, 3.0])
vdot The inner product of two vectors: dot(), there are no complex numbers.
    Shapes   input (n), other (n) -> ()
    > vdot([1.0, 2.0], [3.0, 4.0])
xlogy input * log(other), and 0 where input is 0.
    Shapes   input (*a) or a number, other (*b) or a number -> broadcast(a, b)
    Gradient input: g * log(other), 0 where input is 0 and other not positive; other: g * input / other
    > xlogy([0.0, 2.0], [0.0, 3.0])
zero Every element becomes 0.
    Gradient 0
    > zero([1.0, 2.0])
copy The elements of src, converted to this tensor's type and broadcast to its shape.
    Shapes   input (*a), src (*b) -> (*a); src broadcasts to it
    Gradient input: 0; src: g, summed where it was broadcast
    > copy([1.0, 2.0], [5.0])
arccos = acos
arcsin = asin
arctan = atan
arctan2 = atan2
arccosh = acosh
arcsinh = asinh
arctanh = atanh
fix = trunc
greater = gt
greater_equal = ge
less = lt
less_equal = le
not_equal = ne
divide = div
multiply = mul
subtract = sub
negative = neg
absolute = abs
"""
