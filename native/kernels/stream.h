// Writing past the caches: what is larger than they are need not be fetched from memory to be overwritten.
#pragma once
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace pb {

// To be called once after such writes, by the thread that made them, before others read.
inline void end_stream() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace pb
