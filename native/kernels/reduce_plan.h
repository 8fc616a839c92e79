// The order in which a reduction visits its input. Floating-point sums depend on it, so it is torch's:
// reduced axes first, then by stride; neighbours that are one run of memory become one axis.
#pragma once
#include <cstdint>

#include "kernels/table.h"

namespace pb {

inline constexpr int kMaxReduceDims = 64;

// Axis 0 is the fastest. Steps are in elements; out[d] == 0 marks a reduced axis, and those come first.
// Always at least one axis (a tensor without axes is one axis of size 1).
struct ReducePlan {
  int ndim;
  int reduced;       // how many leading axes are reduced
  int64_t shape[kMaxReduceDims];
  int64_t in[kMaxReduceDims];
  int64_t out[kMaxReduceDims];
};

// The output of a reduction over `axes` has this many elements (1 when every axis is reduced).
int64_t reduced_elements(const View& in, uint64_t axes);
int64_t view_elements(const View& in);

// `out` is contiguous over the kept axes in order. The view must not be empty.
void plan_reduction(const View& in, uint64_t axes, ReducePlan& plan);

// The axes of a view without `axis` (all of them for -1), last axis first: the starts of the lines along it,
// in row-major order. The plan has no axes where none is left.
void plan_lines(const View& in, int axis, ReducePlan& plan);

// Walks axes [first, last) of a plan in order and keeps the two offsets.
class PlanWalk {
 public:
  PlanWalk(const ReducePlan& plan, int first, int last) : plan_(plan), first_(first), last_(last) {}

  int64_t count() const {
    int64_t n = 1;
    for (int d = first_; d < last_; ++d) n *= plan_.shape[d];
    return n;
  }
  void seek(int64_t position) {
    in = out = 0;
    for (int d = first_; d < last_; ++d) {
      at_[d] = position % plan_.shape[d];
      position /= plan_.shape[d];
      in += at_[d] * plan_.in[d];
      out += at_[d] * plan_.out[d];
    }
  }
  void next() {
    for (int d = first_; d < last_; ++d) {
      in += plan_.in[d];
      out += plan_.out[d];
      if (++at_[d] < plan_.shape[d]) return;
      in -= plan_.in[d] * plan_.shape[d];
      out -= plan_.out[d] * plan_.shape[d];
      at_[d] = 0;
    }
  }

  int64_t in = 0, out = 0;

 private:
  const ReducePlan& plan_;
  int first_, last_;
  int64_t at_[kMaxReduceDims];
};

}  // namespace pb
