// exp and what is built on it: exp2, expm1, tanh, sigmoid, sinh, cosh.
//
// One reduction serves all: x = n ln2 + r, exp(x) = 2^n (1 + r + tail). Two lengths of polynomial: Single
// is for float32 values carried in doubles (2^-33 relative), Double for float64 results within 1 ULP.
#pragma once
#include <limits>

#include "kernels/vector.h"

namespace pb::PB_ISA::math {

enum class Precision { Single, Double };

// (exp(r) - 1 - r) / r^2 on [-ln2/2, ln2/2], interpolated at Chebyshev nodes.
inline constexpr double kExpShort[] = {0.500000001353873,    0.16666666681704215,   0.04166646419740569,
                                       0.008333310844647862, 0.0013933730715792083, 0.00019891080463998843};
inline constexpr double kExpFull[] = {0.5,
                                      0.1666666666666667,
                                      0.04166666666666667,
                                      0.008333333333326084,
                                      0.0013888888888883711,
                                      0.0001984126987500228,
                                      2.480158732567746e-05,
                                      2.755725517000089e-06,
                                      2.755727347871858e-07,
                                      2.5105312729622103e-08,
                                      2.09147553258932e-09};

inline constexpr double kInverseLn2 = 0x1.71547652b82fep0;
inline constexpr double kLn2 = 0x1.62e42fefa39efp-1;
inline constexpr double kLn2High = 0x1.62e42feep-1;  // 32 bits: n * kLn2High is exact
inline constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

// exp(x) = 2^n (1 + r + tail); `shifted` holds n in its low bits.
struct ExpParts { VecD n, shifted, r, tail; };

template <Precision P> PB_INLINE VecD exp_tail(VecD r) {
  if constexpr (P == Precision::Single) return r * r * polynomial(r, kExpShort);
  return r * r * polynomial(r, kExpFull);
}

// |x| below 2^30.
template <Precision P> PB_INLINE ExpParts exp_parts(VecD x) {
  ExpParts e;
  e.shifted = fma(x, splat(kInverseLn2), splat(kRoundMagic));
  e.n = e.shifted - kRoundMagic;
  if constexpr (P == Precision::Single) {
    e.r = fma(e.n, splat(-kLn2), x);
    e.tail = exp_tail<P>(e.r);
    return e;
  }
  VecD high = x - e.n * kLn2High;
  VecD low = e.n * kLn2Low;
  e.r = high - low;
  e.tail = exp_tail<P>(e.r) + ((high - e.r) - low);
  return e;
}

// 2^n for n in [-1022, 1023], from a double that holds n in its low bits.
PB_INLINE VecD power_of_two(VecD shifted) {
  return from_pattern((pattern(shifted) << 52) + (UINT64_C(1023) << 52));
}

// y * 2^n with one rounding, for n in [-1100, 1100].
PB_INLINE VecD scale(VecD y, VecD n) {
  VecD half = n * 0.5 + kRoundMagic;
  VecD rest = (n - (half - kRoundMagic)) + kRoundMagic;
  return y * power_of_two(half) * power_of_two(rest);
}

// 1 + r + tail as a normalised pair.
PB_INLINE Pair exp_mantissa(const ExpParts& e) {
  Pair p = fast_two_sum(splat(1.0), e.r);
  return fast_two_sum(p.high, p.low + e.tail);
}

// float32 inputs beyond these bounds overflow to infinity or 0 when they are narrowed.
inline constexpr double kSingleRange = 200;

template <Precision P> PB_INLINE VecD exp(VecD x) {
  if constexpr (P == Precision::Single) {
    ExpParts e = exp_parts<P>(clamp(x, -kSingleRange, kSingleRange));
    return (1.0 + (e.r + e.tail)) * power_of_two(e.shifted);
  }
  ExpParts e = exp_parts<P>(clamp(x, -760.0, 720.0));
  return scale(exp_mantissa(e).high, e.n);
}

template <Precision P> PB_INLINE VecD exp2(VecD x) {
  constexpr bool kSingle = P == Precision::Single;
  VecD y = clamp(x, kSingle ? -kSingleRange : -1090.0, kSingle ? kSingleRange : 1030.0);
  ExpParts e;
  e.shifted = y + kRoundMagic;
  e.n = e.shifted - kRoundMagic;
  VecD fraction = y - e.n;
  Pair r = exact_product(fraction, splat(kLn2));
  e.r = r.high;
  e.tail = exp_tail<P>(e.r) + (r.low + fraction * 0x1.abc9e3b39803fp-56);
  if constexpr (P == Precision::Single) return (1.0 + (e.r + e.tail)) * power_of_two(e.shifted);
  return scale(exp_mantissa(e).high, e.n);
}

// exp(x) - 1 as high + low, without cancellation; |x| <= 50 or NaN.
template <Precision P> PB_INLINE Pair expm1_pair(VecD x) {
  ExpParts e = exp_parts<P>(x);
  VecD s = power_of_two(e.shifted);
  Pair p = two_sum(s - 1.0, s * e.r);
  return fast_two_sum(p.high, p.low + s * e.tail);
}

template <Precision P> PB_INLINE VecD expm1(VecD x) {
  if constexpr (P == Precision::Single) {
    ExpParts e = exp_parts<P>(clamp(x, -kSingleRange, kSingleRange));
    VecD s = power_of_two(e.shifted);
    VecD y = fma(s, e.r + e.tail, s - 1.0);
    return select(x == 0.0, x, y);
  }
  // From 50 on the 1 is far below half a unit in the last place.
  Pair p = expm1_pair<P>(clamp(x, -50.0, 50.0));
  VecD y = select(x > 50.0, exp<P>(x), p.high);
  return select(fabs(x) < 0x1p-54, x, y);
}

template <Precision P> PB_INLINE VecD tanh(VecD x) {
  VecD a = fabs(x);
  if constexpr (P == Precision::Single) {
    ExpParts e = exp_parts<P>(2.0 * at_most(20.0, a));
    VecD s = power_of_two(e.shifted);
    VecD m = fma(s, e.r + e.tail, s - 1.0);
    return with_sign(m / (m + 2.0), x);
  }
  Pair m = expm1_pair<P>(2.0 * at_most(22.0, a));
  Pair d = two_sum(m.high, splat(2.0));
  VecD y = divide(m, {d.high, d.low + m.low});
  return with_sign(select(a < 0x1p-30, a, y), x);
}

// 1 / (1 + exp(-x)), to full relative precision on both sides.
template <Precision P> PB_INLINE VecD sigmoid(VecD x) {
  if constexpr (P == Precision::Single) return 1.0 / (1.0 + exp<P>(-x));
  ExpParts e = exp_parts<P>(at_least(-760.0, -fabs(x)));
  Pair m = exp_mantissa(e);
  // In the denominator powers below 2^-1000 vanish beside the 1.
  VecD s = power_of_two(select(e.n < -1000.0, splat(kRoundMagic - 1000.0), e.shifted));
  Pair d = fast_two_sum(splat(1.0), s * m.high);
  d.low += s * m.low;
  VecI64 positive = x > 0.0;
  Pair n = {select(positive, splat(1.0), m.high), select(positive, splat(0.0), m.low)};
  VecD q = divide(n, d);
  return select(positive, q, scale(q, e.n));
}

// exp(a)/2 -+ exp(-a)/2 for a >= 0, from exp(a) - 1 = m: (m + m / (m + 1)) / 2 and (m + 2 + ...) alike.
template <Precision P> PB_INLINE VecD sinh(VecD x) {
  VecD a = fabs(x);
  if constexpr (P == Precision::Single) {
    VecD m = expm1<P>(a);
    return with_sign(0.5 * (m + m / (m + 1.0)), x);
  }
  Pair m = expm1_pair<P>(at_most(22.0, a));
  Pair d = two_sum(m.high, splat(1.0));
  VecD small = 0.5 * (m.high + (divide(m, {d.high, d.low + m.low}) + m.low));
  ExpParts e = exp_parts<P>(at_most(760.0, a));
  VecD large = scale(exp_mantissa(e).high, e.n - 1.0);
  VecD y = select(a > 22.0, large, small);
  return with_sign(select(a < 0x1p-30, a, y), x);
}

template <Precision P> PB_INLINE VecD cosh(VecD x) {
  ExpParts e = exp_parts<P>(at_most(P == Precision::Single ? kSingleRange : 760.0, fabs(x)));
  Pair m = exp_mantissa(e);
  VecD large = scale(m.high, e.n - 1.0);
  // Above 2^64 the falling half does not count; below, its scale is an ordinary number.
  VecD s = power_of_two(select(e.n > 64.0, splat(kRoundMagic + 64.0), e.shifted)) * 0.5;
  VecD small = s * m.high + (s * m.low + 0.25 / (s * m.high));
  return select(e.n > 64.0, large, small);
}

}  // namespace pb::PB_ISA::math
