#include "tape/watch.h"

#include <algorithm>
#include <atomic>

#include "core/shape.h"
#include "runtime/threads.h"
#include "tape/tape.h"

namespace pb {
namespace {

constexpr int64_t kParallelElements = 1 << 16;

thread_local int t_unwatched = 0;
thread_local const char* t_purpose = nullptr;
thread_local Node* t_running = nullptr;

bool all_finite_in(DType dtype, const char* data, int64_t n) {
  if (n < kParallelElements) return kernels().all_finite(dtype, data, n);
  std::atomic<bool> finite = true;
  const int64_t width = size_of(dtype);
  parallel_chunks(n, kParallelElements / 2, [&](int64_t begin, int64_t end) {
    if (finite.load(std::memory_order_relaxed) &&
        !kernels().all_finite(dtype, data + begin * width, end - begin))
      finite.store(false, std::memory_order_relaxed);
  });
  return finite;
}

Array packed(const Array& a) {
  Array copy = Array::allocate(Meta::contiguous(a.meta->dtype, a.meta->shape()));
  copy_elements(copy, a);
  return copy;
}

}  // namespace

const char* anomaly_hint() {
  if (g_watched & kWatchStacks) {
    return "Hint: the backtrace further above shows the operation that failed to compute its gradient. The "
           "variable in question was changed in there or anywhere later. Good luck!";
  }
  return "Hint: enable anomaly detection to find the operation that failed to compute its gradient, with "
         "torch.autograd.set_detect_anomaly(True, check_nan=False).";
}

std::string change_text(uint32_t saved_at, uint32_t changed_at) {
  std::string text;
  changed_at &= ~kByStep;
  if (saved_at) text += "\nIt was saved by\n" + g_watcher->text(saved_at);
  if (changed_at)
    text += (saved_at ? "and changed by\n" : "\nIt was changed by\n") + g_watcher->text(changed_at);
  if (!text.empty()) text.pop_back();  // the last line's end
  return text;
}

bool is_elementwise(const Plan& p) {
  return std::ranges::all_of(p.rule->forward->instructions,
                             [](const Instruction& i) { return i.op->family == Family::Elementwise; });
}

bool all_finite(const Array& a) {
  if (!a.storage) return true;
  const Meta& m = *a.meta;
  if (!is_float(m.dtype) || m.numel == 0) return true;
  if (m.is_contiguous) return all_finite_in(m.dtype, static_cast<const char*>(a.data()), m.numel);
  if (!m.is_dense) return all_finite(packed(a));
  int64_t low = 0, high = 0;
  m.extent(low, high);
  return all_finite_in(m.dtype, static_cast<char*>(a.data()) + low * size_of(m.dtype), m.numel);
}

bool has_nan(const Array& a) {
  if (all_finite(a)) return false;
  const Array copy = a.meta->is_contiguous ? a : packed(a);
  bool found = false;
  visit_dtype(a.meta->dtype, [&]<class T>() {
    const T* p = static_cast<const T*>(copy.data());
    for (int64_t i = 0; i < a.meta->numel; ++i) found |= p[i] != p[i];
  });
  return found;
}

void look_at_results(const Application& a, std::span<const Array> results) {
  if (t_unwatched) return;
  for (const Array& r : results) {
    if (all_finite(r)) continue;
    const Unwatched quiet;
    const bool elementwise = is_elementwise(find_plan(a, needed(a)));
    const GradMode off(false);
    return g_watcher->judge_results(a, results, elementwise, t_purpose);
  }
}

void judge_gradients(Node& n, std::span<const Var> cotangents, std::span<const Var> gradients,
                     std::span<const Ref<Node>> roots) {
  for (size_t i = 0; g_watched & kWatchNan && i < gradients.size(); ++i) {
    const Array& g = gradients[i].array;
    if (!g.storage || !has_nan(g)) continue;
    fail(ErrorKind::Runtime, "Function '", n.name(), "' returned nan values in its ", i,
         "th output.\nThe warning above shows the forward call; pullback.debug.nonfinite() also tells the ",
         "element and the values that it was made from.");
  }
  if (!(g_watched & kWatchNonfinite) || t_unwatched) return;
  const Unwatched quiet;
  const GradMode off(false);
  g_watcher->judge_gradients(n, cotangents, gradients, roots);
}

Unwatched::Unwatched(bool on) : by_(on ? 1 : 0) { t_unwatched += by_; }
Unwatched::~Unwatched() { t_unwatched -= by_; }

Purpose::Purpose(const char* text) : before_(t_purpose) { t_purpose = text; }
Purpose::~Purpose() { t_purpose = before_; }

Node* running_node() { return t_running; }
RunningNode::RunningNode(Node& n) : before_(t_running) { t_running = &n; }
RunningNode::~RunningNode() { t_running = before_; }

}  // namespace pb
