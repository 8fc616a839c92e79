// Random fills of contiguous buffers, drawing from a Generator in torch's order (its AVX2 path).
//
// How many 32-bit draws an element costs, and what is done with them, is a promise across releases:
//   fill_uniform      float32 1 (low 24 bits), float64 2 (low 53 of 64 bits); fma(u, to - from, from)
//   fill_normal       below 16 elements: pairs of 53-bit uniforms, computed in double, the second value of a
//                     pair is kept in the generator; from 16 on: one uniform an element, Box-Muller in blocks
//                     of 16 (the first eight against the last eight), and if 16 does not divide n the last 16
//                     elements are drawn anew. The blocks neither read nor clear the kept value.
//   fill_randint      1 if high - low < 2^28, otherwise 2; value % range + low
//   fill_random       bool, uint8, int32, float32: 1; int64, float64: 2
//   fill_bernoulli    number p: 2; float32 tensor p: 1; float64 tensor p: 2; true where u < p
//   fill_randperm     n - 1 (none for n <= 1); swaps with an index at or after the current one
//   fill_exponential, fill_geometric, fill_cauchy: 2; fill_log_normal: as a small normal, whatever n
//   multinomial       without replacement or for one sample: an exponential per category; else 2 per sample
//
// What torch's functions draw, in these terms:
//   F.dropout(x, p, training)  fill_bernoulli with the number 1 - p into a buffer of x's dtype and layout,
//                              noise / (1 - p), x * noise; nothing is drawn if p is 0 or 1 or not training
//   F.dropout1d, 2d, 3d        the same, one draw per sample and channel: noise of shape (N, C, 1, ...)
//   F.alpha_dropout            the same bernoulli; its feature_ variant with noise of shape (N, C, 1, ...)
//   torch.bernoulli(x)         x is the tensor of p; torch.bernoulli(x, p): the number p
//   torch.normal(mean, std)    two tensors: fill_normal(0, 1), *= std, += mean;
//                              a number std: fill_normal(0, std), += mean; a number mean as two tensors
//   torch.rand, randn, randint fill_uniform(0, 1), fill_normal(0, 1), fill_randint
//   normal_ on a tensor that is not contiguous is fill_normal_one_by_one whatever its size.
//   A strided tensor is filled in the order of its strides (memory order), not in that of its indices.
//
// Errors are pb::Error and begin with torch's words. On an unsupported dtype it is
// NotImplemented, `"normal_kernel_cpu" not implemented for 'Long'`.
#pragma once
#include <cstdint>

#include "core/dtype.h"
#include "runtime/generator.h"

namespace pb {

// Floats in [from, to).
void fill_uniform(Generator& g, DType dtype, void* out, int64_t n, double from = 0, double to = 1);

// Floats; std >= 0.
void fill_normal(Generator& g, DType dtype, void* out, int64_t n, double mean = 0, double std = 1);
void fill_normal_one_by_one(Generator& g, DType dtype, void* out, int64_t n, double mean = 0, double std = 1);

// Any dtype. fill_randint: [low, high), which is random_(low, high) and torch.randint. fill_randint_from:
// random_(low, None), up to the largest value of an integer type or 2^24 / 2^53 of a float one. fill_random:
// random_(), from 0 up to there. torch warns when a float type cannot hold every integer of the range, which
// is when randint_is_exact is false.
void fill_randint(Generator& g, DType dtype, void* out, int64_t n, int64_t low, int64_t high);
void fill_randint_from(Generator& g, DType dtype, void* out, int64_t n, int64_t low);
void fill_random(Generator& g, DType dtype, void* out, int64_t n);
bool randint_is_exact(DType dtype, int64_t low, int64_t high);

// Any dtype; ones where u < p. With a tensor of p: n values of p_dtype (float32 or float64), each in [0, 1].
void fill_bernoulli(Generator& g, DType dtype, void* out, int64_t n, double p);
void fill_bernoulli(Generator& g, DType dtype, void* out, int64_t n, DType p_dtype, const void* p);
bool are_probabilities(DType dtype, const void* p, int64_t n);  // none below 0 or above 1

// A permutation of 0 .. n-1 in any dtype but bool that holds n - 1.
void fill_randperm(Generator& g, DType dtype, void* out, int64_t n);

void fill_exponential(Generator& g, DType dtype, void* out, int64_t n, double lambda = 1);  // floats
void fill_geometric(Generator& g, DType dtype, void* out, int64_t n, double p);  // not bool
void fill_cauchy(Generator& g, DType dtype, void* out, int64_t n, double median = 0,
                 double sigma = 1);  // floats
void fill_log_normal(Generator& g, DType dtype, void* out, int64_t n, double mean = 1,
                     double std = 2);  // floats

// rows x categories weights (floats, contiguous) -> rows x samples indices.
void multinomial(Generator& g, DType dtype, const void* weights, int64_t rows, int64_t categories,
                 int64_t samples, bool replacement, int64_t* out);

}  // namespace pb
