#include "runtime/threads.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace pb {
namespace {

using Clock = std::chrono::steady_clock;

// A training loop comes back with the next parallel operation within tens of microseconds, and waking
// a sleeping thread costs about as much as such an operation, so a worker waits awake for that long.
constexpr auto kSpin = std::chrono::microseconds(100);

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits awake, for at most kSpin, until done() holds. The clock is read rarely because it costs as much as
// several looks at a shared variable.
template <class Done> bool spin_until(Done done) {
  const auto end = Clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      relax();
    }
  } while (Clock::now() < end);
  return done();
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
  const unsigned n = std::thread::hardware_concurrency();
  return n ? static_cast<int>(n) : 1;
}

int default_threads() {
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    const long n = std::strtol(text, nullptr, 10);  // of a list, "4,2", the first counts
    if (n >= 1 && n <= 4096) return static_cast<int>(n);
  }
  return usable_cores();
}

thread_local bool inside_chunk = false;

// Chunks are handed out through one word, `unclaimed_`: the first one left in the low half and the end of
// those left in the high half. The caller and every other worker take from the front, the rest from the back:
// from call to call a thread meets mostly the part of the data that already lies in its core's caches, and
// in the middle the faster one takes what is left. A claim is a compare-and-swap, and the job's fields change only
// after all chunks of the job before are finished, so whoever holds a chunk may read them as they are.
class Pool {
 public:
  explicit Pool(int threads) {
    workers_.reserve(static_cast<size_t>(threads - 1));
    spin_ = threads <= usable_cores();
    for (int i = 1; i < threads; ++i) {
      try {
        workers_.emplace_back([this, i] { work(i % 2 == 0 ? End::Front : End::Back); });
      } catch (const std::system_error&) {
        break;  // the system gives no more threads: fewer are as right, only slower
      }
    }
  }

  ~Pool() {
    stop_.store(true);
    wake();
    for (std::thread& t : workers_) t.join();
  }

  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void run(int64_t n, int64_t chunk, int64_t chunks, const RangeFn& fn) {
    fn_ = &fn;
    n_ = n;
    chunk_ = chunk;
    unfinished_.store(static_cast<uint32_t>(chunks), std::memory_order_relaxed);
    unclaimed_.store(static_cast<uint64_t>(chunks) << 32);
    if (sleepers_.load() > 0) wake();
    while (run_one(End::Front)) {}
    if (spin_ && spin_until([this] { return unfinished_.load(std::memory_order_acquire) == 0; })) return;
    while (const uint32_t left = unfinished_.load(std::memory_order_acquire)) {
      unfinished_.wait(left, std::memory_order_acquire);
    }
  }

 private:
  enum class End { Front, Back };

  static uint32_t front(uint64_t unclaimed) { return static_cast<uint32_t>(unclaimed); }
  static uint32_t back(uint64_t unclaimed) { return static_cast<uint32_t>(unclaimed >> 32); }

  bool pending() const {
    const uint64_t seen = unclaimed_.load();
    return front(seen) != back(seen);
  }

  bool run_one(End end_taken) {
    constexpr uint64_t kBack = uint64_t{1} << 32;
    uint64_t seen = unclaimed_.load(std::memory_order_acquire);
    do {
      if (front(seen) == back(seen)) return false;
    } while (!unclaimed_.compare_exchange_weak(seen, end_taken == End::Front ? seen + 1 : seen - kBack,
                                               std::memory_order_acq_rel));
    const int64_t begin = (end_taken == End::Front ? front(seen) : back(seen) - 1) * chunk_;
    const int64_t end = n_ - begin < chunk_ ? n_ : begin + chunk_;
    (*fn_)(begin, end);
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
    return true;
  }

  void work(End end) {
    inside_chunk = true;
    while (!stop_.load(std::memory_order_acquire)) {
      while (run_one(end)) {}
      if (spin_ && spin_until([this] { return pending() || stop_.load(std::memory_order_relaxed); }))
        continue;
      sleep();
    }
  }

  // The sleeper announces itself and then looks again; the caller publishes and then looks for sleepers.
  // All four are sequentially consistent, so at least one of the two sees the other.
  void sleep() {
    const uint32_t before = epoch_.load();
    sleepers_.fetch_add(1);
    if (!pending() && !stop_.load()) epoch_.wait(before);
    sleepers_.fetch_sub(1);
  }

  void wake() {
    epoch_.fetch_add(1);
    epoch_.notify_all();
  }

  alignas(64) std::atomic<uint64_t> unclaimed_{0};
  alignas(64) std::atomic<uint32_t> unfinished_{0};
  alignas(64) std::atomic<uint32_t> epoch_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  alignas(64) const RangeFn* fn_ = nullptr;
  int64_t n_ = 0, chunk_ = 0;
  bool spin_ = true;
  std::vector<std::thread> workers_;
};

struct Shared {
  std::atomic<int> wanted{default_threads()};
  std::atomic<bool> busy{false};   // whoever sets it owns `pool` and `pool_threads` until it clears it
  std::unique_ptr<Pool> pool;
  int pool_threads = 1;
};

// Never destroyed: a daemon thread of Python may still compute while the process runs its last destructors.
Shared& shared() {
  static Shared& s = *[] {
    auto made = std::make_unique<Shared>();
    pthread_atfork(nullptr, nullptr, [] {
      // Threads do not survive a fork. The parent's pool is left as it lies: joining would wait for ever.
      Shared& s = shared();
      static_cast<void>(s.pool.release());
      s.pool_threads = 1;
      s.busy.store(false);
    });
    return made.release();
  }();
  return s;
}

void run_inline(int64_t n, int64_t chunk, const RangeFn& fn) {
  for (int64_t begin = 0; begin < n;) {
    const int64_t end = n - begin <= chunk ? n : begin + chunk;
    fn(begin, end);
    begin = end;
  }
}

}  // namespace

int num_threads() { return shared().wanted.load(std::memory_order_relaxed); }

void set_num_threads(int n) { shared().wanted.store(n < 1 ? 1 : n, std::memory_order_relaxed); }

int default_num_threads() { return default_threads(); }

void parallel_chunks(int64_t n, int64_t chunk, RangeFn fn) {
  if (n <= 0) return;
  if (chunk < 1) chunk = 1;
  const int64_t chunks = n / chunk + (n % chunk != 0);
  if (chunks == 1) return fn(0, n);
  if (inside_chunk || chunks > UINT32_MAX) return run_inline(n, chunk, fn);
  Shared& s = shared();
  const int wanted = s.wanted.load(std::memory_order_relaxed);
  if (wanted == 1 || s.busy.exchange(true, std::memory_order_acquire)) return run_inline(n, chunk, fn);
  if (s.pool_threads != wanted) {
    s.pool.reset();
    s.pool = std::make_unique<Pool>(wanted);
    s.pool_threads = wanted;
  }
  inside_chunk = true;
  s.pool->run(n, chunk, chunks, fn);
  inside_chunk = false;
  s.busy.store(false, std::memory_order_release);
}

}  // namespace pb
