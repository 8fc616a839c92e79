#include "kernels/random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/error.h"

#define PB_INLINE inline __attribute__((always_inline))

namespace pb {
namespace {

constexpr int kChunk = 512;  // elements made at a time, so that raw draws stay in L1; a multiple of 16

template <class... Parts> [[noreturn]] void refuse(const Parts&... parts) {
  fail(ErrorKind::Runtime, parts...);
}

[[noreturn]] void not_implemented(const char* kernel, DType d) {
  fail(ErrorKind::NotImplemented, '"', kernel, "\" not implemented for '", info(d).scalar_name, "'");
}

// Some of torch's texts name the C++ type.
const char* c_name(DType d) {
  constexpr const char* kNames[kDTypes] = {"bool",  "unsigned char", "signed char", "short int",
                                           "int",   "long int",      "c10::Half",   "c10::BFloat16",
                                           "float", "double"};
  return kNames[static_cast<int>(d)];
}

// f.template operator()<float or double>()
template <class F> void visit_float(const char* kernel, DType d, F&& f) {
  if (d == DType::Float32) return f.template operator()<float>();
  if (d == DType::Float64) return f.template operator()<double>();
  not_implemented(kernel, d);
}

template <class F> void visit_any(const char* kernel, DType d, F&& f) {
  if (!visit_dtype(d, std::forward<F>(f))) not_implemented(kernel, d);
}

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

float unit_from(uint32_t bits) {
  return static_cast<float>(static_cast<int32_t>(bits & 0xffffffu)) * 0x1p-24f;
}
double unit_from(uint64_t bits) {
  return static_cast<double>(static_cast<int64_t>(bits & ((uint64_t{1} << 53) - 1))) * 0x1p-53;
}

// A uniform in [0, 1).
template <class T> T unit(Generator& g) {
  if constexpr (std::is_same_v<T, double>) return unit_from(g.random64());
  else return unit_from(g.random());
}

// n <= kChunk of them.
template <class T> void unit_chunk(Generator& g, T* out, int64_t n) {
  constexpr bool kWide = std::is_same_v<T, double>;
  uint32_t raw[kWide ? 2 * kChunk : kChunk];
  g.draw(raw, kWide ? 2 * n : n);
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (kWide) out[i] = unit_from(static_cast<uint64_t>(raw[2 * i]) << 32 | raw[2 * i + 1]);
    else out[i] = unit_from(raw[i]);
  }
}

// out[i] = f(u) with a 53-bit uniform an element, which is what torch takes for most distributions.
template <class T, class F> void fill_from_units(Generator& g, T* out, int64_t n, F&& f) {
  double u[kChunk];
  for (int64_t i = 0; i < n; i += kChunk) {
    const int64_t m = std::min<int64_t>(kChunk, n - i);
    unit_chunk(g, u, m);
    for (int64_t k = 0; k < m; ++k) out[i + k] = static_cast<T>(f(u[k]));
  }
}

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

// The end of random_(): the largest value of an integer type, the last gapless integer of a float type.
template <class T> constexpr int64_t last_value() {
  if constexpr (std::is_floating_point_v<T>) return int64_t{1} << std::numeric_limits<T>::digits;
  else return static_cast<int64_t>(std::numeric_limits<T>::max());
}

template <class T> T integer(uint64_t wrapped) { return static_cast<T>(static_cast<int64_t>(wrapped)); }

template <class T> void fill_range(Generator& g, T* out, int64_t n, uint64_t range, int64_t low) {
  const auto shift = static_cast<uint64_t>(low);
  if (range >= uint64_t{1} << 28) {
    for (int64_t i = 0; i < n; ++i) out[i] = integer<T>(g.random64() % range + shift);
    return;
  }
  const auto small = static_cast<uint32_t>(range);
  for (int64_t i = 0; i < n; ++i) out[i] = integer<T>(g.random() % small + shift);
}

template <class T> void check_range(int64_t low, int64_t last) {
  if constexpr (!std::is_floating_point_v<T>) {
    constexpr auto kLeast = static_cast<int64_t>(std::numeric_limits<T>::min());
    constexpr int64_t kMost = last_value<T>();
    const char* name = c_name(dtype_of<T>());
    if (low < kLeast || low > kMost) refuse("from is out of bounds for ", name);
    if (last < kLeast || last > kMost) refuse("to - 1 is out of bounds for ", name);
  }
}

// Integers of n bits lie 2^(n - digits) apart in a float type.
template <class T> int64_t spacing(int64_t value) {
  const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  return int64_t{1} << (std::bit_width(magnitude) - std::numeric_limits<T>::digits);
}

template <class T> int64_t rounded_through(int64_t value) {
  const T v = static_cast<T>(value);
  return v >= T(0x1p63) ? std::numeric_limits<int64_t>::min() : static_cast<int64_t>(v);
}

// Where a float type has gaps, torch moves the ends of the range inwards.
template <class T> int64_t move_low(int64_t low) {
  if constexpr (std::is_floating_point_v<T>) {
    const auto next = static_cast<int64_t>(static_cast<uint64_t>(low) + 1);
    const int64_t rounded = rounded_through<T>(next);
    if (rounded < low) return rounded + spacing<T>(next);
  }
  return low;
}
template <class T> int64_t move_high(int64_t high) {
  if constexpr (std::is_floating_point_v<T>) {
    const int64_t rounded = rounded_through<T>(high - 1);
    if (rounded >= high) return rounded - spacing<T>(high - 1);
  }
  return high;
}

template <class P, class T> void bernoulli_each(Generator& g, T* out, int64_t n, const P* p) {
  for (int64_t i = 0; i < n; ++i) {
    if (!(p[i] >= 0 && p[i] <= 1)) {
      refuse("Expected p_in >= 0 && p_in <= 1 to be true, but got false.\n",
             "bernoulli: every probability must lie in [0, 1]; element ", i, " is ", p[i]);
    }
    out[i] = static_cast<T>(unit<P>(g) < p[i]);
  }
}

template <class T> void shuffle(Generator& g, T* out, int64_t n) {
  // From here on 32 bits would be visibly uneven: torch draws 64 and builds the permutation inside out.
  constexpr int64_t kWideFrom = std::numeric_limits<uint32_t>::max() / 20;
  if (n >= kWideFrom) {
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<int64_t>(g.random64() % static_cast<uint64_t>(i + 1));
      out[i] = static_cast<T>(i);
      std::swap(out[i], out[at]);
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<T>(i);
  for (int64_t i = 0; i + 1 < n; ++i) {
    std::swap(out[i], out[i + static_cast<int64_t>(g.random() % static_cast<uint32_t>(n - i))]);
  }
}

template <class T>
void with_replacement(Generator& g, const T* weights, int64_t n, int64_t samples, int64_t* out) {
  std::vector<T> reached(static_cast<size_t>(n));
  T sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (!(weights[i] >= 0)) {
      refuse("invalid multinomial distribution (encountering probability entry < 0)");
    }
    if (!std::isfinite(weights[i])) {
      refuse("invalid multinomial distribution (encountering probability entry = infinity or NaN)");
    }
    sum += weights[i];
    reached[i] = sum;
  }
  if (!(sum > 0)) refuse("invalid multinomial distribution (sum of probabilities <= 0)");
  for (T& r : reached) r /= sum;
  reached.back() = 1;
  for (int64_t i = 0; i < samples; ++i) {
    const double u = unit<double>(g);
    const auto found = std::partition_point(reached.begin(), reached.end(), [u](T r) { return r < u; });
    out[i] = found - reached.begin();
  }
}

// A count in T; integers too large for it wrap, and an infinite count is the smallest value, as on x86.
template <class T> T count_to(double count) {
  if constexpr (std::is_floating_point_v<T>) return static_cast<T>(count);
  constexpr double kEnd = sizeof(T) == 8 ? 0x1p63 : 0x1p31;
  using Wide = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
  return static_cast<T>(count < kEnd ? static_cast<Wide>(count) : std::numeric_limits<Wide>::min());
}

// The samples largest of weight / exponential, largest first.
template <class T> void race(const T* weights, const T* times, int64_t n, int64_t samples, int64_t* out) {
  using Runner = std::pair<T, int64_t>;
  std::vector<Runner> runners(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) runners[i] = {weights[i] / times[i], i};
  const auto faster = [](const Runner& a, const Runner& b) {
    return (std::isnan(a.first) && !std::isnan(b.first)) || a.first > b.first;
  };
  const auto begin = runners.begin();
  const auto end = begin + samples;
  // The order of several zero weights depends on the algorithm, so these are the ones torch chooses.
  if (samples == 1 || samples * 64 <= n) {
    std::partial_sort(begin, end, runners.end(), faster);
  } else {
    std::nth_element(begin, end - 1, runners.end(), faster);
    std::sort(begin, end - 1, faster);
  }
  for (int64_t i = 0; i < samples; ++i) out[i] = runners[i].second;
}

template <class T> void check_weights(const T* weights, int64_t rows, int64_t categories) {
  const int64_t n = rows * categories;
  const bool fine = std::all_of(weights, weights + n, [](T w) { return w >= 0 && std::isfinite(w); });
  if (!fine) refuse("probability tensor contains either `inf`, `nan` or element < 0");
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = weights + r * categories;
    if (std::all_of(row, row + categories, [](T w) { return w == 0; })) {
      refuse("invalid multinomial distribution (sum of probabilities <= 0)");
    }
  }
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

void fill_randint(Generator& g, DType dtype, void* out, int64_t n, int64_t low, int64_t high) {
  if (low >= high) {
    refuse("random_ expects 'from' to be less than 'to', but got from=", low, " >= to=", high);
  }
  visit_any("random_from_to_kernel_cpu", dtype, [&]<class T>() {
    check_range<T>(low, high - 1);
    const int64_t first = move_low<T>(low);
    const int64_t end = move_high<T>(high);
    if (first >= end) {
      refuse("random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, but got from=",
             first, " >= to=", end);
    }
    fill_range(g, static_cast<T*>(out), n, static_cast<uint64_t>(end) - static_cast<uint64_t>(first), first);
  });
}

void fill_randint_from(Generator& g, DType dtype, void* out, int64_t n, int64_t low) {
  visit_any("random_from_to_kernel_cpu", dtype, [&]<class T>() {
    auto* x = static_cast<T*>(out);
    if (low == std::numeric_limits<int64_t>::min()) {
      if constexpr (!std::is_floating_point_v<T> && !std::is_same_v<T, int64_t>) {
        refuse("random_full_64_bits_range_kernel_cpu handles only int64, double, float and bfloat16");
      }
      for (int64_t i = 0; i < n; ++i) x[i] = integer<T>(g.random64());
      return;
    }
    constexpr int64_t kLast = last_value<T>();
    const int64_t first = move_low<T>(low);
    if (std::is_floating_point_v<T> && first >= kLast) {
      refuse(
          "random_ expects 'from' casted to dtype to be less than or equal to 'to_inc' casted "
          "to dtype, but got from=",
          first, " > to_inc=", kLast);
    }
    check_range<T>(first, kLast);
    fill_range(g, x, n, static_cast<uint64_t>(kLast) - static_cast<uint64_t>(first) + 1, first);
  });
}

void fill_random(Generator& g, DType dtype, void* out, int64_t n) {
  visit_any("random_kernel_cpu", dtype, [&]<class T>() {
    auto* x = static_cast<T*>(out);
    constexpr uint64_t kRange = static_cast<uint64_t>(last_value<T>()) + 1;
    for (int64_t i = 0; i < n; ++i) {
      if constexpr (sizeof(T) == 8) x[i] = integer<T>(g.random64() % kRange);
      else x[i] = integer<T>(g.random() % kRange);
    }
  });
}

bool randint_is_exact(DType dtype, int64_t low, int64_t high) {
  const int digits = dtype == DType::Float32 ? 24 : dtype == DType::Float64 ? 53 : 0;
  if (digits == 0) return true;
  const int64_t most = int64_t{1} << digits;
  return low >= -most && high - 1 <= most;
}

void fill_bernoulli(Generator& g, DType dtype, void* out, int64_t n, double p) {
  if (!(p >= 0 && p <= 1)) refuse("bernoulli_ expects p to be in [0, 1], but got p=", p);
  visit_any("bernoulli_scalar_cpu_", dtype,
            [&]<class T>() { fill_from_units(g, static_cast<T*>(out), n, [=](double u) { return u < p; }); });
}

void fill_bernoulli(Generator& g, DType dtype, void* out, int64_t n, DType p_dtype, const void* p) {
  visit_any("bernoulli_tensor_cpu_self_", dtype, [&]<class T>() {
    visit_float("bernoulli_tensor_cpu_p_", p_dtype,
                [&]<class P>() { bernoulli_each(g, static_cast<T*>(out), n, static_cast<const P*>(p)); });
  });
}

void fill_randperm(Generator& g, DType dtype, void* out, int64_t n) {
  if (n < 0) refuse("Trying to create tensor with negative dimension ", n, ": [", n, "]");
  visit_any("randperm", dtype, [&]<class T>() {
    if constexpr (std::is_same_v<T, bool>) {
      not_implemented("randperm", dtype);
    } else {
      if (n > 0 && n - 1 > last_value<T>()) {
        if constexpr (std::is_floating_point_v<T>) {
          refuse("n cannot be greater than 2^", std::numeric_limits<T>::digits, "+1 for ",
                 info(dtype).scalar_name, " type.");
        }
        refuse("value cannot be converted to type ", info(dtype).name, "_t without overflow");
      }
      shuffle(g, static_cast<T*>(out), n);
    }
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

void multinomial(Generator& g, DType dtype, const void* weights, int64_t rows, int64_t categories,
                 int64_t samples, bool replacement, int64_t* out) {
  if (!is_float(dtype)) {
    refuse("multinomial only supports floating-point dtypes for input, got: ", info(dtype).scalar_name);
  }
  if (samples <= 0) refuse("cannot sample n_sample <= 0 samples");
  if (!replacement && samples > categories) {
    refuse("cannot sample n_sample > prob_dist.size(-1) samples without replacement");
  }
  if (categories > int64_t{1} << 24) refuse("number of categories cannot exceed 2^24");
  if (rows == 0) return;
  if (categories == 0) refuse("invalid multinomial distribution (sum of probabilities <= 0)");
  visit_float("multinomial", dtype, [&]<class T>() {
    const auto* w = static_cast<const T*>(weights);
    std::vector<T> times;
    if (!replacement || samples == 1) {
      check_weights(w, rows, categories);
      times.resize(static_cast<size_t>(rows * categories));
      fill_exponential(g, dtype, times.data(), rows * categories);
    }
    for (int64_t r = 0; r < rows; ++r, w += categories, out += samples) {
      if (times.empty()) with_replacement(g, w, categories, samples, out);
      else race(w, times.data() + r * categories, categories, samples, out);
    }
  });
}

}  // namespace pb
