// How a value joins the one that is already there. Integers wrap, as torch's do. For kernel files only.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace pb {

struct SetOp {
  template <class T> static T join(T, T b) { return b; }
};

struct AddOp {
  template <class T> static T join(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) return a + b;
    else if constexpr (std::is_same_v<T, bool>) return a || b;
    else return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  }
  template <class T> static T identity() { return T(0); }
};

struct ProdOp {
  template <class T> static T join(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) return a * b;
    else if constexpr (std::is_same_v<T, bool>) return a && b;
    else return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  }
  template <class T> static T identity() { return T(1); }
};

// A NaN on either side stays.
struct AmaxOp {
  template <class T> static T join(T a, T b) { return a != a ? a : b != b ? b : a < b ? b : a; }
  template <class T> static T identity() {
    if constexpr (std::is_floating_point_v<T>) return -std::numeric_limits<T>::infinity();
    else return std::numeric_limits<T>::lowest();
  }
};
struct AminOp {
  template <class T> static T join(T a, T b) { return a != a ? a : b != b ? b : b < a ? b : a; }
  template <class T> static T identity() {
    if constexpr (std::is_floating_point_v<T>) return std::numeric_limits<T>::infinity();
    else return std::numeric_limits<T>::max();
  }
};

template <class T> T mean_of(T sum, int64_t n) {
  if constexpr (std::is_floating_point_v<T>) return sum / static_cast<T>(n);
  else if constexpr (std::is_same_v<T, bool>) return n == 1 ? sum : false;
  else {
    const int64_t s = static_cast<int64_t>(sum), q = s / n;
    return static_cast<T>(s % n != 0 && s < 0 ? q - 1 : q);  // towards minus infinity
  }
}

}  // namespace pb
