#include "kernels/random.h"

#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

#include "kernels/draws.h"

#define PB_INLINE inline __attribute__((always_inline))

namespace pb {
namespace {

// torch's values contain fused multiply-adds. Where the machine has none, a product of two floats is exact in
// double; rounding its sum with c to odd there makes the rounding to float the only one.
struct HardwareFma {
  template <class T> static PB_INLINE T run(T a, T b, T c) { return std::fma(a, b, c); }
};

struct PortableFma {
  static PB_INLINE double run(double a, double b, double c) { return std::fma(a, b, c); }
  static PB_INLINE float run(float a, float b, float c) {
    const double p = static_cast<double>(a) * b;
    const double s = p + c;
    const double t = s - p;
    const double error = (p - (s - t)) + (c - t);
    const auto bits = std::bit_cast<uint64_t>(s);
    const auto error_bits = std::bit_cast<uint64_t>(error);
    const uint64_t inexact = static_cast<uint64_t>(error != 0) & ~bits & 1;
    const uint64_t inwards = (error_bits ^ bits) >> 63;  // 1 if the error points towards zero
    return static_cast<float>(std::bit_cast<double>(bits + inexact - 2 * (inexact & inwards)));
  }
};

#if defined(__FP_FAST_FMAF) || defined(__FMA__)
using BaseFma = HardwareFma;
#else
using BaseFma = PortableFma;
#endif

#if defined(__x86_64__) && defined(__GNUC__)
#define PB_FMA_TARGET __attribute__((target("avx2,fma")))
bool machine_has_fma() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
#define PB_FMA_TARGET
bool machine_has_fma() { return false; }
#endif

template <class Fma, class T> PB_INLINE void stretch_body(T* x, int64_t n, T from, T to) {
  const T width = to - from;
  for (int64_t i = 0; i < n; ++i) {
    const T v = Fma::run(x[i], width, from);
    x[i] = v == to ? from : v;  // rounding must not reach the open end
  }
}
template <class T> PB_FMA_TARGET void stretch_fma(T* x, int64_t n, T from, T to) {
  stretch_body<HardwareFma>(x, n, from, to);
}
template <class T> void stretch(T* x, int64_t n, T from, T to) {
  machine_has_fma() ? stretch_fma(x, n, from, to) : stretch_body<BaseFma>(x, n, from, to);
}

template <class T> void check_uniform(DType dtype, double from, double to) {
  const double most = std::numeric_limits<T>::max();
  if (!(from >= -most && from <= most)) refuse("from is out of bounds for ", c_name(dtype));
  if (!(to >= -most && to <= most)) refuse("to is out of bounds for ", c_name(dtype));
  if (!(from <= to)) {
    refuse("uniform_ expects to return a [from, to) range, but found from=", from, " > to=", to);
  }
  if (!(to - from <= most)) {
    refuse("uniform_ expects to-from <= std::numeric_limits<", info(dtype).scalar_name,
           ">::max(), but found to=", to, " and from=", from, " which result in to-from to exceed the limit");
  }
}

// Single-precision logarithm, sine and cosine after S. L. Moshier's Cephes library (logf.c, sinf.c): argument
// reduction and minimax coefficients are his, the order of rounding is that of torch's AVX2 code. Only for
// the arguments that occur here: u in [2^-24, 1] and theta in [0, 2 pi].
template <class Fma> PB_INLINE float log_unit(float u) {
  const auto bits = std::bit_cast<int32_t>(u);
  const int32_t half_up = (bits & 0x007fffff) | 0x3f000000;  // the mantissa as a number m in [0.5, 1)
  const int32_t low = (half_up - 0x3f3504f3) >> 31;  // all ones if m < sqrt(1/2), then m is doubled
  const auto e = static_cast<float>((bits >> 23) - 126 + low);
  const float x = (std::bit_cast<float>(half_up) - 1.0f) + std::bit_cast<float>(half_up & low);
  const float z = x * x;
  float y = 7.0376836292e-2f;
  y = Fma::run(y, x, -1.1514610310e-1f);
  y = Fma::run(y, x, 1.1676998740e-1f);
  y = Fma::run(y, x, -1.2420140846e-1f);
  y = Fma::run(y, x, 1.4249322787e-1f);
  y = Fma::run(y, x, -1.6668057665e-1f);
  y = Fma::run(y, x, 2.0000714765e-1f);
  y = Fma::run(y, x, -2.4999993993e-1f);
  y = Fma::run(y, x, 3.3333331174e-1f);
  y = y * x;
  y = Fma::run(y, z, e * -2.12194440e-4f);
  y = Fma::run(z, -0.5f, y);
  return Fma::run(e, 0.693359375f, x + y);
}

template <class Fma> PB_INLINE void sincos_turn(float theta, float& sine, float& cosine) {
  const int32_t octant = (static_cast<int32_t>(theta * 1.27323954473516f) + 1) & ~1;
  const auto y = static_cast<float>(octant);
  float x = Fma::run(y, -0.78515625f, theta);
  x = Fma::run(y, -2.4187564849853515625e-4f, x);
  x = Fma::run(y, -3.77489497744594108e-8f, x);
  const float z = x * x;
  float c = 2.443315711809948e-5f;
  c = Fma::run(c, z, -1.388731625493765e-3f);
  c = Fma::run(c, z, 4.166664568298827e-2f);
  c = c * z;
  c = Fma::run(c, z, z * -0.5f) + 1.0f;
  float s = -1.9515295891e-4f;
  s = Fma::run(s, z, 8.3321608736e-3f);
  s = Fma::run(s, z, -1.6666654611e-1f);
  s = s * z;
  s = Fma::run(s, x, x);
  // Masks instead of branches, so that the loop around becomes vector code.
  const int32_t differ = std::bit_cast<int32_t>(s) ^ std::bit_cast<int32_t>(c);
  const int32_t swap = differ & -((octant >> 1) & 1);
  const uint32_t sine_sign = static_cast<uint32_t>(octant & 4) << 29;
  const uint32_t cosine_sign = static_cast<uint32_t>(~(octant - 2) & 4) << 29;
  sine = std::bit_cast<float>(std::bit_cast<uint32_t>(s) ^ static_cast<uint32_t>(swap) ^ sine_sign);
  cosine = std::bit_cast<float>(std::bit_cast<uint32_t>(c) ^ static_cast<uint32_t>(swap) ^ cosine_sign);
}

// Box-Muller in place over at most kChunk / 16 blocks of 16 uniforms: the first eight of a block give the
// radii, the last eight the angles. Halves are gathered first, so that the compiler sees one plain loop.
template <class Fma> PB_INLINE void normal_blocks_body(float* x, int64_t blocks, float mean, float std) {
  float a[kChunk / 2];
  float b[kChunk / 2];
  for (int64_t k = 0; k < blocks; ++k) {
    std::copy_n(x + 16 * k, 8, a + 8 * k);
    std::copy_n(x + 16 * k + 8, 8, b + 8 * k);
  }
  for (int64_t i = 0; i < 8 * blocks; ++i) {
    const float radius = std::sqrt(-2.0f * log_unit<Fma>(1.0f - a[i]));
    float sine, cosine;
    sincos_turn<Fma>(static_cast<float>(2 * std::numbers::pi) * b[i], sine, cosine);
    a[i] = Fma::run(radius * cosine, std, mean);
    b[i] = Fma::run(radius * sine, std, mean);
  }
  for (int64_t k = 0; k < blocks; ++k) {
    std::copy_n(a + 8 * k, 8, x + 16 * k);
    std::copy_n(b + 8 * k, 8, x + 16 * k + 8);
  }
}
PB_FMA_TARGET void normal_blocks_fma(float* x, int64_t blocks, float mean, float std) {
  normal_blocks_body<HardwareFma>(x, blocks, mean, std);
}
void normal_blocks(float* x, int64_t blocks, float mean, float std) {
  machine_has_fma() ? normal_blocks_fma(x, blocks, mean, std)
                    : normal_blocks_body<BaseFma>(x, blocks, mean, std);
}

// Double precision goes through the C library, as torch's does: the same bits as torch on the same machine,
// and within the library's error of them elsewhere. So do all double logarithms, sines and cosines below.
void normal_blocks(double* x, int64_t blocks, double mean, double std) {
  for (int64_t b = 0; b < blocks; ++b, x += 16) {
    for (int j = 0; j < 8; ++j) {
      const double radius = std::sqrt(-2 * std::log(1 - x[j]));
      const double theta = 2 * std::numbers::pi * x[j + 8];
      x[j] = std::fma(radius * std::cos(theta), std, mean);
      x[j + 8] = std::fma(radius * std::sin(theta), std, mean);
    }
  }
}

double one_normal(Generator& g, double mean, double std) {
  if (const auto kept = g.take_normal()) return std::fma(*kept, std, mean);
  const double u1 = unit<double>(g);
  const double u2 = unit<double>(g);
  const double radius = std::sqrt(-2.0 * std::log1p(-u2));
  const double theta = 2 * std::numbers::pi * u1;
  g.keep_normal(radius * std::sin(theta));
  return std::fma(radius * std::cos(theta), std, mean);
}

template <class T> void normals(Generator& g, T* out, int64_t n, T mean, T std) {
  for (int64_t i = 0; i < n; i += kChunk) {
    const int64_t m = std::min<int64_t>(kChunk, n - i);
    unit_chunk(g, out + i, m);
    normal_blocks(out + i, m / 16, mean, std);
  }
  if (n % 16 != 0) {
    unit_chunk(g, out + n - 16, 16);
    normal_blocks(out + n - 16, 1, mean, std);
  }
}

void check_std(double std) {
  if (!(std >= 0)) refuse("normal expects std >= 0.0, but found std ", std);
}

// A count in T; integers too large for it wrap, and an infinite count is the smallest value, as on x86.
template <class T> T count_to(double count) {
  if constexpr (std::is_floating_point_v<T>) return static_cast<T>(count);
  constexpr double kEnd = sizeof(T) == 8 ? 0x1p63 : 0x1p31;
  using Wide = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
  return static_cast<T>(count < kEnd ? static_cast<Wide>(count) : std::numeric_limits<Wide>::min());
}

void check_continuous(const char* distribution, DType dtype, const char* shown) {
  if (is_float(dtype)) return;
  refuse(distribution, " distribution is a continuous probability distribution. ",
         "dtype must be a floating point but you specified ", shown);
}

}  // namespace

void fill_uniform(Generator& g, DType dtype, void* out, int64_t n, double from, double to) {
  visit_float("check_uniform_bounds", dtype, [&]<class T>() {
    check_uniform<T>(dtype, from, to);
    auto* x = static_cast<T*>(out);
    for (int64_t i = 0; i < n; i += kChunk) {
      const int64_t m = std::min<int64_t>(kChunk, n - i);
      unit_chunk(g, x + i, m);
      if (from != 0 || to != 1) stretch(x + i, m, static_cast<T>(from), static_cast<T>(to));
    }
  });
}

void fill_normal(Generator& g, DType dtype, void* out, int64_t n, double mean, double std) {
  if (n < 16) return fill_normal_one_by_one(g, dtype, out, n, mean, std);
  check_std(std);
  visit_float("normal_kernel_cpu", dtype, [&]<class T>() {
    normals(g, static_cast<T*>(out), n, static_cast<T>(mean), static_cast<T>(std));
  });
}

void fill_normal_one_by_one(Generator& g, DType dtype, void* out, int64_t n, double mean, double std) {
  check_std(std);
  visit_float("normal_kernel_cpu", dtype, [&]<class T>() {
    auto* x = static_cast<T*>(out);
    for (int64_t i = 0; i < n; ++i) x[i] = static_cast<T>(one_normal(g, mean, std));
  });
}

void fill_exponential(Generator& g, DType dtype, void* out, int64_t n, double lambda) {
  if (!(lambda > 0)) refuse("exponential_ expects lambda > 0.0, but found lambda=", lambda);
  check_continuous("Exponential", dtype, info(dtype).scalar_name);
  const double scale = -1.0 / lambda;
  visit_float("exponential_cpu", dtype, [&]<class T>() {
    fill_from_units(g, static_cast<T*>(out), n, [=](double u) { return scale * std::log1p(-u); });
  });
}

void fill_geometric(Generator& g, DType dtype, void* out, int64_t n, double p) {
  if (!(p > 0 && p < 1)) refuse("geometric_ expects p to be in (0, 1), but got p=", p);
  if (dtype == DType::Bool) not_implemented("geometric_cpu", dtype);
  const double log_miss = std::log1p(-p);
  visit_any("geometric_cpu", dtype, [&]<class T>() {
    fill_from_units(g, static_cast<T*>(out), n,
                    [=](double u) { return count_to<T>(std::ceil(std::log(u) / log_miss)); });
  });
}

void fill_cauchy(Generator& g, DType dtype, void* out, int64_t n, double median, double sigma) {
  if (!(sigma > 0)) refuse("cauchy_ expects sigma > 0.0, but found sigma=", sigma);
  check_continuous("Cauchy", dtype, c_name(dtype));
  visit_float("cauchy_cpu", dtype, [&]<class T>() {
    fill_from_units(g, static_cast<T*>(out), n, [=](double u) {
      return std::fma(sigma, std::tan(std::numbers::pi * (u - 0.5)), median);
    });
  });
}

void fill_log_normal(Generator& g, DType dtype, void* out, int64_t n, double mean, double std) {
  if (!(std > 0)) refuse("log_normal_ expects std > 0.0, but found std=", std);
  visit_float("log_normal_cpu", dtype, [&]<class T>() {
    auto* x = static_cast<T*>(out);
    for (int64_t i = 0; i < n; ++i) x[i] = static_cast<T>(std::exp(one_normal(g, mean, std)));
  });
}

}  // namespace pb
