// Sums. A float sum keeps four running levels: 2^k rows are added up, that value enters the next level, and
// so on, each row being four vectors side by side. It is torch's order of additions, so the bits agree.
#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/reduce_driver.h"

namespace pb::PB_ISA {
namespace {

// Four cascades side by side, one per lane group of a row. E is a number or a vector of them. The levels live
// with the caller: `level[j][k]` is what level j has gathered for group k, `rows` the rows taken so far.
template <class E> struct Cascade {
  E (*level)[4];
  int64_t rows;
  int power;

  // A finished value of level 1 is in place; whole levels move up.
  void promote() {
    for (int j = 1; j < 3 && (rows & (((int64_t{1} << power) - 1) << (j * power))) == 0; ++j) {
      for (int k = 0; k < 4; ++k) {
        level[j + 1][k] += level[j][k];
        level[j][k] = E{};
      }
    }
  }

  // at(i, k): element k of row i, i counted from this call.
  template <class At> void add(int64_t count, const At& at) {
    const int64_t step = int64_t{1} << power;
    int64_t i = 0;
    while (i < count) {
      const int64_t offset = rows & (step - 1), end = std::min(count, i + step - offset);
      E a{}, b{}, c{}, d{};
      if (offset != 0) a = level[0][0], b = level[0][1], c = level[0][2], d = level[0][3];
      rows += end - i;
      for (; i < end; ++i) {
        a += at(i, 0);
        b += at(i, 1);
        c += at(i, 2);
        d += at(i, 3);
      }
      if ((rows & (step - 1)) != 0) {
        level[0][0] = a, level[0][1] = b, level[0][2] = c, level[0][3] = d;
        return;
      }
      if (offset != 0) level[0][0] = level[0][1] = level[0][2] = level[0][3] = E{};
      level[1][0] += a;
      level[1][1] += b;
      level[1][2] += c;
      level[1][3] += d;
      promote();
    }
  }

  void collapse() {
    for (int j = 1; j < 4; ++j) {
      for (int k = 0; k < 4; ++k) level[0][k] += level[j][k];
    }
  }
};

// A cascade of its own over `count` rows of four; its totals are in level[0].
template <class E> struct Totals {
  E level[4][4] = {};

  template <class At> Totals(int64_t count, const At& at) {
    Cascade<E> sums{level, 0, cascade_level_power(count)};
    sums.add(count, at);
    sums.collapse();
  }
};

// One run of `count` values read as rows of four; the rest joins the first lane.
template <class E, class At> E run_total(int64_t count, const At& at) {
  const int64_t rows = count / 4;
  E total{}, b{}, c{}, d{};
  if (rows <= 16) {  // no level above the first would hold more than one value
    for (int64_t i = 0; i < rows * 4; i += 4) {
      total += at(i);
      b += at(i + 1);
      c += at(i + 2);
      d += at(i + 3);
    }
  } else {
    const Totals<E> sums(rows, [&](int64_t i, int k) { return at(4 * i + k); });
    total = sums.level[0][0];
    b = sums.level[0][1];
    c = sums.level[0][2];
    d = sums.level[0][3];
  }
  for (int64_t i = rows * 4; i < count; ++i) total += at(i);
  total += b;
  total += c;
  total += d;
  return total;
}

template <class T> T strided_run(const T* in, int64_t step, int64_t n) {
  return run_total<T>(n, [&](int64_t i) { return in[i * step]; });
}

template <class T> T add_lanes(T start, const Wide<T>& v) {
  for (int k = 0; k < kWide<T>; ++k) start += v[k];
  return start;
}

template <class T> T contiguous_run(const T* in, int64_t n) {
  const int64_t vectors = n / kWide<T>;
  const Wide<T> total = run_total<Wide<T>>(vectors, [&](int64_t i) { return load_wide(in + i * kWide<T>); });
  T end = 0;
  for (int64_t i = vectors * kWide<T>; i < n; ++i) end += in[i];
  return add_lanes(end, total);
}

template <class T> void outer_vectors(const Plane<T, T>& p) {
  const int64_t lanes = kWide<T>, step = p.in_step[0], os = p.out_step[1];
  const auto put = [&](int64_t j, const Wide<T>& v) {
    for (int k = 0; k < lanes; ++k) p.out[(j + k) * os] += v[k];
  };
  int64_t j = 0;
  for (; j + 4 * lanes <= p.size[1]; j += 4 * lanes) {
    const T* in = p.in + j;
    const Totals<Wide<T>> sums(p.size[0],
                               [&](int64_t i, int k) { return load_wide(in + i * step + k * lanes); });
    for (int k = 0; k < 4; ++k) put(j + k * lanes, sums.level[0][k]);
  }
  for (; j + lanes <= p.size[1]; j += lanes) {
    put(j, run_total<Wide<T>>(p.size[0], [&, in = p.in + j](int64_t i) { return load_wide(in + i * step); }));
  }
  for (; j < p.size[1]; ++j) p.out[j * os] += strided_run(p.in + j, step, p.size[0]);
}

template <class T> void outer_scalars(const Plane<T, T>& p) {
  int64_t j = 0;
  for (; j + 4 <= p.size[1]; j += 4) {
    const T* in = p.in + j * p.in_step[1];
    const Totals<T> sums(p.size[0],
                         [&](int64_t i, int k) { return in[i * p.in_step[0] + k * p.in_step[1]]; });
    for (int k = 0; k < 4; ++k) p.out[(j + k) * p.out_step[1]] += sums.level[0][k];
  }
  for (; j < p.size[1]; ++j) {
    p.out[j * p.out_step[1]] += strided_run(p.in + j * p.in_step[1], p.in_step[0], p.size[0]);
  }
}

enum class Path { Copy, InnerVectors, OuterVectors, InnerScalars, OuterScalars };

template <class T> Path path_of(const Plane<T, T>& p) {
  if (p.out_step[0] != 0) return Path::Copy;
  if (p.in_step[0] == 1 && p.size[0] >= kWide<T>) return Path::InnerVectors;
  if (p.in_step[1] == 1 && p.size[1] >= kWide<T>) return Path::OuterVectors;
  return p.in_step[0] < p.in_step[1] ? Path::InnerScalars : Path::OuterScalars;
}

template <class T> T row_total(const Plane<T, T>& p, Path path, int64_t j) {
  const T* in = p.in + j * p.in_step[1];
  return path == Path::InnerVectors ? contiguous_run(in, p.size[0])
                                    : strided_run(in, p.in_step[0], p.size[0]);
}

// The path is chosen for the whole plane, before its columns are cut for threads.
template <class T> void sum_plane(const Plane<T, T>& p, Path path) {
  switch (path) {
    case Path::Copy:
      for (int64_t j = 0; j < p.size[1]; ++j) {
        for (int64_t i = 0; i < p.size[0]; ++i) {
          p.out[i * p.out_step[0] + j * p.out_step[1]] += p.in[i * p.in_step[0] + j * p.in_step[1]];
        }
      }
      break;
    case Path::OuterVectors: outer_vectors(p); break;
    case Path::OuterScalars: outer_scalars(p); break;
    default:
      for (int64_t j = 0; j < p.size[1]; ++j) p.out[j * p.out_step[1]] += row_total(p, path, j);
  }
}

// A long contiguous run whose chunks are summed by several threads, with contiguous_run's bits.
template <class T> T parallel_run(const T* in, int64_t n) {
  const DType dtype = dtype_of<T>();
  const int64_t chunk = SumStream::chunk(n, dtype), chunks = (n + chunk - 1) / chunk;
  std::vector<SumStream> parts(chunks);
  parallel_chunks(chunks, std::max<int64_t>(1, kGrain / chunk), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      parts[i].begin(n, dtype);
      parts[i].add(in + i * chunk, std::min(chunk, n - i * chunk));
    }
  });
  SumStream whole;
  whole.begin(n, dtype);
  for (const SumStream& part : parts) whole.merge(part);
  T total;
  whole.finish(&total);
  return total;
}

// All axes reduced and much to add: rows are independent, and their totals are added in order.
template <class T> bool sum_to_one(const ReducePlan& plan, const T* in, T* out) {
  if (plan.reduced != plan.ndim || num_threads() == 1) return false;
  const Plane<T, T> first = first_plane(plan, in, out);
  const Path path = path_of(first);
  if (path != Path::InnerVectors && path != Path::InnerScalars) return false;
  const int outer = plan.ndim < 2 ? plan.ndim : 2;
  const int64_t planes = PlanWalk(plan, outer, plan.ndim).count(), rows = first.size[1] * planes;
  if (rows * first.size[0] < 2 * kGrain) return false;
  if (rows < 8 && path == Path::InnerVectors) {
    PlanWalk walk(plan, 1, plan.ndim);
    walk.seek(0);
    for (int64_t r = 0; r < rows; ++r, walk.next()) *out += parallel_run(in + walk.in, first.size[0]);
    return true;
  }
  std::vector<T> totals(rows);
  parallel_chunks(rows, kGrain / (first.size[0] + 1) + 1, [&](int64_t begin, int64_t end) {
    PlanWalk walk(plan, outer, plan.ndim);
    for (int64_t r = begin; r < end; ++r) {
      const int64_t j = r % first.size[1];
      if (r == begin || j == 0) walk.seek(r / first.size[1]);
      Plane<T, T> q = first;
      q.in = in + walk.in;
      totals[r] = row_total(q, path, j);
    }
  });
  for (const T total : totals) *out += total;
  return true;
}

template <class T> void sum_floats(const ReducePlan& plan, const T* in, T* out) {
  if (sum_to_one(plan, in, out)) return;
  const Path path = path_of(first_plane(plan, in, out));
  for_each_plane(plan, in, out, [path](const Plane<T, T>& p) { sum_plane(p, path); });
}

template <class T> void sum_integers(const ReducePlan& plan, const T* in, int64_t* out) {
  const auto fn = [](const Plane<T, int64_t>& p) {
    if (p.out_step[0] == 0 && p.in_step[0] == 1) {
      for (int64_t j = 0; j < p.size[1]; ++j) {
        const T* row = p.in + j * p.in_step[1];
        uint64_t total = 0;  // unsigned: overflow wraps
        for (int64_t i = 0; i < p.size[0]; ++i) total += static_cast<uint64_t>(static_cast<int64_t>(row[i]));
        p.out[j * p.out_step[1]] += total;
      }
      return;
    }
    for (int64_t i = 0; i < p.size[0]; ++i) {
      int64_t* to = p.out + i * p.out_step[0];
      const T* from = p.in + i * p.in_step[0];
      for (int64_t j = 0; j < p.size[1]; ++j) {
        uint64_t value = static_cast<uint64_t>(static_cast<int64_t>(from[j * p.in_step[1]]));
        to[j * p.out_step[1]] += value;
      }
    }
  };
  const auto combine = [](int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  };
  if (!split_single_output(plan, in, out, int64_t{0}, fn, combine)) for_each_plane(plan, in, out, fn);
}

// How many elements lie in one run of memory, in order; -1 if they do not.
int64_t run_length(const View& in) {
  int64_t n = 1;
  for (int d = in.ndim - 1; d >= 0; --d) {
    if (in.shape[d] == 1) continue;
    if (in.strides[d] != n) return -1;
    n *= in.shape[d];
  }
  return n;
}

bool reduce_sum(const View& in, uint64_t axes, void* out) {
  const int64_t outputs = reduced_elements(in, axes);
  const int64_t run = outputs == 1 ? run_length(in) : -1;
  return visit_dtype(in.dtype, [&]<class T>() {
    constexpr bool kFloat = std::is_floating_point_v<T>;
    using Out = std::conditional_t<kFloat, T, int64_t>;
    Out* to = static_cast<Out*>(out);
    if constexpr (kFloat) {  // what a plan would come to, without making one
      if (run > 0 && run <= kGrain) {
        const T* from = static_cast<const T*>(in.data);
        *to = Out{0} + (run >= kWide<T> ? contiguous_run(from, run) : strided_run(from, 1, run));
        return;
      }
    }
    std::fill_n(to, outputs, Out{0});
    if (view_elements(in) == 0) return;
    ReducePlan plan;
    plan_reduction(in, axes, plan);
    if constexpr (kFloat) {
      sum_floats(plan, static_cast<const T*>(in.data), to);
    } else {
      sum_integers(plan, static_cast<const T*>(in.data), to);
    }
  });
}

// The levels of a stream, read in place; the type may alias the bytes they are kept in.
template <class T> using Kept [[gnu::may_alias]] = Wide<T>;
template <class T> Kept<T> (*levels_of(SumState& s))[4] { return reinterpret_cast<Kept<T>(*)[4]>(s.levels); }
template <class T> const Kept<T> (*levels_of(const SumState& s))[4] {
  return reinterpret_cast<const Kept<T>(*)[4]>(s.levels);
}

template <class T> void add_block(SumState& s, const T* in, int64_t count) {
  constexpr int64_t kRow = 4 * kWide<T>;
  Cascade<Kept<T>> sums{levels_of<T>(s), s.rows, s.level_power};
  if (s.tail_count > 0) {  // of an earlier block: its row is filled up first
    const int64_t taken = std::min(kRow - s.tail_count, count);
    std::memcpy(s.tail + s.tail_count * sizeof(T), in, taken * sizeof(T));
    s.tail_count += taken;
    if (s.tail_count < kRow) return;
    T row[kRow];
    std::memcpy(row, s.tail, sizeof row);
    sums.add(1, [&](int64_t, int k) { return load_wide(row + k * kWide<T>); });
    in += taken;
    count -= taken;
  }
  const int64_t rows = count / kRow;
  sums.add(rows, [&](int64_t i, int k) { return load_wide(in + i * kRow + k * kWide<T>); });
  s.rows = sums.rows;
  s.tail_count = count - rows * kRow;
  std::memcpy(s.tail, in + rows * kRow, s.tail_count * sizeof(T));
}

// Chunks are whole values of the third level, so adding levels to levels repeats what one pass does.
template <class T> void merge_part(SumState& s, const SumState& part) {
  auto* level = levels_of<T>(s);
  const auto* more = levels_of<T>(part);
  for (int j = 0; j < 4; ++j) {
    for (int k = 0; k < 4; ++k) level[j][k] += more[j][k];
  }
  s.rows += part.rows;
  const int64_t third = int64_t{1} << (3 * s.level_power);
  if (part.rows > 0 && (s.rows & (third - 1)) == 0) {
    for (int k = 0; k < 4; ++k) {
      level[3][k] += level[2][k];
      level[2][k] = Wide<T>{};
    }
  }
  s.tail_count = part.tail_count;
  std::memcpy(s.tail, part.tail, sizeof(s.tail));
}

template <class T> T finish(SumState& s) {
  T tail[4 * kWide<T>];
  std::memcpy(tail, s.tail, sizeof(tail));
  if (s.n < kWide<T>) return T{0} + strided_run(tail, 1, s.tail_count);
  Cascade<Kept<T>> sums{levels_of<T>(s), s.rows, s.level_power};
  sums.collapse();
  Wide<T> total = sums.level[0][0];
  int64_t i = 0;
  for (; i + kWide<T> <= s.tail_count; i += kWide<T>) total += load_wide(tail + i);
  for (int k = 1; k < 4; ++k) total += sums.level[0][k];
  T end = 0;
  for (; i < s.tail_count; ++i) end += tail[i];
  return T{0} + add_lanes(end, total);
}

void stream_add(SumState& s, const void* block, int64_t count) {
  if (s.dtype == DType::Float64) return add_block(s, static_cast<const double*>(block), count);
  add_block(s, static_cast<const float*>(block), count);
}

void stream_merge(SumState& s, const SumState& part) {
  s.dtype == DType::Float64 ? merge_part<double>(s, part) : merge_part<float>(s, part);
}

void stream_finish(SumState& s, void* out) {
  if (s.dtype == DType::Float64) {
    *static_cast<double*>(out) = finish<double>(s);
  } else {
    *static_cast<float*>(out) = finish<float>(s);
  }
}

}  // namespace

const ReduceKernels& reduce_table() {
  static constexpr ReduceKernels kTable = {
      reduce_sum,       reduce_prod, reduce_amax,  reduce_amin,          reduce_max_index,
      reduce_min_index, reduce_any,  reduce_all,   reduce_count_nonzero, reduce_var,
      reduce_norm,      stream_add,  stream_merge, stream_finish,
  };
  return kTable;
}

}  // namespace pb::PB_ISA
