// Shared by the reduction kernels, compiled once per instruction set: the cut of a plan into two-dimensional
// planes, and the work that may go to other threads.
#pragma once
#include <cstdint>
#include <memory>
#include <utility>

#include "kernels/reduce.h"
#include "kernels/reduce_plan.h"
#include "kernels/wide.h"
#include "runtime/threads.h"

namespace pb::PB_ISA {

// The entries of ReduceKernels that live in files of their own.
bool reduce_amax(const View& in, uint64_t axes, void* out);
bool reduce_amin(const View& in, uint64_t axes, void* out);
bool reduce_max_index(const View& in, int axis, void* values, int64_t* indices);
bool reduce_min_index(const View& in, int axis, void* values, int64_t* indices);
bool reduce_prod(const View& in, uint64_t axes, void* out);
bool reduce_any(const View& in, uint64_t axes, bool* out);
bool reduce_all(const View& in, uint64_t axes, bool* out);
bool reduce_count_nonzero(const View& in, uint64_t axes, int64_t* out);
bool reduce_var(const View& in, uint64_t axes, double correction, bool take_sqrt, bool in_order, void* out,
                void* mean);
bool reduce_norm(const View& in, uint64_t axes, double p, void* out);

namespace {

// About this many elements are worth a task of their own.
inline constexpr int64_t kGrain = 32768;

// The two fastest axes of a plan at one place of the others. Axis 0 is reduced wherever one of the two is.
template <class T, class A> struct Plane {
  const T* in;
  A* out;
  int64_t size[2];
  int64_t in_step[2];
  int64_t out_step[2];
};

template <class T, class A> Plane<T, A> first_plane(const ReducePlan& p, const T* in, A* out) {
  Plane<T, A> q{in, out, {p.shape[0], 1}, {p.in[0], 0}, {p.out[0], 0}};
  if (p.ndim > 1) {
    q.size[1] = p.shape[1];
    q.in_step[1] = p.in[1];
    q.out_step[1] = p.out[1];
  }
  if (q.out_step[0] != 0 && q.out_step[1] == 0) {
    std::swap(q.size[0], q.size[1]);
    std::swap(q.in_step[0], q.in_step[1]);
    std::swap(q.out_step[0], q.out_step[1]);
  }
  return q;
}

// Runs fn over every plane. Planes of one output come in order on one thread; different outputs go to
// different threads, the columns of a plane cut at multiples of 32 so that vector groups stay whole.
template <class T, class A, class F>
void for_each_plane(const ReducePlan& p, const T* in, A* out, const F& fn) {
  const Plane<T, A> whole = first_plane(p, in, out);
  const int outer = p.ndim < 2 ? p.ndim : 2;
  const int split = p.reduced > outer ? p.reduced : outer;
  const int64_t repeats = PlanWalk(p, outer, split).count();
  const int64_t places = PlanWalk(p, split, p.ndim).count();
  const bool columns = whole.out_step[0] == 0 && whole.out_step[1] != 0;
  int64_t width = whole.size[1];
  if (columns && whole.size[0] * width > kGrain) {
    width = ((kGrain / whole.size[0]) / 32 + 1) * 32;
    if (width > whole.size[1]) width = whole.size[1];
  }
  const int64_t cuts = (whole.size[1] + width - 1) / width;
  const int64_t work = whole.size[0] * width * repeats;
  const auto run = [&](int64_t begin, int64_t end) {
    PlanWalk place(p, split, p.ndim), repeat(p, outer, split);
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t cut = unit % cuts;
      if (unit == begin || cut == 0) place.seek(unit / cuts);
      Plane<T, A> q = whole;
      q.size[1] = cut == cuts - 1 ? whole.size[1] - cut * width : width;
      const int64_t in_at = place.in + cut * width * q.in_step[1];
      q.out = out + place.out + cut * width * q.out_step[1];
      repeat.seek(0);
      for (int64_t r = 0; r < repeats; ++r, repeat.next()) {
        q.in = in + in_at + repeat.in;
        fn(q);
      }
    }
  };
  if (places * cuts == 1) return run(0, 1);
  parallel_chunks(places * cuts, kGrain / (work + 1) + 1, run);
}

// One output over many elements, for operations whose order does not matter: pieces of the longest axis are
// reduced on their own, then combined in order. False if the plan is not of that kind.
template <class T, class A, class F, class C> bool split_single_output(const ReducePlan& p, const T* in,
                                                                       A* out, A identity, const F& fn,
                                                                       const C& combine) {
  if (p.reduced != p.ndim) return false;
  int64_t total = 1;
  int longest = 0;
  for (int d = 0; d < p.ndim; ++d) {
    total *= p.shape[d];
    if (p.shape[d] > p.shape[longest]) longest = d;
  }
  if (total < 2 * kGrain) return false;
  const int64_t length = p.shape[longest];
  const int64_t piece = (kGrain / (total / length) / 32 + 1) * 32;
  const int64_t pieces = (length + piece - 1) / piece;
  auto partial = std::make_unique<A[]>(pieces);
  parallel_chunks(pieces, 1, [&](int64_t begin, int64_t end) {
    ReducePlan part = p;
    for (int64_t i = begin; i < end; ++i) {
      part.shape[longest] = i == pieces - 1 ? length - i * piece : piece;
      partial[i] = identity;
      for_each_plane(part, in + i * piece * p.in[longest], &partial[i], fn);
    }
  });
  for (int64_t i = 0; i < pieces; ++i) *out = combine(*out, partial[i]);
  return true;
}

}  // namespace
}  // namespace pb::PB_ISA
