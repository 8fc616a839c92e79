#include "kernels/reduce.h"
#include "kernels/rows.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

namespace pb {

namespace baseline {
const ReduceKernels& reduce_table();
const RowKernels& row_table();
}  // namespace baseline
#if defined(__x86_64__)
namespace avx2 {
const ReduceKernels& reduce_table();
const RowKernels& row_table();
}  // namespace avx2
#endif

namespace {

#if defined(__x86_64__)
bool use_avx2() {
  const char* forced = std::getenv("PULLBACK_ISA");
  const bool plain = forced && std::strcmp(forced, "baseline") == 0;
  return !plain && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

int64_t row_elements(DType d) { return 4 * 32 / size_of(d); }

}  // namespace

#if defined(__x86_64__)
#define PB_CHOOSE(table) (use_avx2() ? avx2::table() : baseline::table())
#else
#define PB_CHOOSE(table) baseline::table()
#endif

const ReduceKernels& reduce_kernels() {
  static const ReduceKernels& chosen = PB_CHOOSE(reduce_table);
  return chosen;
}

const RowKernels& row_kernels() {
  static const RowKernels& chosen = PB_CHOOSE(row_table);
  return chosen;
}

#undef PB_CHOOSE

int cascade_level_power(int64_t rows) {
  const int log = rows <= 2 ? 1 : std::bit_width(static_cast<uint64_t>(rows - 1));
  return std::max(4, log / 4);
}

void SumStream::begin(int64_t n, DType dtype) {
  std::memset(&state_, 0, sizeof(state_));
  state_.n = n;
  state_.dtype = dtype;
  state_.level_power = cascade_level_power(n / row_elements(dtype));
}

int64_t SumStream::chunk(int64_t n, DType dtype) {
  const int64_t row = row_elements(dtype);
  return row << (2 * cascade_level_power(n / row));
}

}  // namespace pb
