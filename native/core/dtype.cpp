#include "core/dtype.h"

namespace pb {

DType promote(DType a, DType b) {
  if (a == b) return a;
  const Category ca = info(a).category, cb = info(b).category;
  if (ca != cb) return ca > cb ? a : b;
  if (ca == Category::Integer) {
    // uint8 with a signed type needs a sign and one more bit: int16 at the least.
    if (a == DType::UInt8 && b == DType::Int8) return DType::Int16;
    if (b == DType::UInt8 && a == DType::Int8) return DType::Int16;
    if (a == DType::UInt8) return b;
    if (b == DType::UInt8) return a;
    return a > b ? a : b;
  }
  const bool half = a == DType::Float16 || b == DType::Float16;
  const bool brain = a == DType::BFloat16 || b == DType::BFloat16;
  if (half && brain) return DType::Float32;
  return a > b ? a : b;
}

}  // namespace pb
