#include "kernels/reduce_plan.h"

#include <utility>

namespace pb {
namespace {

bool in_mask(uint64_t axes, int d) { return (axes >> d) & 1; }

// 1: axis a must come after axis b; -1: before; 0: either way (the order of the shape then stays).
int compare(const ReducePlan& p, int a, int b) {
  if ((p.out[a] == 0) != (p.out[b] == 0)) return p.out[b] == 0 ? 1 : -1;
  for (const int64_t* step : {p.out, p.in}) {
    if (step[a] == 0 || step[b] == 0) continue;
    if (step[a] != step[b]) return step[a] < step[b] ? -1 : 1;
    if (p.shape[a] > p.shape[b]) return 1;
  }
  return 0;
}

void swap_axes(ReducePlan& p, int a, int b) {
  std::swap(p.shape[a], p.shape[b]);
  std::swap(p.in[a], p.in[b]);
  std::swap(p.out[a], p.out[b]);
}

// Insertion sort that passes over ambiguous pairs; a plain sort would settle those differently.
void sort_axes(ReducePlan& p) {
  for (int i = 1; i < p.ndim; ++i) {
    int moving = i;
    for (int before = i - 1; before >= 0; --before) {
      const int order = compare(p, before, moving);
      if (order < 0) break;
      if (order > 0) {
        swap_axes(p, before, moving);
        moving = before;
      }
    }
  }
}

bool mergeable(const ReducePlan& p, int a, int b) {
  if (p.shape[a] == 1 || p.shape[b] == 1) return true;
  return p.shape[a] * p.in[a] == p.in[b] && p.shape[a] * p.out[a] == p.out[b];
}

void merge_axes(ReducePlan& p) {
  int last = 0;
  for (int d = 1; d < p.ndim; ++d) {
    if (mergeable(p, last, d)) {
      if (p.shape[last] == 1) {
        p.in[last] = p.in[d];
        p.out[last] = p.out[d];
      }
      p.shape[last] *= p.shape[d];
    } else {
      ++last;
      p.shape[last] = p.shape[d];
      p.in[last] = p.in[d];
      p.out[last] = p.out[d];
    }
  }
  p.ndim = last + 1;
}

}  // namespace

int64_t view_elements(const View& in) {
  int64_t n = 1;
  for (int d = 0; d < in.ndim; ++d) n *= in.shape[d];
  return n;
}

int64_t reduced_elements(const View& in, uint64_t axes) {
  int64_t n = 1;
  for (int d = 0; d < in.ndim; ++d) {
    if (!in_mask(axes, d)) n *= in.shape[d];
  }
  return n;
}

void plan_reduction(const View& in, uint64_t axes, ReducePlan& p) {
  p.ndim = in.ndim;
  int64_t step = 1;
  for (int d = in.ndim - 1; d >= 0; --d) {
    const int at = in.ndim - 1 - d;  // the last axis is the fastest until the strides say otherwise
    p.shape[at] = in.shape[d];
    p.in[at] = in.strides[d];
    p.out[at] = in_mask(axes, d) ? 0 : step;
    if (!in_mask(axes, d)) step *= in.shape[d];
  }
  if (p.ndim == 0) {
    p.ndim = 1;
    p.shape[0] = 1;
    p.in[0] = p.out[0] = 0;
  }
  sort_axes(p);
  merge_axes(p);
  p.reduced = 0;
  while (p.reduced < p.ndim && p.out[p.reduced] == 0) ++p.reduced;
}

void plan_lines(const View& in, int axis, ReducePlan& p) {
  p.ndim = p.reduced = 0;
  int64_t step = 1;
  for (int d = in.ndim - 1; d >= 0; --d) {
    if (d == axis) continue;
    p.shape[p.ndim] = in.shape[d];
    p.in[p.ndim] = in.strides[d];
    p.out[p.ndim++] = step;
    step *= in.shape[d];
  }
}

}  // namespace pb
