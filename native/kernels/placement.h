// Elements of a tensor chosen by positions, and where each lies on the other side. For kernel files only.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "kernels/index.h"
#include "kernels/walk.h"

namespace pb {

// Where the b-th position lies: from an index tensor read in place, or from offsets worked out before.
struct PositionReader {
  const int64_t* data = nullptr;
  int64_t step = 1;
  int64_t size = 0;   // added to negative positions
  int64_t scale = 1;

  int64_t operator[](int64_t b) const {
    const int64_t i = data[b * step];
    return (i + ((i >> 63) & size)) * scale;
  }
  bool plain() const { return step == 1 && size == 0 && scale == 1; }
};

struct Positions : PositionReader {
  int64_t n = 0;
  std::vector<int64_t> held;

  PositionReader reader() const { return *this; }
  void hold(std::vector<int64_t> offsets) {
    held = std::move(offsets);
    data = held.data();
    step = scale = 1;
    size = 0;
  }
  // Once for all rows that read the same positions.
  void resolve() {
    if (plain()) return;
    std::vector<int64_t> offsets(static_cast<size_t>(n));
    for (int64_t b = 0; b < n; ++b) offsets[static_cast<size_t>(b)] = (*this)[b];
    hold(std::move(offsets));
  }
};

// Self and the other side (a result, or values) as three nested walks: before, positions, after.
// Operand 0 is self, operand 1 the other side. The positions' places on the other side are b * other_step,
// or other_at[b] where they are not evenly spaced.
struct Placement {
  Walk<2> before, after;
  Positions positions;
  int64_t other_step = 0;
  std::vector<int64_t> other_at;

  int64_t other(int64_t b) const {
    return other_at.empty() ? b * other_step : other_at[static_cast<size_t>(b)];
  }
  bool single() const { return after.ndim == 1 && after.inner() == 1; }  // one element at each position
  bool empty() const { return before.count() == 0 || after.count() == 0 || positions.n == 0; }
};

// Checks the positions and lays everything out. other_strides belong to the axes of plan.shape.
IndexFault place(const View& self, std::span<const std::optional<View>> indices, const IndexPlan& plan,
                 const int64_t* other_strides, bool wrap, Placement* to);

// out = self at the positions.
void gather_placed(const Placement& p, const View& self, const View& out);

// Where each element of a walk starts, in order.
std::vector<int64_t> offsets_of(const Walk<1>& w);
Walk<1> walk_of(const View& v);
std::vector<int64_t> broadcast_strides(const View& v, const std::vector<int64_t>& shape);

// fn(at, n) over the pieces of `after` at one position; `at` = starts in self and in the other side.
template <class F> inline void after_rows(const Placement& p, int64_t self_at, int64_t other_at, F&& fn) {
  if (p.after.ndim == 1) {
    const int64_t at[2] = {self_at, other_at};
    return fn(at, p.after.inner());
  }
  walk_all(p.after, [&](const int64_t* at, int64_t n) {
    const int64_t moved[2] = {at[0] + self_at, at[1] + other_at};
    fn(moved, n);
  });
}

// put_placed where there is one element at each position. Copies: for all that the compiler knows, a store of
// elements changes what lies in the placement.
template <class T, class Put> void put_single(const Placement& p, T* self, const T* values, Put put) {
  const PositionReader at = p.positions.reader();
  const int64_t n = p.positions.n, step = p.other_step;
  if (!p.other_at.empty()) {
    const int64_t* others = p.other_at.data();
    for (int64_t b = 0; b < n; ++b) self[at[b]] = put(self[at[b]], values[others[b]]);
  } else if (at.plain() && step == 1) {
    for (int64_t b = 0; b < n; ++b) self[at.data[b]] = put(self[at.data[b]], values[b]);
  } else {
    for (int64_t b = 0; b < n; ++b) {
      T& place = self[at[b]];
      place = put(place, values[b * step]);
    }
  }
}

// put(self element, value) for every element, in the order of the positions for each place of self.
template <class T, class Put> void put_placed(const Placement& p, T* self, const T* values, Put put) {
  if (p.empty()) return;
  const int64_t by_self = p.after.inner_stride(0), by_value = p.after.inner_stride(1);
  // Within a row of self, columns [from, to) of the innermost axis.
  auto rows = [&](int64_t first, int64_t last, int64_t from, int64_t to) {
    walk_rows(p.before, first, last, [&](const int64_t* start, int64_t) {
      if (p.single()) return put_single(p, self + start[0], values + start[1], put);
      for (int64_t b = 0; b < p.positions.n; ++b)
        after_rows(p, start[0] + p.positions[b], start[1] + p.other(b), [&](const int64_t* at, int64_t) {
          const int64_t n = to - from, step = by_self, value_step = by_value;
          T* s = self + at[0] + from * step;
          const T* v = values + at[1] + from * value_step;
          if (step == 1 && value_step == 1) {
            for (int64_t i = 0; i < n; ++i) s[i] = put(s[i], v[i]);
          } else if (step == 1 && value_step == 0) {
            const T value = *v;
            for (int64_t i = 0; i < n; ++i) s[i] = put(s[i], value);
          } else {
            for (int64_t i = 0; i < n; ++i) s[i * step] = put(s[i * step], v[i * value_step]);
          }
        });
    });
  };
  const int64_t outer = row_count(p.before), inner = p.after.inner();
  const int64_t total = outer * p.positions.n * p.after.count();
  if (total <= 2 * kMoveGrain) return rows(0, outer, 0, inner);
  if (outer > 1) {
    const int64_t each = total / outer;
    parallel_chunks(outer, each >= kMoveGrain ? 1 : (kMoveGrain + each - 1) / each,
                    [&](int64_t b, int64_t e) { rows(b, e, 0, inner); });
  } else {  // a line of memory is the least that is worth a thread of its own
    parallel_chunks(inner, std::max<int64_t>(64, (inner + 15) / 16),
                    [&](int64_t b, int64_t e) { rows(0, 1, b, e); });
  }
}

}  // namespace pb
