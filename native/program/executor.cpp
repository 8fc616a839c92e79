// Runs a bound program: fused elementwise steps block by block over the pool, kernel steps one by one.
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>

#include "core/small.h"
#include "kernels/reduce.h"
#include "kernels/stream.h"
#include "kernels/table.h"
#include "program/bound.h"
#include "runtime/gil.h"
#include "runtime/threads.h"

namespace pb {
namespace {

constexpr int64_t kBlock = 512;  // elements; a few blocks of floats stay in the first-level cache
constexpr int64_t kStreamBytes = 16 << 20;  // results from this size on are written past the caches
constexpr int64_t kFetchBytes = 1 << 20;  // operands from this size on are fetched a block ahead
constexpr int64_t kFew = 2 * kBlock;  // elements below which a step is run just so
constexpr int kComputeBound = 6;  // cost of an element from which writing hides behind the computation
constexpr int64_t kParallelWork = 1 << 16;  // cost-weighted elements from which threads help

char* thread_scratch(size_t bytes) {
  static thread_local std::unique_ptr<char[]> block;
  static thread_local size_t size = 0;
  if (size < bytes + 64) {
    size = bytes + 64;
    block = std::make_unique<char[]>(size);
  }
  return block.get() + (64 - reinterpret_cast<uintptr_t>(block.get()) % 64) % 64;
}

// Visits the elements [begin, begin + n) of the iteration as runs along the last axis: f(offset, length, stride).
template <class F> void walk(const Dims& shape, const Dims& strides, int64_t begin, int64_t n, F&& f) {
  const int last = shape.n - 1;
  if (last < 0) return f(int64_t{0}, n, int64_t{0});
  int64_t index[kMaxDims], rest = begin, offset = 0;
  for (int d = last; d >= 0; --d) {
    index[d] = rest % shape[d];
    rest /= shape[d];
    offset += index[d] * strides[d];
  }
  while (n > 0) {
    const int64_t run = std::min(n, shape[last] - index[last]);
    f(offset, run, strides[last]);
    n -= run;
    offset += run * strides[last];
    index[last] += run;
    for (int d = last; d > 0 && index[d] == shape[d]; --d) {
      offset += strides[d - 1] - index[d] * strides[d];
      index[d] = 0;
      ++index[d - 1];
    }
  }
}

template <class T>
void gather(T* to, const T* from, const ElementwiseStep& s, const Dims& strides, int64_t begin, int64_t n) {
  walk(s.shape, strides, begin, n, [&](int64_t offset, int64_t run, int64_t stride) {
    const T* p = from + offset;
    if (stride == 1) std::memcpy(to, p, run * sizeof(T));
    else if (stride == 0) std::fill_n(to, run, *p);
    else
      for (int64_t i = 0; i < run; ++i) to[i] = p[i * stride];
    to += run;
  });
}

template <class T>
void scatter(T* to, const T* from, const ElementwiseStep& s, const Dims& strides, int64_t begin, int64_t n) {
  walk(s.shape, strides, begin, n, [&](int64_t offset, int64_t run, int64_t stride) {
    T* p = to + offset;
    for (int64_t i = 0; i < run; ++i) p[i * stride] = from[i];
    from += run;
  });
}

template <class F> void visit_width(int64_t width, F&& f) {
  switch (width) {
    case 1: return f(uint8_t{});
    case 2: return f(uint16_t{});
    case 4: return f(uint32_t{});
    default: return f(uint64_t{});
  }
}

struct Addresses {
  char* const* locations;
  std::span<const Scalar> numbers;
};

void fetch(const char* p, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i);
}

// Writes past the caches.
void stream(char* to, const char* from, int64_t bytes) {
  int64_t i = 0;
#if defined(__SSE2__)
  for (; i + 16 <= bytes; i += 16) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + i),
                     _mm_load_si128(reinterpret_cast<const __m128i*>(from + i)));
  }
#endif
  std::memcpy(to + i, from + i, static_cast<size_t>(bytes - i));
}

// A result that is written past the caches: one larger than they are would only push out what is still needed, and
// be read from memory before it is overwritten.
struct Streamed {
  uint16_t from;
  char* to;
  int64_t width;
};

bool reads_at(const ElementwiseStep& s, const Addresses& at, const void* place) {
  return std::any_of(s.registers.begin(), s.registers.end(), [&](const Register& r) {
    const bool memory = r.kind != Register::Kind::Block && r.kind != Register::Kind::Number;
    return memory && !r.written && at.locations[r.source] == place;
  });
}

// Large results, but not where an operand lies, whose lines are in the cache anyway, nor where so much is computed
// that writing costs nothing.
std::vector<Streamed> find_streamed(const ElementwiseStep& s, const Addresses& at) {
  std::vector<Streamed> out;
  if (s.count * s.widest < kStreamBytes || s.cost >= kComputeBound) return out;
  for (size_t r = 0; r < s.registers.size(); ++r) {
    const Register& reg = s.registers[r];
    const int64_t width = size_of(reg.dtype);
    if (!reg.written || reg.kind != Register::Kind::Linear || s.count * width < kStreamBytes) continue;
    auto* to = static_cast<char*>(at.locations[reg.source]);
    if (reinterpret_cast<uintptr_t>(to) % 16 == 0 && !reads_at(s, at, to))
      out.push_back({static_cast<uint16_t>(r), to, width});
  }
  return out;
}

// Are other elements of the step anywhere in the memory that `store` overwrites? What it replaces is meant to be there.
bool meets_others(const ElementwiseStep& s, const Addresses& at, const StoreInstruction& store) {
  const char* to = static_cast<const char*>(at.locations[store.location]);
  const char* end = to + s.count * size_of(s.registers[store.from].dtype);
  const auto meets = [&](int32_t location, int64_t bytes) {
    const char* p = static_cast<const char*>(at.locations[location]);
    return location != store.location && p < end && to < p + bytes;
  };
  for (const Register& r : s.registers) {
    if (r.kind == Register::Kind::Strided) return true;  // spread out as they may be
    const int64_t width = size_of(r.dtype);
    if (r.kind == Register::Kind::Linear && meets(r.source, s.count * width)) return true;
    if (r.kind == Register::Kind::Spread && meets(r.source, width)) return true;
  }
  return std::any_of(s.stores.begin(), s.stores.end(), [&](const StoreInstruction& other) {
    return other.strides >= 0 || meets(other.location, s.count * size_of(s.registers[other.from].dtype));
  });
}

// Stores (by bit) whose instructions write to memory themselves, which saves the copy at the end of a block.
uint64_t find_direct(const ElementwiseStep& s, const Addresses& at) {
  uint64_t direct = 0;
  for (size_t k = 0; k < s.stores.size() && k < 64; ++k)
    if (s.stores[k].early && !meets_others(s, at, s.stores[k])) direct |= uint64_t{1} << k;
  return direct;
}

// The sums at the end of a step. Elements are added up in units, by one thread each: the runs of which each gives a
// sum, or parts of the only run.
class Sums {
 public:
  Sums(const ElementwiseStep& s, const Addresses& at)
      : s_(s),
        at_(at),
        dtype_(s.registers[s.sums[0].from].dtype),
        one_run_(s.sum_run == s.count),
        unit_(one_run_ ? SumStream::chunk(s.count, dtype_) : s.sum_run),
        parts_(one_run_ ? (s.count + unit_ - 1) / unit_ * s.sums.size() : 0) {}

  int64_t unit() const { return unit_; }

  // The elements [p, p + n) of a sum, which lie in one unit.
  void add(SumStream& stream, size_t k, const void* elements, int64_t p, int64_t n) {
    if (p % unit_ == 0) stream.begin(s_.sum_run, dtype_);
    stream.add(elements, n);
    if ((p + n) % unit_ != 0 && p + n != s_.count) return;
    const int64_t done = p / unit_;
    if (one_run_) parts_[done * s_.sums.size() + k] = stream;
    else stream.finish(at_.locations[s_.sums[k].location] + done * size_of(dtype_));
  }

  void finish() {
    for (size_t k = 0; one_run_ && k < s_.sums.size(); ++k) {
      SumStream whole;
      whole.begin(s_.sum_run, dtype_);
      for (size_t i = k; i < parts_.size(); i += s_.sums.size()) whole.merge(parts_[i]);
      whole.finish(at_.locations[s_.sums[k].location]);
    }
  }

 private:
  const ElementwiseStep& s_;
  const Addresses& at_;
  DType dtype_;
  bool one_run_;
  int64_t unit_;
  std::vector<SumStream> parts_;
};

// A step over one range of its elements, block by block.
class RangeRun {
 public:
  RangeRun(const ElementwiseStep& s, const Addresses& at, std::span<const Streamed> streamed, uint64_t direct,
           int64_t begin, int64_t end, Sums* sums = nullptr)
      : s_(s),
        at_(at),
        streamed_(streamed),
        direct_(direct),
        begin_(begin),
        end_(end),
        row_(row_length(s)),
        block_(std::min<int64_t>(row_ ? even_part(row_) : kBlock, (end - begin + 31) / 32 * 32)),
        many_(end - begin > block_ || sums),
        sums_(sums),
        running_(s.sums.size()),
        pointer_(s.registers.size()),
        moving_(many_ ? s.registers.size() : 0),
        fetching_(s.count * s.widest >= kFetchBytes) {
    place();
  }

  void run() {
    for (int64_t p = begin_, n = 0; p < end_; p += n) {
      n = std::min(block_, end_ - p);
      if (row_) n = std::min(n, row_ - p % row_);
      if (sums_) n = std::min(n, sums_->unit() - p % sums_->unit());
      if (fetching_) fetch_next(n);
      if (row_) load_in_row(p, n);
      else if (loading_) load(p, n);
      for (const BlockInstruction& i : s_.body)
        i.fn(pointer_[i.out], pointer_[i.a], pointer_[i.b], pointer_[i.c], n);
      for (size_t k = 0; k < s_.sums.size(); ++k) sums_->add(running_[k], k, pointer_[s_.sums[k].from], p, n);
      if (!s_.stores.empty()) store(p, n);
      if (many_)
        for (size_t k = 0; k < moves_; ++k) pointer_[moving_[k]] += n * width(moving_[k]);
      for (const Streamed& w : streamed_) stream(w.to + p * w.width, pointer_[w.from], n * w.width);
    }
    if (!streamed_.empty()) end_stream();
  }

 private:
  // Long rows are not joined in one block: then what is the same along a row is written once for it, and what
  // lies side by side is read where it is. 0: the blocks go on over the ends of rows.
  static int64_t row_length(const ElementwiseStep& s) {
    if (s.strides.empty() || s.shape.n < 2 || s.shape[s.shape.n - 1] < kBlock / 2) return 0;
    const auto strided = [](const Register& r) { return r.kind == Register::Kind::Strided; };
    return std::ranges::any_of(s.registers, strided) ? s.shape[s.shape.n - 1] : 0;
  }
  static int64_t even_part(int64_t row) {
    const int64_t parts = (row + kBlock - 1) / kBlock;
    return std::min(kBlock, ((row + parts - 1) / parts + 31) / 32 * 32);
  }

  // Where each register lies; what is the same for all blocks is written here, once.
  void place() {
    const int64_t stride = block_ * s_.widest;
    const auto blocks = static_cast<size_t>(s_.scratch_blocks);
    const size_t need = (blocks + streamed_.size()) * stride;
    char* scratch = need <= sizeof local_ ? local_ : thread_scratch(need);
    for (size_t k = 0; k < streamed_.size(); ++k)
      pointer_[streamed_[k].from] = scratch + (blocks + k) * stride;
    for (size_t r = 0; r < s_.registers.size(); ++r) {
      const Register& reg = s_.registers[r];
      if (reg.kind == Register::Kind::Linear) {
        if (is_streamed(r)) continue;
        pointer_[r] = static_cast<char*>(at_.locations[reg.source]);
        if (begin_ > 0) pointer_[r] += begin_ * size_of(reg.dtype);
        if (many_) moving_[moves_++] = static_cast<uint16_t>(r);
        continue;
      }
      pointer_[r] = scratch + reg.scratch * stride;
      if (reg.kind == Register::Kind::Strided) loading_ = true;
      else if (reg.kind != Register::Kind::Block) spread_register(reg, pointer_[r]);
    }
    for (uint64_t m = direct_; m; m &= m - 1) {
      const StoreInstruction& st = s_.stores[__builtin_ctzll(m)];
      pointer_[st.from] = static_cast<char*>(at_.locations[st.location]) + begin_ * width(st.from);
      if (many_) moving_[moves_++] = st.from;
    }
  }

  bool is_streamed(size_t r) const {
    return std::any_of(streamed_.begin(), streamed_.end(), [&](const Streamed& w) { return w.from == r; });
  }

  void spread_register(const Register& reg, char* to) {
    const int64_t n = std::min(block_, end_ - begin_), width = size_of(reg.dtype);
    if (reg.kind == Register::Kind::Spread) return kernels().spread(to, at_.locations[reg.source], width, n);
    alignas(8) char element[8];
    store_scalar(at_.numbers[reg.source], reg.dtype, element);
    kernels().spread(to, element, width, n);
  }

  void load(int64_t p, int64_t n) {
    for (size_t r = 0; r < s_.registers.size(); ++r) {
      const Register& reg = s_.registers[r];
      if (reg.kind != Register::Kind::Strided) continue;
      visit_width(size_of(reg.dtype), [&](auto t) {
        using T = decltype(t);
        gather(reinterpret_cast<T*>(pointer_[r]), reinterpret_cast<const T*>(at_.locations[reg.source]), s_,
               s_.strides[reg.strides], p, n);
      });
    }
  }

  void load_in_row(int64_t p, int64_t n) {
    const int64_t row = p / row_, column = p - row * row_;
    const int last = s_.shape.n - 1;
    for (size_t r = 0; r < s_.registers.size(); ++r) {
      const Register& reg = s_.registers[r];
      if (reg.kind != Register::Kind::Strided) continue;
      const Dims& strides = s_.strides[reg.strides];
      if (strides[last] == 0 && row == loaded_row_) continue;
      int64_t at = column * strides[last], rest = row;
      for (int d = last - 1; d >= 0; --d) {
        at += rest % s_.shape[d] * strides[d];
        rest /= s_.shape[d];
      }
      const int64_t width = size_of(reg.dtype);
      char* from = static_cast<char*>(at_.locations[reg.source]) + at * width;
      if (strides[last] == 0) {
        kernels().spread(pointer_[r], from, width, std::min(block_, end_ - p));
      } else if (strides[last] == 1 && !reg.written) {
        pointer_[r] = from;
      } else {
        visit_width(width, [&](auto t) {
          auto* to = reinterpret_cast<decltype(t)*>(pointer_[r]);
          const auto* elements = reinterpret_cast<const decltype(t)*>(from);
          const int64_t step = strides[last];
          for (int64_t i = 0; i < n; ++i) to[i] = elements[i * step];
        });
      }
    }
    loaded_row_ = row;
  }

  void store(int64_t p, int64_t n) {
    for (size_t k = 0; k < s_.stores.size(); ++k) {
      if (k < 64 && direct_ >> k & 1) continue;
      const StoreInstruction& st = s_.stores[k];
      const int64_t width = size_of(s_.registers[st.from].dtype);
      char* to = static_cast<char*>(at_.locations[st.location]);
      if (st.strides < 0) {
        std::memcpy(to + p * width, pointer_[st.from], n * width);
        continue;
      }
      visit_width(width, [&](auto t) {
        using T = decltype(t);
        scatter(reinterpret_cast<T*>(to), reinterpret_cast<const T*>(pointer_[st.from]), s_,
                s_.strides[st.strides], p, n);
      });
    }
  }

  // Operands of the next block. Between short calls of kernels the processor itself looks less far ahead.
  void fetch_next(int64_t n) {
    for (size_t k = 0; k < moves_; ++k) {
      if (s_.registers[moving_[k]].written) continue;
      const int64_t bytes = n * width(moving_[k]);
      fetch(pointer_[moving_[k]] + bytes, bytes);
    }
  }

  int64_t width(uint16_t r) const { return size_of(s_.registers[r].dtype); }

  const ElementwiseStep& s_;
  const Addresses& at_;
  std::span<const Streamed> streamed_;
  uint64_t direct_;
  int64_t begin_, end_;
  int64_t row_;  // length of the rows that no block goes beyond; 0: blocks do
  int64_t block_, loaded_row_ = -1;
  bool many_;  // blocks
  Sums* sums_;
  std::vector<SumStream> running_;
  Small<char*, 32> pointer_;
  Small<uint16_t, 32> moving_;  // registers that walk through memory
  size_t moves_ = 0;
  bool loading_ = false, fetching_;
  alignas(64) char local_[4096];
};

void run_simple(const ElementwiseStep& s, const Addresses& at, int64_t begin, int64_t end) {
  const BlockInstruction& i = s.body[0];
  auto address = [&](uint16_t r) {
    const Register& reg = s.registers[r];
    return static_cast<char*>(at.locations[reg.source]) + begin * size_of(reg.dtype);
  };
  i.fn(address(i.out), address(i.a), address(i.b), address(i.c), end - begin);
}

void run_elementwise(const ElementwiseStep& s, const Addresses& at) {
  if (s.count == 0) return;
  if (s.count < kFew) {
    if (s.simple) run_simple(s, at, 0, s.count);
    else RangeRun(s, at, {}, 0, 0, s.count).run();
    return;
  }
  const std::vector<Streamed> streamed = find_streamed(s, at);
  const uint64_t direct = find_direct(s, at);
  std::optional<Sums> sums;
  if (!s.sums.empty()) sums.emplace(s, at);
  auto range = [&](int64_t begin, int64_t end) {
    if (s.simple && s.count * s.widest < kFetchBytes) run_simple(s, at, begin, end);
    else RangeRun(s, at, streamed, direct, begin, end, sums ? &*sums : nullptr).run();
  };
  const int64_t cost = std::max(s.cost, 1), whole = sums ? sums->unit() : kBlock;
  GilRelease unlocked(s.count * cost >= kReleaseWork);
  if (s.count * cost < kParallelWork) {
    range(0, s.count);
  } else {  // preparing a chunk costs about as much as a block of it
    const int64_t chunk = std::max<int64_t>({kParallelWork / 4 / cost, s.count / 64, 8 * kBlock});
    parallel_chunks(s.count, (chunk + whole - 1) / whole * whole, range);
  }
  if (sums) sums->finish();
}

Scalar arithmetic(ScalarExpr::Kind kind, const Scalar& a, const Scalar& b) {
  using K = ScalarExpr::Kind;
  const bool whole = a.kind != Scalar::Kind::Float && b.kind != Scalar::Kind::Float;
  if (whole && kind != K::Div && kind != K::Pow) {
    const auto x = static_cast<uint64_t>(a.i), y = static_cast<uint64_t>(b.i);
    switch (kind) {
      case K::Add: return Scalar::of_int(static_cast<int64_t>(x + y));
      case K::Sub: return Scalar::of_int(static_cast<int64_t>(x - y));
      case K::Mul: return Scalar::of_int(static_cast<int64_t>(x * y));
      default: return Scalar::of_int(static_cast<int64_t>(0 - x));
    }
  }
  const double x = a.as_double(), y = b.as_double();
  switch (kind) {
    case K::Add: return Scalar::of_float(x + y);
    case K::Sub: return Scalar::of_float(x - y);
    case K::Mul: return Scalar::of_float(x * y);
    case K::Div: return Scalar::of_float(x / y);
    case K::Pow: return Scalar::of_float(std::pow(x, y));
    default: return Scalar::of_float(-x);
  }
}

void compute_numbers(const Program& p, std::span<const int64_t> sizes, std::span<const Scalar> scalars,
                     std::span<Scalar> out) {
  using K = ScalarExpr::Kind;
  for (size_t k = 0; k < p.numbers.size(); ++k) {
    const ScalarExpr& e = p.numbers[k];
    switch (e.kind) {
      case K::Const: out[k] = e.constant; break;
      case K::Input: out[k] = scalars[e.a]; break;
      case K::Size: out[k] = Scalar::of_int(sizes[e.a]); break;
      default: out[k] = arithmetic(e.kind, out[e.a], out[e.kind == K::Neg ? e.a : e.b]);
    }
  }
}

}  // namespace

// New memory for a result, or that of a donated input which the caller alone holds.
Ref<Storage> Bound::storage_for(size_t k, std::span<const Array* const> inputs, uint64_t& donated) const {
  const auto bytes = static_cast<size_t>(buffers_[new_storages_[k]].bytes);
  if (donated) {
    for (int32_t i : donors_[k]) {
      if (i >= 64 || !(donated >> i & 1)) continue;
      const Array* a = inputs[i];
      if (!a || !a->storage || !a->storage->unique() || a->offset != 0 || a->storage->bytes() != bytes)
        continue;
      donated &= ~(uint64_t{1} << i);
      return a->storage;
    }
  }
  return Storage::allocate(bytes);
}

// The arrays that a run returns. Their memory is taken before anything runs; `bases` gets that of new storages.
void Bound::make_results(std::span<const Array* const> inputs, std::span<Array> out, uint64_t donated,
                         bool over_first, char** bases) const {
  for (size_t k = 0; const Result& r : results_) {
    const Location& l = locations_[r.location];
    Array& a = out[k];
    a.meta = l.meta;
    a.offset = l.offset;
    if (over_first && k == 0) {
      a.storage = inputs[0]->storage;
      a.offset += inputs[0]->offset;
      bases[r.storage] = static_cast<char*>(inputs[0]->data());
    } else if (r.storage < 0) {
      a.storage = inputs[r.input]->storage;
      a.offset += inputs[r.input]->offset;
    } else if (r.holder >= 0) {
      a.storage = out[r.holder].storage;
    } else {
      a.storage = storage_for(r.storage, inputs, donated);
      bases[r.storage] = static_cast<char*>(a.storage->data());
    }
    ++k;
  }
}

void Bound::run(std::span<const Array* const> inputs, std::span<const Scalar> scalars, std::span<Array> out,
                uint64_t donated, bool over_first) const {
  Ref<Storage> arena;
  if (arena_bytes_) arena = Storage::allocate(static_cast<size_t>(arena_bytes_));

  const size_t made = new_storages_.size(), bases = made + 1 + inputs.size();
  Small<char*, 64> places(bases + addresses_.size());
  char** base = places.data();
  make_results(inputs, out, donated, over_first,
               base);  // first: memory that somebody holds is not given away
  // Another thread may give a tensor other elements (x.data = ...) while a kernel reads these.
  Small<Ref<Storage>, 8> held(unlocks_ ? inputs.size() : 0);
  for (size_t k = 0; k < held.size(); ++k)
    if (inputs[k]) held[k] = inputs[k]->storage;
  base[made] = arena ? static_cast<char*>(arena->data()) : nullptr;
  for (size_t k = made + 1; const Array* a : inputs)  // one of which only the shape is read may lack elements
    base[k++] = a && a->storage ? static_cast<char*>(a->data()) : nullptr;
  char** locations = base + bases;
  for (char** to = locations; const Address& a : addresses_)
    *to++ = base[a.base] ? base[a.base] + a.bytes : nullptr;
  Small<Scalar, 16> numbers(program_->numbers.size());
  compute_numbers(*program_, sizes_, scalars, numbers.span());
  const Addresses at{locations, numbers.span()};

  for (const Step& step : steps_) {
    if (step.elementwise >= 0) {
      run_elementwise(elementwise_[step.elementwise], at);
      continue;
    }
    const KernelStep& k = kernels_[step.kernel];
    Small<Placed, 8> in(k.in.size()), to(k.out.size());
    Small<Scalar, 4> given(k.numbers.size());
    for (size_t i = 0; i < in.size(); ++i) in[i] = {locations[k.in[i]], locations_[k.in[i]].meta.get()};
    for (size_t i = 0; i < to.size(); ++i) to[i] = {locations[k.out[i]], locations_[k.out[i]].meta.get()};
    for (size_t i = 0; i < given.size(); ++i) given[i] = numbers[k.numbers[i]];
    k.op->kernel->run({in.span(), to.span(), given.span(), k.ints});
  }
}

}  // namespace pb
