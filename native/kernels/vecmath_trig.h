// Trigonometric functions and their inverses.
#pragma once
#include "kernels/vecmath_exp.h"

namespace pb::PB_ISA::math {

// kSin: (sin(r) / r - 1) / r^2 and kCos: (cos(r) - 1 + r^2 / 2) / r^4 in powers of r^2, |r| <= pi/4.
// kAtan: (atan(t) / t - 1) / t^2 in powers of t^2, |t| <= sqrt(2) - 1.
inline constexpr double kSinShort[] = {-0.16666666663844046, 0.008333331870340256, -0.00019840084375832671,
                                       2.7249620003645e-06};
inline constexpr double kSinFull[] = {-0.16666666666666666,   0.008333333333333331,    -0.0001984126984126504,
                                      2.7557319219320575e-06, -2.5052106225992787e-08, 1.6058530596390244e-10,
                                      -7.586636867766497e-13};
inline constexpr double kCosShort[] = {0.04166666666431182, -0.001388888766836975, 2.4800598407857676e-05,
                                       -2.73007039742955e-07};
inline constexpr double kCosFull[] = {0.041666666666666664,   -0.0013888888888888887, 2.4801587301584632e-05,
                                      -2.755731922139249e-07, 2.0876755787491707e-09, -1.1470460319067341e-11,
                                      4.7458384041586735e-14};
inline constexpr double kAtanShort[] = {-0.3333333333143157, 0.19999998912851316,  -0.142856121693512,
                                        0.11107485627404272, -0.09028865353963718, 0.07134654669272536,
                                        -0.04041808937097656};
inline constexpr double kAtanFull[] = {-0.3333333333333333,  0.19999999999999804,  -0.14285714285659457,
                                       0.11111111105119366,  -0.09090908751706075, 0.07692296323157785,
                                       -0.06666423954373413, 0.058789182929757273, -0.05230375457576669,
                                       0.04551233844829568,  -0.03456132296826231, 0.01627552168389342};

// An angle less the nearest multiple of pi/2: high + low, and the number of quarters in the low bits.
struct Quarter {
  VecD high, low;
  VecI64 count;
};

// pi/2 in pieces of 33 bits: their products with counts below 2^20 are exact.
inline constexpr double kHalfPi1 = 0x1.921fb544p+0, kHalfPi2 = 0x1.0b4611a6p-34, kHalfPi3 = 0x1.3198a2ep-69;
inline constexpr double kHalfPi4 = 0x1.b839a252049c1p-104;
inline constexpr double kHalfPiRest = 0x1.0b4611a626331p-34;  // all that follows the first piece
inline constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;
inline constexpr double kReducible = 0x1p20;  // larger angles take the slow way, lane by lane

// 2 / pi in binary after a word of zeros, enough for the largest double.
inline constexpr uint64_t kTwoOverPiBits[] = {
    0x0000000000000000, 0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561,
    0xb7246e3a424dd2e0, 0x06492eea09d1921c, 0xfe1deb1cb129a73e, 0xe88235f52ebb4484, 0xe99c7026b45f7e41,
    0x3991d639835339f4, 0x9c845f8bbdf9283b, 0x1ff897ffde05980f, 0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7,
    0x4f463f669e5fea2d, 0x7527bac7ebe5f17b, 0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab,
    0xf0cfbc209af4361d,
};

struct LargeAngle {
  double high, low;
  int64_t count;
};

// Payne and Hanek's reduction for |x| >= 2^20: of the product x * 2/pi only the bits below 4 are formed,
// 137 of them after the point.
inline LargeAngle reduce_large(double x) {
  __extension__ typedef unsigned __int128 Wide;
  __extension__ typedef __int128 SignedWide;
  auto bits = std::bit_cast<uint64_t>(x);
  int exponent = static_cast<int>(bits >> 52 & 0x7ff) - 1075;
  if (exponent == 2047 - 1075) return {x - x, x - x, 0};
  uint64_t mantissa = (bits & 0xfffffffffffff) | uint64_t{1} << 52;
  int word = (exponent + 62) / 64, shift = (exponent + 62) % 64;
  auto piece = [&](int i) {
    uint64_t high = kTwoOverPiBits[word + i] << shift;
    return shift == 0 ? high : high | kTwoOverPiBits[word + i + 1] >> (64 - shift);
  };
  Wide low = Wide{mantissa} * piece(2);
  Wide middle = Wide{mantissa} * piece(1) + static_cast<uint64_t>(low >> 64);
  uint64_t top = mantissa * piece(0) + static_cast<uint64_t>(middle >> 64);
  auto second = static_cast<uint64_t>(middle), third = static_cast<uint64_t>(low);
  // Two bits count quarters; the rest, read as a signed number, is the distance to the nearest one.
  int64_t count = static_cast<int64_t>(top >> 62) + static_cast<int64_t>(top >> 61 & 1);
  auto fraction = static_cast<SignedWide>(Wide{top << 2 | second >> 62} << 64 | (second << 2 | third >> 62));
  auto high = static_cast<double>(fraction);
  auto rest = static_cast<double>(fraction - static_cast<SignedWide>(high)) * 0x1p-128;
  high *= 0x1p-128;
  constexpr double kHalfPi = 0x1.921fb54442d18p+0, kHalfPiLow = 0x1.1a62633145c07p-54;
  double product = high * kHalfPi;
  double error = __builtin_fma(high, kHalfPi, -product) + (high * kHalfPiLow + rest * kHalfPi);
  return x < 0 ? LargeAngle{-product, -error, -count} : LargeAngle{product, error, count};
}

template <Precision P> PB_INLINE Quarter quarter(VecD x) {
  VecD shifted = fma(x, splat(kTwoOverPi), splat(kRoundMagic));
  VecD n = shifted - kRoundMagic;
  VecD first = x - n * kHalfPi1;
  Quarter q{first - n * kHalfPiRest, VecD{}, bits(shifted)};
  if constexpr (P == Precision::Double) {
    Pair second = two_sum(first, -(n * kHalfPi2));
    Pair third = two_sum(second.high, -(n * kHalfPi3));
    Pair all = fast_two_sum(third.high, (third.low + second.low) - n * kHalfPi4);
    q.high = all.high;
    q.low = all.low;
  }
  VecI64 large = fabs(x) > kReducible;
  if (__builtin_expect(any(large), 0)) {
    for (int i = 0; i < kLanes<double>; ++i) {
      if (!large[i]) continue;
      LargeAngle angle = reduce_large(x[i]);
      q.high[i] = angle.high;
      q.low[i] = angle.low;
      q.count[i] = angle.count;
    }
  }
  return q;
}

template <Precision P> PB_INLINE Pair sin_near_zero(const Quarter& q) {
  VecD z = q.high * q.high;
  if constexpr (P == Precision::Single) return {fma(q.high * z, polynomial(z, kSinShort), q.high), VecD{}};
  VecD cubic = q.high * z * polynomial(z, kSinFull);
  return fast_two_sum(q.high, cubic + q.low * (1.0 - 0.5 * z));
}

template <Precision P> PB_INLINE Pair cos_near_zero(const Quarter& q) {
  VecD z = q.high * q.high;
  if constexpr (P == Precision::Single) return {fma(z * z, polynomial(z, kCosShort), 1.0 - 0.5 * z), VecD{}};
  Pair w = fast_two_sum(splat(1.0), -0.5 * z);
  return fast_two_sum(w.high, w.low + (z * z * polynomial(z, kCosFull) - q.high * q.low));
}

PB_INLINE VecI64 odd_quarters(const Quarter& q) { return -(q.count & 1); }

template <Precision P> PB_INLINE VecD sin(VecD x) {
  Quarter q = quarter<P>(x);
  VecD y = select(odd_quarters(q), cos_near_zero<P>(q).high, sin_near_zero<P>(q).high);
  y = from_bits(bits(y) ^ (q.count & 2) << 62);
  return select(x == 0.0, x, y);
}

template <Precision P> PB_INLINE VecD cos(VecD x) {
  Quarter q = quarter<P>(x);
  VecD y = select(odd_quarters(q), sin_near_zero<P>(q).high, cos_near_zero<P>(q).high);
  return from_bits(bits(y) ^ ((q.count + 1) & 2) << 62);
}

// sin(r) / r in powers of r^2 for |r| up to 1.003 pi/2.
inline constexpr double kSinHalfTurn[] = {0.9999999999822977,    -0.16666666615310521,
                                          0.008333330917488018,  -0.00019840853849254232,
                                          2.752488915888696e-06, -2.3882383982425994e-08};
inline constexpr double kPi1 = 2 * kHalfPi1, kPiRest = 2 * kHalfPiRest;
inline constexpr float kHalfTurns = 0x1.45f306p-2f;  // how many in 1
inline constexpr float kNearAngle = 0x1p17f;

// sin(x - n pi) for float32 angles below kNearAngle, where that is at most about pi/2.
PB_INLINE VecF sin_half_turn(VecF x, VecF n) {
  return through_double(
      [](VecD angle, VecD turns) PB_LAMBDA {
        VecD r = fma(turns, splat(-kPiRest), fma(turns, splat(-kPi1), angle));
        return r * polynomial(r * r, kSinHalfTurn);
      },
      x, n);
}

PB_INLINE VecF sin(VecF x) {
  VecF shifted = fma(x, splat(kHalfTurns), splat(kRoundMagicF));
  VecF y = sin_half_turn(x, shifted - kRoundMagicF);
  y = from_pattern(pattern(y) ^ pattern(shifted) << 31);
  if (__builtin_expect(all_below(fabs(x), kNearAngle), 1)) return y;
  VecF far = through_double([](VecD v) PB_LAMBDA { return sin<Precision::Single>(v); }, x);
  return select(fabs(x) < kNearAngle, y, far);
}

// cos((n + 1/2) pi + r) is sin(r) for odd n.
PB_INLINE VecF cos(VecF x) {
  constexpr float kOddMagic = kRoundMagicF + 1;
  VecF shifted = fma(x, splat(kHalfTurns), splat(-0.5f)) + kOddMagic;
  VecF y = sin_half_turn(x, (shifted - kOddMagic) + 0.5f);
  y = from_pattern(pattern(y) ^ pattern(shifted) << 31);
  if (__builtin_expect(all_below(fabs(x), kNearAngle), 1)) return y;
  VecF far = through_double([](VecD v) PB_LAMBDA { return cos<Precision::Single>(v); }, x);
  return select(fabs(x) < kNearAngle, y, far);
}

template <Precision P> PB_INLINE Pair quotient(Pair n, Pair d) {
  if constexpr (P == Precision::Single) return {n.high / d.high, VecD{}};
  return ratio(n, d);
}

template <Precision P> PB_INLINE VecD tan(VecD x) {
  Quarter q = quarter<P>(x);
  Pair s = sin_near_zero<P>(q), c = cos_near_zero<P>(q);
  VecI64 odd = odd_quarters(q);
  Pair t = quotient<P>({select(odd, -c.high, s.high), select(odd, -c.low, s.low)},
                       {select(odd, s.high, c.high), select(odd, s.low, c.low)});
  VecD y = t.high + t.low;
  return select(x == 0.0, x, y);
}

inline constexpr double kPi = 0x1.921fb54442d18p+1, kPiLow = 0x1.1a62633145c07p-53;

// What follows the leading term of atan(t).
template <Precision P> PB_INLINE VecD atan_rest(Pair t) {
  VecD z = t.high * t.high;
  if constexpr (P == Precision::Single) return t.high * z * polynomial(z, kAtanShort);
  return t.high * z * polynomial(z, kAtanFull) + t.low * (1.0 - z);
}

// The angle of (x, y) for operands in pairs that are not too large to be added.
// Three ranges of |y| / |x| share one division: around 0, around 1, around infinity.
template <Precision P> PB_INLINE VecD angle(Pair y, Pair x) {
  VecI64 below = sign_bit(y.high), left = bits(x.high) < 0;
  Pair a = {fabs(y.high), from_bits(bits(y.low) ^ below)};
  Pair b = {fabs(x.high), from_bits(bits(x.low) ^ sign_bit(x.high))};
  constexpr double kTanEighth = 0x1.a827999fcef32p-2;  // tan(pi/8)
  VecI64 diagonal = (a.high == b.high) & (a.high == kInfinity);
  VecI64 low = (a.high <= kTanEighth * b.high) & ~diagonal;
  VecI64 middle = (b.high > kTanEighth * a.high) | diagonal;
  Pair sum = two_sum(a.high, b.high), difference = two_sum(a.high, -b.high);
  Pair n = {select(low, a.high, select(middle, difference.high, -b.high)),
            select(low, a.low, select(middle, difference.low + (a.low - b.low), -b.low))};
  Pair d = {select(low, b.high, select(middle, sum.high, a.high)),
            select(low, b.low, select(middle, sum.low + (a.low + b.low), a.low))};
  Pair t = quotient<P>(n, d);
  // The divisions at the origin and at infinity have no value, and corrections none there.
  VecI64 plain = ~(((a.high == 0.0) & (b.high == 0.0)) | diagonal);
  t.high = from_bits(bits(t.high) & plain);
  t.low = select(fabs(t.low) < 1.0, t.low, splat(0.0));
  VecD rest = atan_rest<P>(t);
  VecD quarters = select(low, splat(0.0), select(middle, splat(0.25), splat(0.5)));
  // On the left side the angle is pi less this one: the multiples of pi/4 are combined first.
  VecD turn = from_bits(bits(t.high) ^ (left & INT64_MIN));
  rest = from_bits(bits(rest) ^ (left & INT64_MIN));
  quarters = select(left, 1.0 - quarters, quarters);
  Pair total = two_sum(quarters * kPi, turn);
  return from_bits(bits(total.high + (total.low + (rest + quarters * kPiLow))) | below);
}

template <Precision P> PB_INLINE VecD atan2(VecD y, VecD x) {
  if constexpr (P == Precision::Single) return angle<P>({y, VecD{}}, {x, VecD{}});
  VecD shrink = select((fabs(y) > 0x1p1000) | (fabs(x) > 0x1p1000), splat(0x1p-100), splat(1.0));
  return angle<P>({y * shrink, VecD{}}, {x * shrink, VecD{}});
}

template <Precision P> PB_INLINE VecD atan(VecD x) { return angle<P>({x, VecD{}}, {splat(1.0), VecD{}}); }

// sqrt(1 - x^2).
template <Precision P> PB_INLINE Pair other_leg(VecD x) {
  if constexpr (P == Precision::Single) return {sqrt((1.0 - x) * (1.0 + x)), VecD{}};
  Pair square = exact_product(x, x);
  Pair d = two_sum(splat(1.0), -square.high);
  d = fast_two_sum(d.high, d.low - square.low);
  VecD root = sqrt(d.high);
  Pair back = exact_product(root, root);
  VecD low = ((d.high - back.high) - back.low + d.low) / (2.0 * root);
  return {root, select(root > 0.0, low, splat(0.0))};
}

template <Precision P> PB_INLINE VecD asin(VecD x) { return angle<P>({x, VecD{}}, other_leg<P>(x)); }
template <Precision P> PB_INLINE VecD acos(VecD x) { return angle<P>(other_leg<P>(x), {x, VecD{}}); }

}  // namespace pb::PB_ISA::math
