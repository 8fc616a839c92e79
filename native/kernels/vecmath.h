// Vector mathematics on whole registers: f(VecF) and f(VecD) for every function of the vecmath_* files.
// float32 is carried in double and rounded once, or keeps its rounding errors in pairs; so does float64 where
// that pays.
// Measured accuracies: tests/native/check_vecmath.cpp.
#pragma once
#include "kernels/vecmath_exp.h"
#include "kernels/vecmath_log.h"
#include "kernels/vecmath_special.h"
#include "kernels/vecmath_trig.h"
#if defined(__FMA__)
#include "kernels/vecmath_pairs.h"
#endif

namespace pb::PB_ISA::math {

#define PB_THROUGH_DOUBLE(name)                                                            \
  PB_INLINE VecF name(VecF x) {                                                            \
    return through_double([](VecD v) PB_LAMBDA { return name<Precision::Single>(v); }, x); \
  }
#define PB_VECTOR_DOUBLE(name) \
  PB_INLINE VecD name(VecD x) { return name<Precision::Double>(x); }
#define PB_VECTOR_UNARY(name) PB_VECTOR_DOUBLE(name) PB_THROUGH_DOUBLE(name)
#define PB_VECTOR_BINARY(name)                                                                           \
  PB_INLINE VecD name(VecD x, VecD y) { return name<Precision::Double>(x, y); }                          \
  PB_INLINE VecF name(VecF x, VecF y) {                                                                  \
    return through_double([](VecD u, VecD v) PB_LAMBDA { return name<Precision::Single>(u, v); }, x, y); \
  }

PB_VECTOR_UNARY(exp2)
PB_VECTOR_UNARY(expm1)
PB_VECTOR_UNARY(log1p)
PB_VECTOR_UNARY(log_sigmoid)
PB_VECTOR_DOUBLE(sin)
PB_VECTOR_DOUBLE(cos)
PB_VECTOR_UNARY(tan)
PB_VECTOR_UNARY(asin)
PB_VECTOR_UNARY(acos)
PB_VECTOR_UNARY(atan)
PB_VECTOR_UNARY(sinh)
PB_VECTOR_UNARY(cosh)
PB_VECTOR_UNARY(erfc)
PB_VECTOR_BINARY(atan2)
PB_VECTOR_BINARY(hypot)
PB_VECTOR_BINARY(logaddexp)

// float32 ones are in vecmath_pairs.h, where there is one.
PB_VECTOR_DOUBLE(exp)
PB_VECTOR_DOUBLE(log)
PB_VECTOR_DOUBLE(log2)
PB_VECTOR_DOUBLE(log10)
PB_VECTOR_DOUBLE(tanh)
PB_VECTOR_DOUBLE(sigmoid)
#if !defined(__FMA__)
PB_THROUGH_DOUBLE(exp)
PB_THROUGH_DOUBLE(log)
PB_THROUGH_DOUBLE(log2)
PB_THROUGH_DOUBLE(log10)
PB_THROUGH_DOUBLE(tanh)
PB_THROUGH_DOUBLE(sigmoid)
#endif

#undef PB_VECTOR_UNARY
#undef PB_VECTOR_BINARY

PB_INLINE VecD pow(VecD x, VecD y) {
  return per_lane([](double a, double b) { return __builtin_pow(a, b); }, x, y);
}
PB_INLINE VecF pow(VecF x, VecF y) {
  return through_double([](VecD a, VecD b) PB_LAMBDA { return pow_single(a, b); }, x, y);
}

PB_INLINE VecD erfinv(VecD x) { return per_lane(erfinv_scalar, x); }
PB_INLINE VecF erfinv(VecF x) {
  return through_double([](VecD v) PB_LAMBDA { return per_lane(erfinv_scalar, v); }, x);
}
PB_INLINE VecD lgamma(VecD x) { return per_lane(lgamma_scalar, x); }
PB_INLINE VecF lgamma(VecF x) {
  return through_double([](VecD v) PB_LAMBDA { return per_lane(lgamma_scalar, v); }, x);
}
PB_INLINE VecD digamma(VecD x) { return per_lane(digamma_scalar<long double>, x); }
PB_INLINE VecF digamma(VecF x) {
  return through_double([](VecD v) PB_LAMBDA { return per_lane(digamma_scalar<double>, v); }, x);
}

// The remainder of truncated division, exactly. A quotient below 2^52 rounds to its integer part or to one
// more; what is left of the dividend is a double either way, and adding the divisor repairs the second case.
PB_INLINE VecD fmod(VecD a, VecD b) {
  VecD dividend = fabs(a), divisor = fabs(b);
  VecD q = dividend / divisor;
  Pair product = exact_product(floor(q), divisor);
  VecD r = (dividend - product.high) - product.low;
  r = fabs(select(r < 0.0, r + divisor, r));
  VecI64 plain = (q < 0x1p52) & (divisor > 0x1p-900) & (divisor < 0x1p960) & (dividend < 0x1p1000);
  if (__builtin_expect(any(~plain), 0)) {
    for (int i = 0; i < kLanes<double>; ++i) {
      if (!plain[i]) r[i] = __builtin_fabs(__builtin_fmod(a[i], b[i]));
    }
  }
  return with_sign(r, a);
}
PB_INLINE VecF fmod(VecF a, VecF b) {
  return through_double([](VecD x, VecD y) PB_LAMBDA { return fmod(x, y); }, a, b);
}

}  // namespace pb::PB_ISA::math
