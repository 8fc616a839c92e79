// What every distribution draws with: uniforms in chunks, refusals in torch's words, choices by element type.
#pragma once
#include <algorithm>
#include <type_traits>
#include <utility>

#include "core/error.h"
#include "kernels/random.h"

namespace pb {

inline constexpr int kChunk = 512;  // elements made at a time, so that raw draws stay in L1; a multiple of 16

template <class... Parts> [[noreturn]] void refuse(const Parts&... parts) {
  fail(ErrorKind::Runtime, parts...);
}

[[noreturn]] inline void not_implemented(const char* kernel, DType d) {
  fail(ErrorKind::NotImplemented, '"', kernel, "\" not implemented for '", info(d).scalar_name, "'");
}

// Some of torch's texts name the C++ type.
inline const char* c_name(DType d) {
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

inline float unit_from(uint32_t bits) {
  return static_cast<float>(static_cast<int32_t>(bits & 0xffffffu)) * 0x1p-24f;
}
inline double unit_from(uint64_t bits) {
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

}  // namespace pb
