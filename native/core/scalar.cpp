#include "core/scalar.h"

#include <cmath>
#include <limits>
#include <type_traits>

#include "core/error.h"

namespace pb {
namespace {

// The C++ names that torch's message uses.
constexpr const char* kTypeNames[kDTypes] = {"bool",    "uint8_t",   "int8_t",        "int16_t", "int",
                                             "int64_t", "c10::Half", "c10::BFloat16", "float",   "double"};

}  // namespace

void store_scalar(const Scalar& s, DType d, void* to) {
  visit_dtype(d, [&]<class T>() {
    T& out = *static_cast<T*>(to);
    if constexpr (std::is_same_v<T, bool>) {
      out = s.kind == Scalar::Kind::Float ? s.d != 0 : s.i != 0;
    } else if constexpr (std::is_integral_v<T>) {
      if (s.kind != Scalar::Kind::Float) {
        out = static_cast<T>(s.i);
      } else {
        const bool fits = s.d >= -9223372036854775808.0 && s.d < 9223372036854775808.0;
        out = static_cast<T>(fits ? static_cast<int64_t>(s.d) : INT64_MIN);  // what x86 conversion gives
      }
    } else {
      out = static_cast<T>(s.as_double());
    }
  });
}

void require_fits(const Scalar& s, DType d) {
  visit_dtype(d, [&]<class T>() {
    using Limits = std::numeric_limits<T>;
    bool fits = true;
    if constexpr (std::is_same_v<T, float>) {
      fits = s.kind != Scalar::Kind::Float || !std::isfinite(s.d) || std::abs(s.d) <= double{Limits::max()};
    } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      constexpr auto high = static_cast<int64_t>(Limits::max());
      constexpr int64_t low = std::is_signed_v<T> ? static_cast<int64_t>(Limits::lowest()) : -high;
      if (s.kind != Scalar::Kind::Float) fits = !s.huge && s.i >= low && s.i <= high;
      else fits = s.d >= static_cast<double>(low) && s.d <= static_cast<double>(high);  // false for nan
    }
    if (!fits) {
      fail(ErrorKind::Runtime, "value cannot be converted to type ", kTypeNames[static_cast<int>(d)],
           " without overflow\nIt is ", s.as_double(), ": choose a type that holds it.");
    }
  });
}

Scalar load_scalar(DType d, const void* from) {
  Scalar s;
  visit_dtype(d, [&]<class T>() {
    const T v = *static_cast<const T*>(from);
    if constexpr (std::is_same_v<T, bool>) s = Scalar::of_bool(v);
    else if constexpr (std::is_integral_v<T>) s = Scalar::of_int(v);
    else s = Scalar::of_float(v);
  });
  return s;
}

}  // namespace pb
