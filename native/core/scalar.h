// A Python number: its value and its kind, which takes part in type promotion.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace pb {

struct Scalar {
  enum class Kind : uint8_t { Bool, Int, Float };
  Kind kind = Kind::Int;
  bool huge = false;  // an Int of 2**63 or more: i holds its bits, and whole numbers wrap
  union {
    int64_t i = 0;
    double d;
  };

  static Scalar of_int(int64_t v) {
    Scalar s;
    s.i = v;
    return s;
  }
  static Scalar of_bool(bool v) {
    Scalar s = of_int(v);
    s.kind = Kind::Bool;
    return s;
  }
  static Scalar of_float(double v) {
    Scalar s;
    s.kind = Kind::Float;
    s.d = v;
    return s;
  }
  double as_double() const {
    if (kind == Kind::Float) return d;
    return huge ? static_cast<double>(static_cast<uint64_t>(i)) : static_cast<double>(i);
  }
  Category category() const { return static_cast<Category>(kind); }
};

// Writes the scalar as one element of type d (integers wrap, as in torch).
void store_scalar(const Scalar& s, DType d, void* to);
Scalar load_scalar(DType d, const void* from);

// Torch's refusal to fill with a number that the type does not hold (a negative one may wrap around).
void require_fits(const Scalar& s, DType d);

}  // namespace pb
