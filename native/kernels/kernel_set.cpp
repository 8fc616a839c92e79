// The choice of an instruction set, made once.
#include <cstdlib>
#include <cstring>

#include "kernels/table.h"

namespace pb {

namespace baseline {
std::span<const BlockRow> elementwise_rows();
BlockFn cast_row(DType from, DType to);
bool all_finite(DType dtype, const void* data, int64_t n);
void spread(void* to, const void* element, int64_t width, int64_t n);
}  // namespace baseline

#if defined(__x86_64__)
namespace avx2 {
std::span<const BlockRow> elementwise_rows();
BlockFn cast_row(DType from, DType to);
bool all_finite(DType dtype, const void* data, int64_t n);
void spread(void* to, const void* element, int64_t width, int64_t n);
}  // namespace avx2
#endif
#if defined(PB_HAVE_AVX512)
namespace avx512 {
std::span<const BlockRow> elementwise_rows();
BlockFn cast_row(DType from, DType to);
bool all_finite(DType dtype, const void* data, int64_t n);
void spread(void* to, const void* element, int64_t width, int64_t n);
}  // namespace avx512
#endif

static KernelSet choose() {
#if defined(__x86_64__)
  const char* forced = std::getenv("PULLBACK_ISA");
  const bool plain = forced != nullptr && std::strcmp(forced, "baseline") == 0;
  if (!plain && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
#if defined(PB_HAVE_AVX512)
    // The same operations on wider registers, hence the same bits. Processors before those with VBMI2 lower their
    // clock for such registers, also for whatever runs beside; they keep AVX2.
    const bool narrow = forced != nullptr && std::strcmp(forced, "avx2") == 0;
    if (!narrow && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi2")) {
      return {"avx512", avx512::elementwise_rows(), avx512::cast_row, avx512::all_finite, avx512::spread};
    }
#endif
    return {"avx2", avx2::elementwise_rows(), avx2::cast_row, avx2::all_finite, avx2::spread};
  }
#endif
  return {"baseline", baseline::elementwise_rows(), baseline::cast_row, baseline::all_finite,
          baseline::spread};
}

const KernelSet& kernels() {
  static const KernelSet set = choose();
  return set;
}

}  // namespace pb
