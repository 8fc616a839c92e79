// Memory for the many short lists that are kept for each shape an op has met (plans, bound programs): a free
// list for each size. Called with the GIL held, as all that makes or drops plans is. Memory stays in the pool.
// Not the caching allocator's: that one counts what tensors hold, in blocks of whole cache lines.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace pb {

class ShortBlocks {
 public:
  static void* get(size_t bytes) {
    if (bytes > kLargest || kPlain) return ::operator new(bytes);
    ShortBlocks& p = instance();
    Free*& first = p.free_[index(bytes)];
    if (!first) return p.cut(index(bytes));
    Free* found = first;
    first = found->next;
    return found;
  }

  static void put(void* block, size_t bytes) noexcept {
    if (bytes > kLargest || kPlain) return ::operator delete(block);
    Free*& first = instance().free_[index(bytes)];
    first = new (block) Free{first};
  }

 private:
  struct Free { Free* next; };
  static constexpr size_t kStep = 16, kLargest = 512, kSlab = 32768;
#if defined(__SANITIZE_ADDRESS__)
  static constexpr bool kPlain = true;  // a pool would hide what the sanitizer looks for
#else
  static constexpr bool kPlain = false;
#endif

  static size_t index(size_t bytes) { return (bytes + kStep - 1) / kStep; }

  static ShortBlocks& instance() {
    static ShortBlocks& p = *new ShortBlocks();  // never destroyed: plans live until the process ends
    return p;
  }

  void* cut(size_t size) {
    const size_t bytes = std::max<size_t>(size, 1) * kStep;
    if (left_ < bytes) {  // what is left of the slab is lost: less than a block
      next_ = static_cast<std::byte*>(::operator new(kSlab));
      left_ = kSlab;
    }
    std::byte* block = next_;
    next_ += bytes;
    left_ -= bytes;
    return block;
  }

  std::array<Free*, kLargest / kStep + 1> free_{};
  std::byte* next_ = nullptr;
  size_t left_ = 0;
};

template <class T> struct Pooled {
  using value_type = T;
  Pooled() = default;
  template <class U> Pooled(const Pooled<U>&) {}
  T* allocate(size_t n) { return static_cast<T*>(ShortBlocks::get(n * sizeof(T))); }
  void deallocate(T* p, size_t n) noexcept { ShortBlocks::put(p, n * sizeof(T)); }
  template <class U> bool operator==(const Pooled<U>&) const { return true; }
};
template <class T> using PooledVector = std::vector<T, Pooled<T>>;

// Base of classes whose objects come from the pool.
template <class T> struct FromPool {
  static void* operator new(size_t bytes) { return ShortBlocks::get(bytes); }
  static void operator delete(void* p) noexcept { ShortBlocks::put(p, sizeof(T)); }
};

}  // namespace pb
