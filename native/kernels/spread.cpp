// One element over a block: what a number and a broadcast column are to kernels that take arrays.
#include <algorithm>
#include <cstdint>

#include "kernels/table.h"

namespace pb::PB_ISA {
namespace {

template <class T> void fill(void* to, const void* element, int64_t n) {
  std::fill_n(static_cast<T*>(to), n, *static_cast<const T*>(element));
}

}  // namespace

void spread(void* to, const void* element, int64_t width, int64_t n) {
  switch (width) {
    case 1: return fill<uint8_t>(to, element, n);
    case 2: return fill<uint16_t>(to, element, n);
    case 4: return fill<uint32_t>(to, element, n);
    default: return fill<uint64_t>(to, element, n);
  }
}

}  // namespace pb::PB_ISA
