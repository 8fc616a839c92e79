// Measures the elementwise kernels against the C library: largest error in units in the last place, and time.
//   check_vecmath [--all] [--samples N] [name...]
// --all takes each of the 2^32 float32 values; otherwise every 997th and all values next to hard places.
// float32 is compared with double, float64 with long double. Exits with 1 if a limit is passed.
#include <math.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/table.h"

namespace {

using Long = long double;

struct Subject {
  const char* name;
  double (*reference32)(double);
  Long (*reference64)(Long);
  double limit32, limit64;  // units in the last place
  double low, high;  // where float64 samples are dense
};

template <class T> T sigmoid(T x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
template <class T> T log_sigmoid(T x) {
  return x < 0 ? x - std::log1p(std::exp(x)) : 0 - std::log1p(std::exp(-x));
}
template <class T> T rsqrt(T x) { return 1 / std::sqrt(x); }


const Subject kSubjects[] = {
    {"exp", exp, expl, 1, 1, -746, 711},
    {"exp2", exp2, exp2l, 2, 2, -1076, 1025},
    {"expm1", expm1, expm1l, 2, 2, -60, 711},
    {"log", log, logl, 1, 1, 0, 4},
    {"log2", log2, log2l, 2, 2, 0, 4},
    {"log10", log10, log10l, 2, 2, 0, 4},
    {"log1p", log1p, log1pl, 2, 2, -1, 4},
    {"log_sigmoid", log_sigmoid<double>, log_sigmoid<Long>, 2, 2, -50, 50},
    {"sin", sin, sinl, 1, 1, -100, 100},
    {"cos", cos, cosl, 1, 1, -100, 100},
    {"tan", tan, tanl, 2, 2, -100, 100},
    {"asin", asin, asinl, 2, 2, -1, 1},
    {"acos", acos, acosl, 2, 2, -1, 1},
    {"atan", atan, atanl, 2, 2, -8, 8},
    {"sinh", sinh, sinhl, 2, 2, -30, 30},
    {"cosh", cosh, coshl, 2, 2, -30, 30},
    {"tanh", tanh, tanhl, 1, 1, -20, 20},
    {"sigmoid", sigmoid<double>, sigmoid<Long>, 1, 1, -50, 50},
    {"erf", erf, erfl, 1, 1, -6, 6},
    {"erfc", erfc, erfcl, 2, 2, -6, 27},
    {"sqrt", sqrt, sqrtl, 0.51, 0.51, 0, 4},
    {"rsqrt", rsqrt<double>, rsqrt<Long>, 2, 2, 0, 4},
};

template <class T> struct Format;
template <> struct Format<float> {
  using Bits = uint32_t;
  static constexpr int kDigits = 24, kLowest = -149;
  static constexpr double kOverflow = 0x1.ffffffp127;  // from here on the nearest float32 is infinity
};
template <> struct Format<double> {
  using Bits = uint64_t;
  static constexpr int kDigits = 53, kLowest = -1074;
  static constexpr Long kOverflow = 0x1.fffffffffffff8p1023L;
};

// The error in units of the last place of the exact value; 1e9 where one is NaN and the other not.
template <class T, class R> double error(T got, R exact) {
  if (std::isnan(got) || std::isnan(exact)) return std::isnan(got) == std::isnan(exact) ? 0 : 1e9;
  if (exact == 0 || std::isinf(exact)) {
    return R(got) == exact && std::signbit(got) == std::signbit(exact) ? 0 : 1e9;
  }
  if (std::fabs(exact) >= Format<T>::kOverflow) return std::isinf(got) && (got > 0) == (exact > 0) ? 0 : 1;
  if (std::isinf(got)) return 1e9;
  if (got != 0 && std::signbit(got) != std::signbit(exact)) return 1e9;
  int place = std::max(std::ilogb(exact) - Format<T>::kDigits + 1, Format<T>::kLowest);
  return static_cast<double>(std::fabs(std::scalbn(R(got) - exact, -place)));
}

struct Worst {
  double error = 0, at = 0;
  int64_t count = 0, inexact = 0;  // inexact: not the nearest value
};

template <class T, class Ref>
void measure(pb::BlockFn fn, Ref reference, const std::vector<T>& x, Worst& worst) {
  std::vector<T> y(x.size());
  fn(y.data(), x.data(), nullptr, nullptr, static_cast<int64_t>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    auto exact = reference(x[i]);
    if (y[i] == static_cast<T>(exact) && y[i] != 0) {  // the nearest value: nothing more to learn
      worst.error = std::max(worst.error, 0.5);
      continue;
    }
    double e = error(y[i], exact);
    worst.inexact += e > 0.5;
    if (e > worst.error) worst.error = e, worst.at = x[i];
  }
  worst.count += static_cast<int64_t>(x.size());
}

template <class T> void add_hard_cases(std::vector<T>& x) {
  const Long kPlaces[] = {0,
                          0.25L,
                          0.5L,
                          1,
                          2,
                          4,
                          7,
                          22,
                          27,
                          50,
                          88.722839L,
                          103.97L,
                          104,
                          709.782712893384L,
                          745.13321910194L,
                          M_PI_2l,
                          M_PIl,
                          3 * M_PI_2l,
                          1e3L,
                          0x1p20L,
                          0x1.921fb54442d18p20L,
                          0x1p28L,
                          1e10L,
                          1e22L,
                          1e38L,
                          0x1p-126L,
                          0x1p-149L,
                          0x1p-28L,
                          0x1p-54L,
                          0.3465735902799726L,
                          0.70710678118654752L,
                          1.41421356237309505L,
                          0.41421356237309503L,
                          2.41421356237309492L,
                          6381956970095103.0L * 0x1p797L,
                          0x1p1000L};
  for (Long place : kPlaces) {
    for (int sign = -1; sign <= 1; sign += 2) {
      for (int step = -200; step <= 200; ++step) {
        auto bits = std::bit_cast<typename Format<T>::Bits>(static_cast<T>(sign * place));
        x.push_back(std::bit_cast<T>(static_cast<typename Format<T>::Bits>(bits + step)));
      }
    }
  }
  for (int k = 1; k < 20000; ++k) x.push_back(static_cast<T>(k * M_PI_2l));
  x.push_back(static_cast<T>(INFINITY));
  x.push_back(static_cast<T>(-INFINITY));
}

Worst check32(const Subject& s, pb::BlockFn fn, bool all) {
  Worst worst;
  std::vector<float> x;
  add_hard_cases(x);
  measure(fn, s.reference32, x, worst);
  uint64_t step = all ? 1 : 997;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32);) {
    x.clear();
    for (; x.size() < 8190 && bits < (uint64_t{1} << 32); bits += step) {
      x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
    }
    measure(fn, s.reference32, x, worst);
  }
  return worst;
}

Worst check64(const Subject& s, pb::BlockFn fn, int64_t samples) {
  Worst worst;
  std::vector<double> x;
  add_hard_cases(x);
  measure(fn, s.reference64, x, worst);
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> uniform(s.low, s.high);
  while (worst.count < samples) {
    x.clear();
    while (x.size() < 8190) {
      uint64_t bits = random();
      x.push_back(uniform(random));
      x.push_back(std::bit_cast<double>(bits));
      // Exponents around 0, where most of the branches are.
      x.push_back(std::ldexp(uniform(random) / s.high, -static_cast<int>(bits % 60)));
    }
    measure(fn, s.reference64, x, worst);
  }
  return worst;
}

// Nanoseconds an element over a block in the first cache.
template <class T> double nanoseconds(pb::BlockFn fn) {
  std::vector<T> x(2048), y(2048);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(0.001 + 0.0004 * static_cast<double>(i));
  double best = 1e9;
  for (int round = 0; round < 20; ++round) {
    auto start = std::chrono::steady_clock::now();
    for (int k = 0; k < 20; ++k) fn(y.data(), x.data(), nullptr, nullptr, 2048);
    std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count() / (20 * 2048));
  }
  return best;
}

bool selected(const char* name, const std::vector<std::string>& names) {
  return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
}

bool check(const Subject& s, bool all, int64_t samples) {
  auto rows = pb::kernels().elementwise;
  auto named = [&](const pb::BlockRow& row) { return std::strcmp(row.name, s.name) == 0; };
  auto row = std::find_if(rows.begin(), rows.end(), named);
  if (row == rows.end()) return false;
  pb::BlockFn f32 = row->fn[static_cast<int>(pb::DType::Float32)];
  pb::BlockFn f64 = row->fn[static_cast<int>(pb::DType::Float64)];
  Worst a = check32(s, f32, all), b = check64(s, f64, samples);
  bool good = a.error <= s.limit32 && b.error <= s.limit64;
  auto percent = [](const Worst& w) {
    return 100.0 * static_cast<double>(w.inexact) / static_cast<double>(w.count);
  };
  std::printf("%-12s %9.4f %14.7g %8.4f%% %7.2f | %9.4f %24.17g %8.4f%% %7.2f%s\n", s.name, a.error, a.at,
              percent(a), nanoseconds<float>(f32), b.error, b.at, percent(b), nanoseconds<double>(f64),
              good ? "" : "  LIMIT PASSED");
  std::fflush(stdout);
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  bool all = false, failed = false;
  int64_t samples = 200000;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--all") == 0) all = true;
    else if (std::strcmp(argv[i], "--samples") == 0 && i + 1 < argc) samples = std::atoll(argv[++i]);
    else names.emplace_back(argv[i]);
  }
  std::printf("%s\n%-12s %9s %14s %9s %7s | %9s %24s %9s %7s\n", pb::kernels().isa, "", "ulp32", "at",
              "not near", "ns", "ulp64", "at", "not near", "ns");
  for (const Subject& s : kSubjects) {
    if (selected(s.name, names)) failed |= !check(s, all, samples);
  }
  return failed ? 1 : 0;
}
