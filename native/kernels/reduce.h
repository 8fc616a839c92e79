// Reductions: many elements to one, along chosen axes of a strided view.
//
// `axes` is a bit mask of the reduced axes; `out` is contiguous over the kept axes, in order. Empty inputs
// give the identity (0, 1, infinities, false/true); what torch refuses is refused by the caller. Functions
// return false, and write nothing, for a dtype that has no kernel. Results never depend on the number of threads.
#pragma once
#include <cstdint>

#include "kernels/table.h"

namespace pb {

struct SumState;

struct ReduceKernels {
  // Floats keep their type and follow torch's single-threaded cascade bit for bit; all others give int64.
  bool (*sum)(const View& in, uint64_t axes, void* out);
  bool (*prod)(const View& in, uint64_t axes, void* out);

  // Same dtype as the input. NaN wins; an empty group gives the type's lowest (amax) or highest (amin) value.
  bool (*amax)(const View& in, uint64_t axes, void* out);
  bool (*amin)(const View& in, uint64_t axes, void* out);

  // Along one axis: value (may be null) and index of the first extremum, NaN counting as the extremum.
  // axis -1 reduces everything and gives the index in row-major order. Groups must not be empty.
  bool (*max_index)(const View& in, int axis, void* values, int64_t* indices);
  bool (*min_index)(const View& in, int axis, void* values, int64_t* indices);

  bool (*any)(const View& in, uint64_t axes, bool* out);
  bool (*all)(const View& in, uint64_t axes, bool* out);
  bool (*count_nonzero)(const View& in, uint64_t axes, int64_t* out);

  // Sum of squared deviations / max(0, n - correction), accumulated in double; `mean` may be null.
  // Floats only. Empty groups give NaN. `in_order`: by torch's recurrence even where that is slow and only a mean
  // near 0 shows it.
  bool (*var)(const View& in, uint64_t axes, double correction, bool take_sqrt, bool in_order, void* out,
              void* mean);

  // (sum |x|^p)^(1/p); p = 0 counts nonzeros, +-infinity take the extremum of |x|. Floats only.
  bool (*norm)(const View& in, uint64_t axes, double p, void* out);

  // SumStream's parts; use the class below.
  void (*stream_add)(SumState& s, const void* block, int64_t count);
  void (*stream_merge)(SumState& s, const SumState& part);
  void (*stream_finish)(SumState& s, void* out);
};

const ReduceKernels& reduce_kernels();  // for this machine (PULLBACK_ISA=baseline forces the plain one)

// What a running contiguous sum remembers: four levels of 4 vectors of 32 bytes, and the unfinished end.
struct alignas(32) SumState {
  unsigned char levels[4 * 4 * 32];
  unsigned char tail[4 * 32];
  int64_t rows;  // rows (4 vectors each) taken so far
  int64_t tail_count;  // elements in `tail`
  int64_t n;  // elements of the whole sum
  int level_power;  // 2^level_power rows of a level make one of the next
  DType dtype;
};

// The sum of n consecutive elements, fed block by block, with the bits of ReduceKernels::sum over them.
//
// In parallel: cut the elements at multiples of chunk(n, dtype), feed each chunk to a SumStream of its own
// (begun with the same n), and merge() those into one stream in order. The last chunk may be short.
// The chunk is (4^level_power) rows of 128 bytes: 8192 float32 or 4096 float64 up to 2^24 (2^23) elements,
// four times as much for each further factor of 16.
class SumStream {
 public:
  void begin(int64_t n, DType dtype);  // dtype: Float32 or Float64
  void add(const void* block, int64_t count) { reduce_kernels().stream_add(state_, block, count); }
  void merge(const SumStream& part) { reduce_kernels().stream_merge(state_, part.state_); }
  void finish(void* out) { reduce_kernels().stream_finish(state_, out); }
  static int64_t chunk(int64_t n, DType dtype);

 private:
  SumState state_;
};

// Depth of the cascade: each of its four levels adds 2^(this) values of the one below.
int cascade_level_power(int64_t rows);

}  // namespace pb
