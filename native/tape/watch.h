// What the search for faults asks of the tape: places of the user's program, and a look at every result.
#pragma once
#include "tape/plan.h"

namespace pb {

enum Watch : uint8_t {
  kWatchLines = 1,      // the user's line for each node and each change in place
  kWatchStacks = 2,     // anomaly mode: the stack for each node; errors on the way back name their node
  kWatchNan = 4,        // anomaly mode: nan in gradients
  kWatchNonfinite = 8,  // nan and infinity in every result
};
// Process-wide, as torch's anomaly mode is; changed with the GIL held. Off, all of this costs a test of a byte.
inline uint8_t g_watched = 0;

// Set in Storage::changed_at by an optimizer's step while results are watched: what it writes is looked at when it
// is used, not before.
inline constexpr uint32_t kByStep = uint32_t{1} << 30;

// Implemented by the bindings, which know Python's frames.
class Watcher {
 public:
  virtual ~Watcher() = default;
  // Where the user's program is, as a number; 0: nowhere.
  virtual uint32_t here() = 0;
  virtual std::string text(uint32_t place) = 0;
  virtual void created(Node& n) = 0;
  // A node's run failed: says where the node was recorded. An exception is on its way.
  virtual void failed(Node& n) = 0;
  // Results, or gradients, are not all finite: returns if an operand brought that in, throws if the op made it.
  // `elementwise`: an element of the result comes from the same element of the operands only.
  virtual void judge_results(const Application& a, std::span<const Array> results, bool elementwise,
                             const char* purpose) = 0;
  virtual void judge_gradients(Node& n, std::span<const Var> cotangents, std::span<const Var> gradients,
                               std::span<const Ref<Node>> roots) = 0;
};
inline Watcher* g_watcher = nullptr;

// Every node calls this once it is made.
inline void watch_creation(Node& n) {
  if (g_watched) [[unlikely]]
    g_watcher->created(n);
}

inline void count_change(Storage& s) {
  ++s.version;
  if (g_watched & (kWatchLines | kWatchStacks)) [[unlikely]]
    s.changed_at = g_watcher->here();
}

// The end of the error about a changed tensor, in torch's words.
const char* anomaly_hint();
// And after it: where it was saved and where it was changed, as far as that is known.
std::string change_text(uint32_t saved_at, uint32_t changed_at);

// Does the op, or every instruction of its program, go element by element?
bool is_elementwise(const Plan& p);

bool all_finite(const Array& a);
bool has_nan(const Array& a);

// Looks at what an op has computed.
void look_at_results(const Application& a, std::span<const Array> results);
inline void watch_results(const Application& a, std::span<const Array> results) {
  if (g_watched & kWatchNonfinite) [[unlikely]]
    look_at_results(a, results);
}

// What a node gives back is not all finite: anomaly mode refuses a nan, and nonfinite() what the node made.
void judge_gradients(Node& n, std::span<const Var> cotangents, std::span<const Var> gradients,
                     std::span<const Ref<Node>> roots);

// Results are not looked at while this lives: they are judged as a whole, or belong to a judgement.
class Unwatched {
 public:
  explicit Unwatched(bool on = true);
  ~Unwatched();
  Unwatched(const Unwatched&) = delete;
  Unwatched& operator=(const Unwatched&) = delete;

 private:
  const int by_;
};

// What ops that the user did not write are run for; completes "add, ...".
class Purpose {
 public:
  explicit Purpose(const char* text);
  ~Purpose();
  Purpose(const Purpose&) = delete;
  Purpose& operator=(const Purpose&) = delete;

 private:
  const char* before_;
};

// The node that runs on this thread: anomaly mode makes it the parent of those recorded meanwhile.
Node* running_node();
class RunningNode {
 public:
  explicit RunningNode(Node& n);
  ~RunningNode();
  RunningNode(const RunningNode&) = delete;
  RunningNode& operator=(const RunningNode&) = delete;

 private:
  Node* before_;
};

}  // namespace pb
