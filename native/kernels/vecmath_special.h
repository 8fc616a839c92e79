// erf, erfc, erfinv, lgamma, digamma, hypot.
#pragma once
#include <math.h>

#include <cmath>


#include "kernels/vecmath_trig.h"

namespace pb::PB_ISA::math {

// kErf: (erf(x) / x - 2 / sqrt(pi)) / x^2 in powers of x^2 on [0, 1].
// kErfcx: (1 + 2 x) exp(x^2) erfc(x) in powers of (x - 4) / (x + 4), for x in [0, 27].
inline constexpr double kErf[] = {-0.37612638903183754,    0.11283791670955126,     -0.02686617064513125,
                                  0.005223977625442098,    -0.0008548327023438772,  0.00012055332980820326,
                                  -1.4925650307970883e-05, 1.64621125825314e-06,    -1.6365800670626893e-07,
                                  1.4806425307596068e-08,  -1.2281123990301673e-09, 9.342544765021714e-11,
                                  -6.25814465939488e-12,   2.895998335856489e-13};
inline constexpr double kErfcxShort[] = {
    1.2329951186373922,    -0.13962111699174257,    0.015379650172806694,   0.06809706069272797,
    -0.1010390132980109,   0.09373276629206288,     -0.06633091623791453,   0.03716771931920384,
    -0.01619496870359072,  0.005032458800478445,    -0.0007649280525274175, -0.00020319351873885924,
    0.0001597176077257937, -1.6546571770536554e-05, -1.5512102062508757e-05};
inline constexpr double kErfcxLead = 1.2329951186255526;
inline constexpr double kErfcxRest[] = {
    -0.13962111684056253,    0.015379652102620121,    0.06809705425469278,     -0.1010390660363303,
    0.0937328349983428,      -0.06633036581152008,    0.03716751553771847,     -0.01619773406743532,
    0.005031969973669231,    -0.0007577732110660014,  -0.00019925665025668363, 0.0001506212905730279,
    -2.439948494588298e-05,  -1.1220823652510937e-05, 5.710746729778729e-06,   2.914640868463833e-07,
    -8.277904343669559e-07,  7.72814697144823e-08,    1.1341258696693605e-07,  -1.9279052806671358e-08,
    -1.6767942629679174e-08, 1.7159229493017923e-09,  2.1723014339311486e-09,  3.107312238965581e-10};

// erf(x) / x on [-3.93, 3.93], in powers of t = kErfScale x^2 - 1.
inline constexpr double kErfScale = 0.1294925833122908;
inline constexpr double kErfWhole[] = {
    0.3598202113806524,     -0.1796602969453581,    0.13378065786244453,   -0.10900093791816888,
    0.09058212421484363,    -0.0741203009782298,    0.05841579350047317,   -0.043729957647900664,
    0.030840711276464077,   -0.020424879152872073,  0.012711143002844212,  -0.0073944104504661875,
    0.003973905913357288,   -0.0020576969024985463, 0.0010987633293559206, -0.0004928127728325521,
    0.00012920847662095019, -5.929395721728734e-05, 6.352420409702653e-05, -2.2537187166524278e-05};

// For float32; beyond 3.92 the result is 1.
PB_INLINE VecF erf(VecF x) {
  return through_double(
      [](VecD v) PB_LAMBDA {
        VecD t = fma(v * v, splat(kErfScale), splat(-1.0));
        return v * long_polynomial(t, kErfWhole);
      },
      at_most(3.93f, at_least(-3.93f, x)));
}

// erf(a) / a - 1 on [0, 1].
PB_INLINE VecD erf_slope(VecD a) {
  constexpr double kSlopeLessOne = 0x1.06eba8214db69p-3;  // 2 / sqrt(pi) - 1
  VecD z = a * a;
  return fma(z, polynomial(z, kErf), splat(kSlopeLessOne));
}

// exp(-a^2) and the rest of erfc(a) = 2^n mantissa, for a in [0, 28].
struct ErfcParts {
  VecD mantissa;
  ExpParts e;
};

template <Precision P> PB_INLINE ErfcParts erfc_parts(VecD a) {
  Pair slope = two_sum(splat(1.0), 2.0 * a);
  VecD denominator = a + 4.0;
  VecD inverse = 1.0 / (slope.high * denominator);
  VecD t = (a - 4.0) * (slope.high * inverse);
  if constexpr (P == Precision::Single) {
    ExpParts e = exp_parts<P>(-(a * a));
    return {(1.0 + (e.r + e.tail)) * (polynomial(t, kErfcxShort) * (denominator * inverse)), e};
  }
  Pair square = exact_product(a, a);
  ExpParts e = exp_parts<P>(-square.high);
  Pair m = exp_mantissa(e);
  m.low -= m.high * square.low;
  Pair q = ratio(fast_two_sum(splat(kErfcxLead), t * polynomial(t, kErfcxRest)), slope);
  Pair product = exact_product(m.high, q.high);
  return {product.high + (product.low + (m.high * q.low + m.low * q.high)), e};
}

PB_INLINE VecD erf(VecD x) {
  VecD a = fabs(x);
  ErfcParts c = erfc_parts<Precision::Double>(at_most(7.0, a));
  VecD far = 1.0 - c.mantissa * power_of_two(c.e.shifted);
  return with_sign(select(a < 0.875, fma(a, erf_slope(a), a), far), x);
}

template <Precision P> PB_INLINE VecD erfc(VecD x) {
  VecD a = fabs(x);
  ErfcParts c = erfc_parts<P>(at_most(P == Precision::Single ? 12.0 : 27.5, a));
  VecD right = P == Precision::Single ? c.mantissa * power_of_two(c.e.shifted) : scale(c.mantissa, c.e.n);
  VecD far = select(x < 0.0, 2.0 - right, right);
  if constexpr (P == Precision::Single) return far;
  // Below 1/2 the difference 1 - erf is better, if what is taken away keeps its low part.
  Pair product = exact_product(x, erf_slope(a)), rest = two_sum(splat(1.0), -x);
  VecD near = (rest.high - product.high) + (rest.low - product.low);
  return select(a < 0.5, near, far);
}

// |x| beyond 2^500 or below 2^-500 is scaled, so that squares neither overflow nor vanish.
template <Precision P> PB_INLINE VecD hypot(VecD x, VecD y) {
  VecD a = fabs(x), b = fabs(y);
  if constexpr (P == Precision::Single) {
    VecD h = sqrt(a * a + b * b);
    return select((a == kInfinity) | (b == kInfinity), splat(kInfinity), h);
  }
  VecD larger = select(a > b, a, b);
  VecI64 big = larger > 0x1p500, small = larger < 0x1p-500;
  VecD s = select(big, splat(0x1p-600), select(small, splat(0x1p600), splat(1.0)));
  VecD back = select(big, splat(0x1p600), select(small, splat(0x1p-600), splat(1.0)));
  a *= s;
  b *= s;
  VecD h = sqrt(a * a + b * b) * back;
  return select((a == kInfinity) | (b == kInfinity), splat(kInfinity), h);
}

// A guess to two or three digits, and two steps that each make three times as many of them. Near 1 the steps go
// by erfc, which keeps what is left of 1.
inline double erfinv_scalar(double x) {
  constexpr double kHalfRootPi = 0.88622692545275801365, kShape = 0.147;
  constexpr double kLevel = 2 / (3.14159265358979323846 * kShape);
  const double a = __builtin_fabs(x);
  if (!(a < 1)) return a == 1 ? __builtin_copysign(kInfinity, x) : std::numeric_limits<double>::quiet_NaN();
  double y = a * kHalfRootPi;
  if (a > 0.1) {
    const double l = std::log((1 - a) * (1 + a)), t = kLevel + l / 2;
    y = std::sqrt(std::sqrt(t * t - l / kShape) - t);
  }
  for (int step = 0; step < 2; ++step) {
    const double excess = a < 0.5 ? std::erf(y) - a : (1 - a) - std::erfc(y);
    const double u = excess * kHalfRootPi * std::exp(y * y);
    y -= u / (1 + y * u);
  }
  return __builtin_copysign(y, x);
}

inline double lgamma_scalar(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);  // the plain one writes a global variable
}

// Upward recurrence to 10, then the asymptotic series; reflection for negative x. For float64
// in extended precision, because the sum and the logarithm nearly cancel around the zeros.
template <class Long> inline double digamma_scalar(double argument) {
  if (argument == 0) return __builtin_copysign(kInfinity, -argument);
  if (argument != argument || argument == kInfinity) return argument;
  Long x = argument, sum = 0;
  if (x < 0) {
    if (__builtin_floor(argument) == argument) return std::numeric_limits<double>::quiet_NaN();
    constexpr auto kPiLong = static_cast<Long>(3.141592653589793238462643383279502884L);
    sum = -kPiLong / std::tan(kPiLong * (x - std::trunc(x)));
    x = 1 - x;
  }
  for (; x < 10; x += 1) sum -= 1 / x;
  constexpr Long kOne = 1;
  constexpr Long kSeries[] = {kOne / 12,  -kOne / 120,         kOne / 252, -kOne / 240,
                              kOne / 132, -691 * kOne / 32760, kOne / 12,  -3617 * kOne / 8160};
  Long z = 1 / (x * x), series = 0;
  for (int i = 7; i >= 0; --i) series = (series + kSeries[i]) * z;
  return static_cast<double>(sum + (std::log(x) - Long(0.5) / x - series));
}

}  // namespace pb::PB_ISA::math
