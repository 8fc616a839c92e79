// One pool of threads. Chunk boundaries are a function of the size and the chunk alone,
// so results never depend on the number of threads.
#pragma once
#include <cstdint>
#include <memory>
#include <type_traits>

namespace pb {

int num_threads();            // at first the number of usable cores, or OMP_NUM_THREADS
void set_num_threads(int n);  // at any time; at least 1
int default_num_threads();

// A borrowed reference to a callable void(int64_t begin, int64_t end); must not throw.
class RangeFn {
 public:
  template <class F, class = std::enable_if_t<!std::is_same_v<std::decay_t<F>, RangeFn>>> RangeFn(F&& f)
      : context_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* c, int64_t b, int64_t e) { (*static_cast<std::remove_reference_t<F>*>(c))(b, e); }) {}
  void operator()(int64_t begin, int64_t end) const { call_(context_, begin, end); }

 private:
  void* context_;
  void (*call_)(void*, int64_t, int64_t);
};

// Runs fn over [0, n) cut at multiples of `chunk`, one call a chunk. With one thread, one chunk, or when
// called from inside a chunk, the caller runs all of them in order. Safe after fork, and from several
// threads:
// one at a time gets the pool, the others run their own work themselves rather than wait.
void parallel_chunks(int64_t n, int64_t chunk, RangeFn fn);

}  // namespace pb
