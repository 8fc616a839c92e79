// Logarithms and what needs them: log2, log10, log1p, pow, logaddexp, log_sigmoid.
#pragma once
#include "kernels/vecmath_exp.h"

namespace pb::PB_ISA::math {

// kLogShort: (log(1 + f) - f) / f^2 for 1 + f in [sqrt(1/2), sqrt(2)].
// kLogFull: (log(1 + f) - 2 s) / s^3 in powers of s^2, for s = f / (2 + f).
inline constexpr double kLogShort[] = {-0.5000000000446468,  0.33333333620730116,  -0.2499999769077954,
                                       0.19999940950121795,  -0.1666682374035233,  0.14289172793964786,
                                       -0.12498251885476815, 0.11028278560608876,  -0.09935828122059429,
                                       0.0992439838275925,   -0.09773557139925754, 0.0539466493200788};
inline constexpr double kLogFull[] = {0.6666666666666666,  0.4000000000000089,  0.2857142857079543,
                                      0.2222222239356661,  0.18181795442371984, 0.1538625044794019,
                                      0.13268485680654427, 0.13089629160674623};

struct LogParts {
  VecD exponent, f;  // x = 2^exponent (1 + f), 1 + f in [sqrt(1/2), sqrt(2))
};

// For normal positive x.
PB_INLINE LogParts split(VecD x) {
  constexpr uint64_t kSqrtHalf = 0x3fe6a09e667f3bcd;
  VecU64 offset = pattern(x) - kSqrtHalf;
  VecU64 biased = (offset + (UINT64_C(1023) << 52)) >> 52;
  // In the low bits of 2^52 an integer becomes a double by one subtraction.
  VecD exponent = from_pattern(biased | std::bit_cast<uint64_t>(0x1p52)) - (0x1p52 + 1023.0);
  VecD m = from_pattern((offset & 0xfffffffffffff) + kSqrtHalf);
  return {exponent, m - 1.0};
}

// log(1 + f) as high + low, high == f.
PB_INLINE Pair log_mantissa(VecD f) {
  VecD s = f / (f + 2.0);
  VecD z = s * s;
  VecD half_square = 0.5 * f * f;
  return {f, s * (half_square + z * polynomial(z, kLogFull)) - half_square};
}

// The values at 0, below it, at infinity and NaN.
PB_INLINE VecD log_edges(VecD x, VecD y) {
  if (__builtin_expect(!any(~((x > 0.0) & (x < kInfinity))), 1)) return y;
  y = select(x == 0.0, splat(-kInfinity), y);
  y = select(x < 0.0, splat(std::numeric_limits<double>::quiet_NaN()), y);
  return select((x == kInfinity) | (x != x), x, y);
}

struct Scaled { VecD x, shift; };

// Subnormal doubles brought among the normal ones.
PB_INLINE Scaled lift_subnormal(VecD x) {
  VecI64 tiny = x < 0x1p-1022;
  return {select(tiny, x * 0x1p54, x), select(tiny, splat(-54.0), splat(0.0))};
}

// log(1 + f), enough for float32.
PB_INLINE VecD log_mantissa_short(VecD f) { return fma(f * f, polynomial(f, kLogShort), f); }

template <Precision P> PB_INLINE VecD log(VecD x) {
  if constexpr (P == Precision::Single) {  // every float32 but 0 is a normal double
    LogParts p = split(x);
    return log_edges(x, fma(p.exponent, splat(kLn2), log_mantissa_short(p.f)));
  }
  Scaled lifted = lift_subnormal(x);
  LogParts p = split(lifted.x);
  VecD k = p.exponent + lifted.shift;
  Pair m = log_mantissa(p.f);
  Pair sum = fast_two_sum(k * kLn2High, m.high);
  return log_edges(x, sum.high + (sum.low + (m.low + k * kLn2Low)));
}

// log(x) times a constant that is given as high + low, plus the exponent times another.
template <Precision P> PB_INLINE VecD log_base(VecD x, double high, double low, double k_high, double k_low) {
  if constexpr (P == Precision::Single) {
    LogParts p = split(x);
    return log_edges(x, fma(p.exponent, splat(k_high + k_low), log_mantissa_short(p.f) * high));
  }
  Scaled lifted = lift_subnormal(x);
  LogParts p = split(lifted.x);
  VecD k = p.exponent + lifted.shift;
  Pair m = log_mantissa(p.f);
  m = fast_two_sum(m.high, m.low);
  Pair product = exact_product(m.high, splat(high));
  VecD rest = product.low + (m.high * low + m.low * high);
  Pair sum = two_sum(k * k_high, product.high);
  return log_edges(x, sum.high + (sum.low + (rest + k * k_low)));
}

template <Precision P> PB_INLINE VecD log2(VecD x) {
  return log_base<P>(x, 0x1.71547652b82fep0, 0x1.777d0ffda0d24p-56, 1.0, 0.0);
}

template <Precision P> PB_INLINE VecD log10(VecD x) {
  return log_base<P>(x, 0x1.bcb7b1526e50ep-2, 0x1.95355baaafad3p-57, 0x1.34413509f6p-2,
                     0x1.9fef311f12b36p-42);
}

template <Precision P> PB_INLINE VecD log1p(VecD x) {
  if constexpr (P == Precision::Single) {
    VecD u = 1.0 + x;
    LogParts p = split(u);
    // Near 1 the rounding of 1 + x counts, but there it need not be taken apart again.
    VecD y = log_mantissa_short(select(p.exponent == 0.0, x, p.f));
    return select(x == 0.0, x, log_edges(u, fma(p.exponent, splat(kLn2), y)));
  }
  Pair u = two_sum(splat(1.0), x);
  LogParts p = split(u.high);
  Pair m = log_mantissa(p.f);
  Pair sum = two_sum(p.exponent * kLn2High, m.high);
  VecD y = sum.high + (sum.low + (m.low + p.exponent * kLn2Low + u.low / u.high));
  return select(fabs(x) < 0x1p-54, x, log_edges(u.high, y));
}

// log(1 + exp(-|x|)) is what separates log_sigmoid from min(x, 0).
template <Precision P> PB_INLINE VecD log_sigmoid(VecD x) {
  VecD y = select(x > 0.0, splat(0.0), x) - log1p<P>(exp<P>(-fabs(x)));
  // Torch gives +0 where the value vanishes; narrowed to float32 it would be -0.
  if constexpr (P == Precision::Single) return select(y > -0x1p-150, splat(0.0), y);
  return y;
}

template <Precision P> PB_INLINE VecD logaddexp(VecD a, VecD b) {
  VecD larger = select(a > b, a, b);
  VecD y = larger + log1p<P>(exp<P>(-fabs(a - b)));
  return select(a == b, a + select(fabs(a) == kInfinity, splat(0.0), splat(kLn2)), y);
}

// For float32 operands carried in doubles; log and product in full precision leave 2^-45 for the exponential.
PB_INLINE VecD pow_single(VecD x, VecD y) {
  VecD a = fabs(x);
  VecD r = exp<Precision::Single>(clamp(y * log<Precision::Double>(a), -kSingleRange, kSingleRange));
  VecI64 integer = round_even(y) == y;
  VecI64 odd = integer & (round_even(y * 0.5) != y * 0.5);
  VecI64 negative = bits(x) < 0;
  r = select(negative & odd, -r, r);
  VecI64 undefined = (x < 0.0) & (a < kInfinity) & (fabs(y) < kInfinity) & ~integer;
  r = select(undefined, splat(std::numeric_limits<double>::quiet_NaN()), r);
  VecI64 one = (x == 1.0) | (y == 0.0) | ((a == 1.0) & (fabs(y) == kInfinity));
  return select(one, splat(1.0), r);
}

}  // namespace pb::PB_ISA::math
