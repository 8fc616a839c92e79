#include "core/scalar.h"

#include <cmath>
#include <type_traits>

namespace pb {

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
