// Lines of a view along one axis, with the places of the same lines in a contiguous output.
#pragma once
#include <cstdint>

#include "kernels/reduce_plan.h"
#include "runtime/threads.h"

namespace pb {

class Lines {
 public:
  Lines(const View& in, int axis) {
    const int along = in.ndim == 0 ? -1 : axis;
    plan_lines(in, along, starts_);
    length = along < 0 ? 1 : in.shape[along];
    step = along < 0 ? 0 : in.strides[along];
    for (int d = along + 1; d < in.ndim && along >= 0; ++d) inner *= in.shape[d];
    for (int d = 0; d < starts_.ndim; ++d) count *= starts_.shape[d];
  }

  // fn(input offset, output offset) for every line, on all threads; `out_length` elements a line in the
  // output, `inner` elements apart. `cost` is the work of a line in elements.
  template <class F> void each(int64_t out_length, int64_t cost, const F& fn) const {
    if (count == 0) return;
    parallel_chunks(count, 32768 / (cost + 1) + 1, [&](int64_t begin, int64_t end) {
      PlanWalk walk(starts_, 0, starts_.ndim);
      walk.seek(begin);
      for (int64_t i = begin; i < end; ++i, walk.next()) {
        fn(walk.in, i / inner * out_length * inner + i % inner);
      }
    });
  }

  int64_t length, step, inner = 1, count = 1;

 private:
  ReducePlan starts_;
};

}  // namespace pb
