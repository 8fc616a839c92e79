// Runs a bound program: fused elementwise steps block by block over the pool, kernel steps one by one.
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>

#include "core/small.h"
#include "program/bound.h"
#include "runtime/gil.h"
#include "runtime/threads.h"

namespace pb {
namespace {

constexpr int64_t kBlock = 512;  // elements; a few blocks of floats stay in the first-level cache
constexpr int64_t kStreamBytes = 16 << 20;  // results from this size on are written past the caches
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

template <class T> void spread(T* to, T value, int64_t n) { std::fill_n(to, n, value); }

void spread_element(void* to, const void* element, int64_t width, int64_t n) {
  switch (width) {
    case 1: return spread(static_cast<uint8_t*>(to), *static_cast<const uint8_t*>(element), n);
    case 2: return spread(static_cast<uint16_t*>(to), *static_cast<const uint16_t*>(element), n);
    case 4: return spread(static_cast<uint32_t*>(to), *static_cast<const uint32_t*>(element), n);
    default: return spread(static_cast<uint64_t*>(to), *static_cast<const uint64_t*>(element), n);
  }
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
  std::span<void*> locations;
  std::span<const Scalar> numbers;
};

void run_range(const ElementwiseStep& s, const Addresses& at, int64_t begin, int64_t end) {
  const int64_t block = std::min<int64_t>(kBlock, (end - begin + 31) / 32 * 32);
  const int64_t stride = block * s.widest;
  alignas(64) char local[4096];
  const size_t need = static_cast<size_t>(s.scratch_blocks) * stride;
  char* scratch = need <= sizeof local ? local : thread_scratch(need);
  const size_t count = s.registers.size();
  Small<char*, 32> pointer(count);
  uint64_t moving = 0, loading = 0;  // registers to advance, and to load, at each block
  for (size_t r = 0; r < count; ++r) {
    const Register& reg = s.registers[r];
    const int64_t width = size_of(reg.dtype);
    if (reg.kind == Register::Kind::Linear) {
      pointer[r] = static_cast<char*>(at.locations[reg.source]) + begin * width;
      moving |= uint64_t{1} << (r & 63);
      continue;
    }
    pointer[r] = scratch + reg.scratch * stride;
    if (reg.kind == Register::Kind::Spread) {
      spread_element(pointer[r], at.locations[reg.source], width, std::min(block, end - begin));
    } else if (reg.kind == Register::Kind::Number) {
      alignas(8) char element[8];
      store_scalar(at.numbers[reg.source], reg.dtype, element);
      spread_element(pointer[r], element, width, std::min(block, end - begin));
    } else if (reg.kind == Register::Kind::Strided) {
      loading |= uint64_t{1} << (r & 63);
    }
  }
  const bool wide = count > 64;  // then the masks are not exact, and every register is looked at
  for (int64_t p = begin; p < end; p += block) {
    const int64_t n = std::min(block, end - p);
    if (loading) {
      for (size_t r = 0; r < count; ++r) {
        const Register& reg = s.registers[r];
        if (reg.kind != Register::Kind::Strided) continue;
        visit_width(size_of(reg.dtype), [&](auto t) {
          using T = decltype(t);
          gather(reinterpret_cast<T*>(pointer[r]), static_cast<const T*>(at.locations[reg.source]), s,
                 s.strides[reg.strides], p, n);
        });
      }
    }
    for (const BlockInstruction& i : s.body)
      i.fn(pointer[i.out], pointer[i.a], pointer[i.b], pointer[i.c], n);
    for (const StoreInstruction& st : s.stores) {
      const int64_t width = size_of(s.registers[st.from].dtype);
      char* to = static_cast<char*>(at.locations[st.location]);
      if (st.strides < 0) {
        std::memcpy(to + p * width, pointer[st.from], n * width);
        continue;
      }
      visit_width(width, [&](auto t) {
        using T = decltype(t);
        scatter(reinterpret_cast<T*>(to), reinterpret_cast<const T*>(pointer[st.from]), s,
                s.strides[st.strides], p, n);
      });
    }
    if (wide) {
      for (size_t r = 0; r < count; ++r)
        if (s.registers[r].kind == Register::Kind::Linear) pointer[r] += n * size_of(s.registers[r].dtype);
    } else {
      for (uint64_t m = moving; m; m &= m - 1) {
        const int r = __builtin_ctzll(m);
        pointer[r] += n * size_of(s.registers[r].dtype);
      }
    }
  }
}

// Writes past the caches: a result that is larger than they are would only push out what is still needed, and be
// read from memory before it is overwritten.
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

void run_simple(const ElementwiseStep& s, const Addresses& at, int64_t begin, int64_t end) {
  const BlockInstruction& i = s.body[0];
  auto address = [&](uint16_t r) {
    const Register& reg = s.registers[r];
    return static_cast<char*>(at.locations[reg.source]) + begin * size_of(reg.dtype);
  };
  char* out = address(i.out);
  const int64_t width = size_of(s.registers[i.out].dtype);
  const bool over_itself = out == address(i.a) || out == address(i.b) || out == address(i.c);
  if (s.count * width < kStreamBytes || over_itself || reinterpret_cast<uintptr_t>(out) % 16 != 0)
    return i.fn(out, address(i.a), address(i.b), address(i.c), end - begin);
  alignas(64) char block[kBlock * 8];
  const int64_t a = size_of(s.registers[i.a].dtype), b = size_of(s.registers[i.b].dtype);
  const int64_t c = size_of(s.registers[i.c].dtype);
  for (int64_t k = 0; k < end - begin; k += kBlock) {
    const int64_t n = std::min(kBlock, end - begin - k);
    i.fn(block, address(i.a) + k * a, address(i.b) + k * b, address(i.c) + k * c, n);
    stream(out + k * width, block, n * width);
  }
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

void run_elementwise(const ElementwiseStep& s, const Addresses& at) {
  if (s.count == 0) return;
  auto range = [&](int64_t begin, int64_t end) {
    if (s.simple) run_simple(s, at, begin, end);
    else run_range(s, at, begin, end);
  };
  const int64_t cost = std::max(s.cost, 1);
  if (s.count * cost < kParallelWork) return range(0, s.count);
  const int64_t chunk = std::max<int64_t>({kParallelWork / 4 / cost, s.count / 64, 1024});
  GilRelease unlocked(s.count * cost >= kReleaseWork);
  parallel_chunks(s.count, (chunk + kBlock - 1) / kBlock * kBlock, range);
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

void Bound::run(std::span<const Array* const> inputs, std::span<const Scalar> scalars, std::span<Array> out,
                uint64_t donated) const {
  Small<Ref<Storage>, 8> storages(new_storages_.size());
  for (size_t k = 0; k < new_storages_.size(); ++k) storages[k] = storage_for(k, inputs, donated);
  // Another thread may give a tensor other elements (x.data = ...) while a kernel reads these.
  Small<Ref<Storage>, 8> held(unlocks_ ? inputs.size() : 0);
  for (size_t k = 0; k < held.size(); ++k)
    if (inputs[k]) held[k] = inputs[k]->storage;
  Ref<Storage> arena;
  if (arena_bytes_) arena = Storage::allocate(static_cast<size_t>(arena_bytes_));

  Small<void*, 48> locations(locations_.size());
  for (size_t k = 0; k < locations_.size(); ++k) {
    const Location& l = locations_[k];
    const Buffer& b = buffers_[l.buffer];
    char* base = nullptr;
    switch (b.kind) {
      case Buffer::Kind::Input: {
        const Array* a = inputs[b.index];
        base = a && a->storage ? static_cast<char*>(a->data()) : nullptr;
        break;
      }
      case Buffer::Kind::Output: base = static_cast<char*>(storages[b.index]->data()); break;
      case Buffer::Kind::Temp: base = arena ? static_cast<char*>(arena->data()) + b.offset : nullptr; break;
    }
    locations[k] = base ? base + l.offset * size_of(l.meta->dtype) : nullptr;
  }
  Small<Scalar, 16> numbers(program_->numbers.size());
  compute_numbers(*program_, sizes_, scalars, numbers.span());
  const Addresses at{locations.span(), numbers.span()};

  for (const Step& step : steps_) {
    if (step.elementwise >= 0) {
      run_elementwise(elementwise_[step.elementwise], at);
      continue;
    }
    const KernelStep& k = kernels_[step.kernel];
    Small<Placed, 8> in(k.in.size()), to(k.out.size());
    Small<Scalar, 4> given(k.numbers.size());
    for (size_t i = 0; i < k.in.size(); ++i) in[i] = {locations[k.in[i]], locations_[k.in[i]].meta.get()};
    for (size_t i = 0; i < k.out.size(); ++i) to[i] = {locations[k.out[i]], locations_[k.out[i]].meta.get()};
    for (size_t i = 0; i < k.numbers.size(); ++i) given[i] = numbers[k.numbers[i]];
    k.op->kernel->run({in.span(), to.span(), given.span(), k.ints});
  }
  for (size_t k = 0; k < results_.size(); ++k) {
    const Result& r = results_[k];
    const Location& l = locations_[r.location];
    if (r.storage >= 0) {
      out[k] = {storages[r.storage], l.meta, l.offset};
    } else {
      const Array& source = *inputs[r.input];
      out[k] = {source.storage, l.meta, source.offset + l.offset};
    }
  }
}

}  // namespace pb
