// float32 functions in float32, their rounding errors carried along: twice the lanes of a double. Only where
// multiplication and addition come as one instruction; elsewhere these functions go through double.
//
// exp(x) = 2^(n/8) (1 + r) (1 + rest). The powers come from a table of eight; what rounding took from them,
// and from ln2/8, is part of the rest. That is below 2^-9, so its own rounding hardly counts.
#pragma once
#include "kernels/vecmath_log.h"

namespace pb::PB_ISA::math {

// 2^(k/8), and what multiplies it to the exact power, less 1.
inline constexpr float kPower[8] = {0x1p0f,        0x1.172b84p0f, 0x1.306fep0f,  0x1.4bfdaep0f,
                                    0x1.6a09e6p0f, 0x1.8ace54p0f, 0x1.ae89fap0f, 0x1.d5818ep0f};
inline constexpr float kPowerRest[8] = {0x0p0f,           -0x1.9c0c22p-27f, 0x1.12500p-25f,
                                        -0x1.0a3552p-25f, 0x1.26055cp-26f,  0x1.67a1cap-28f,
                                        -0x1.f9c306p-27f, -0x1.a5217cp-28f};
// (exp(r) / (1 + r) - 1) / r^2 on [-ln2/16, ln2/16], interpolated at Chebyshev nodes.
inline constexpr float kExpQuotient[] = {0.5f, -0x1.55553ap-2f, 0x1.7fffe4p-2f, -0x1.785b06p-2f,
                                         0x1.79c722p-2f};
// (tanh(r) / r - 1) / r^2 in powers of r^2 for |r| up to 0.19.
inline constexpr float kTanh[] = {-0x1.555556p-2f, 0x1.111104p-3f, -0x1.b9fedp-5f, 0x1.5c2692p-6f};
inline constexpr float kInverseLn2F = 0x1.715476p0f, kLn2F = 0x1.62e43p-1f, kLn2RestF = -0x1.05c61p-29f;

inline constexpr float kOrdinary = 87.3f;  // up to here exp(x) and exp(-x) are ordinary numbers

struct ExpFactors {
  VecF power, r, rest;
  VecU32 exponent;  // to be added to the pattern of a float
};

// |x| below 2^19.
PB_INLINE ExpFactors exp_factors(VecF x) {
  VecF shifted = fma(x, splat(8 * kInverseLn2F), splat(kRoundMagicF));
  VecF n = shifted - kRoundMagicF;
  VecU32 count = pattern(shifted);
  VecF r = fma(n, splat(-kLn2F / 8), x);  // exact
  VecF small = fma(n, splat(-kLn2RestF / 8), look_up(kPowerRest, count));
  return {look_up(kPower, count), r, fma(r * r, polynomial(r, kExpQuotient), small), (count & ~7u) << 20};
}

// What rounding took from sum = fma(a, b, c), where c - sum is a float: for |a * b| up to |c| / 2, for sums
// that are larger than c, and for c = 0.
PB_INLINE VecF fma_error(VecF a, VecF b, VecF c, VecF sum) { return fma(a, b, c - sum); }

PB_INLINE VecF exp(VecF x) {
  ExpFactors e = exp_factors(x);
  VecF high = fma(e.power, e.r, e.power);
  VecF y = high + fma(high, e.rest, fma_error(e.power, e.r, e.power, high));
  y = from_pattern(pattern(y) + e.exponent);
  if (__builtin_expect(all_below(fabs(x), kOrdinary), 1)) return y;
  VecF far = through_double([](VecD v) PB_LAMBDA { return exp<Precision::Single>(v); }, x);
  return select(fabs(x) < kOrdinary, y, far);
}

// With s = 2^n and |x| = n ln2/2 + r, t = tanh(r): (s - 1 + t (s + 1)) / (s + 1 + t (s - 1)).
PB_INLINE VecF tanh(VecF x) {
  VecF a = at_most(9.2f, fabs(x));  // from 9.011 on the result is 1
  // s + 1 must be a float: n ends at 23, and where it would be more, a rough t of a larger r suffices.
  // A factor somewhat below 2 / ln2 makes n = 1 begin where t (s + 1) is above -1/2, as fma_error demands.
  VecF shifted = at_most(kRoundMagicF + 23, fma(a, splat(0x1.664p1f), splat(kRoundMagicF)));
  VecF n = shifted - kRoundMagicF;
  VecF r = fma(n, splat(-kLn2F / 2), a);  // exact
  VecF square = r * r;
  VecF rest = fma(square * r, polynomial(square, kTanh), n * (-kLn2RestF / 2));
  VecF t = r + rest, t_low = rest - (t - r);
  VecF s = from_pattern((pattern(shifted) << 23) + (127u << 23));
  VecF less = s - 1.0f, more = s + 1.0f;
  VecF above = fma(t, more, less), below = fma(t, less, more);
  VecF above_low = fma(t_low, more, fma_error(t, more, less, above));
  VecF below_low = fma(t_low, less, fma_error(t, less, more, below));
  VecF inverse = 1.0f / below;
  VecF q = above * inverse;
  VecF left = fnma(q, below, above) + fnma(q, below_low, above_low);
  return with_sign(fma(left, inverse, q), x);
}

// 1 / (1 + exp(-x)).
PB_INLINE VecF sigmoid(VecF x) {
  ExpFactors e = exp_factors(at_least(-25, -x));
  VecF power = from_pattern(pattern(e.power) + e.exponent);
  VecF high = fma(power, e.r, power);
  VecF low = fma(high, e.rest, fma_error(power, e.r, power, high));
  VecF d = 1.0f + high;
  low += at_most(1, high) - (d - at_least(1, high));
  VecF inverse = 1.0f / d;
  // `low` may be 2^-10 of d: its square counts.
  VecF left = fnma(inverse, low, fnma(inverse, d, splat(1.0f)));
  VecF y = fma(fma(left, left, left), inverse, inverse);
  if (__builtin_expect(all_below(-x, kOrdinary), 1)) return y;
  VecF far = through_double([](VecD v) PB_LAMBDA { return sigmoid<Precision::Single>(v); }, x);
  return select(x > -kOrdinary, y, far);
}

// x = 2^n m, m in [0.71875, 1.4375), cut into eight parts. In each a c near 1 / m of so few bits that
// z = c m - 1, below 1/14, is a float; -log(c) is given as high + low, the high part in units of 2^-17, as is
// that of ln2.
inline constexpr uint32_t kLogStart = 0x3f380000;  // 0.71875
inline constexpr float kLogFactor[8] = {1.3125f, 1.25f, 1.125f, 1.0625f, 1, 0.875f, 0.8125f, 0.71875f};
inline constexpr float kLogHigh[8] = {-0x1.1676p-2f, -0x1.c9p-3f, -0x1.e27p-4f, -0x1.f0ap-5f, 0,
                                      0x1.1178p-3f,  0x1.a94p-3f, 0x1.522ap-2f};
inline constexpr float kLogLow[8] = {0x1.aa2a2cp-21f, 0x1.070cacp-20f,  -0x1.db8abcp-22f, -0x1.86008cp-20f, 0,
                                     0x1.d044fcp-20f, -0x1.2c3752p-19f, 0x1.c0e714p-19f};
inline constexpr float kLn2HighF = 0x1.62e4p-1f, kLn2LowF = 0x1.7f7d1cp-20f;
// -2 (log(1 + z) - z + z^2 / 2) / z^3 on [-0.0704, 0.0665], interpolated at Chebyshev nodes.
inline constexpr float kLogCubic[] = {-0x1.555556p-1f, 0x1.ffff8cp-2f, -0x1.9996eep-2f, 0x1.56d56ep-2f,
                                      -0x1.286f56p-2f};

struct LogSplit {
  VecF n, z;
  VecU32 part;
};

PB_INLINE LogSplit log_split(VecF x) {
  VecU32 offset = pattern(x) - kLogStart;
  VecI32 whole = bits_as<VecI32>(offset) >> 23;
  VecF m = from_pattern((offset & 0x7fffff) + kLogStart);
  VecU32 part = offset >> 20;
  return {__builtin_convertvector(whole, VecF), fma(look_up(kLogFactor, part), m, splat(-1.0f)), part};
}

struct PairF { VecF high, low; };

// start + log(1 + z); a start with bits beyond its high part is far above z.
PB_INLINE PairF log_from(PairF start, VecF z) {
  VecF minus_half = -0.5f * z;
  VecF first = start.high + z;
  VecF second = fma(minus_half, z, first);
  VecF low = start.low + (z - (first - start.high));
  low = fma(minus_half * z * z, polynomial(z, kLogCubic), low);
  return {second, low + fma_error(minus_half, z, first, second)};
}

// y for ordinary numbers; the others go the long way.
template <class F> PB_INLINE VecF unless_rare(VecF x, VecF y, F in_double) {
  if (__builtin_expect(all_ordinary(x), 1)) return y;
  using Limits = std::numeric_limits<float>;
  return select((x >= Limits::min()) & (x < Limits::infinity()), y, through_double(in_double, x));
}

PB_INLINE VecF log(VecF x) {
  LogSplit s = log_split(x);
  VecF high = fma(s.n, splat(kLn2HighF), look_up(kLogHigh, s.part));  // exact
  PairF y = log_from({high, fma(s.n, splat(kLn2LowF), look_up(kLogLow, s.part))}, s.z);
  return unless_rare(x, y.high + y.low, [](VecD v) PB_LAMBDA { return log<Precision::Single>(v); });
}

// log(m) times a constant, plus n times another, both given as high + low; n times the high part is exact.
PB_INLINE VecF log_base(VecF x, float high, float low, float n_high, float n_low) {
  LogSplit s = log_split(x);
  PairF l = log_from({look_up(kLogHigh, s.part), look_up(kLogLow, s.part)}, s.z);
  VecF product = l.high * high;
  VecF rest = fma(l.low, splat(high), fma(l.high, splat(low), fma(l.high, splat(high), -product)));
  VecF start = s.n * n_high;
  VecF sum = start + product;
  rest = fma(s.n, splat(n_low), rest) + (product - (sum - start));
  return sum + rest;
}

PB_INLINE VecF log2(VecF x) {
  VecF y = log_base(x, 0x1.715476p0f, 0x1.4ae0cp-26f, 1, 0);
  return unless_rare(x, y, [](VecD v) PB_LAMBDA { return log2<Precision::Single>(v); });
}

PB_INLINE VecF log10(VecF x) {
  VecF y = log_base(x, 0x1.bcb7b2p-2f, -0x1.5b235ep-27f, 0x1.344p-2f, 0x1.3509f8p-18f);
  return unless_rare(x, y, [](VecD v) PB_LAMBDA { return log10<Precision::Single>(v); });
}

}  // namespace pb::PB_ISA::math
