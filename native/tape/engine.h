// The way back: from roots to leaves, in order of dependence and of creation.
#pragma once
#include <functional>

#include "tape/tape.h"

namespace pb {

struct Root {
  Ref<Node> node;
  uint32_t nr;
  Var cotangent;
};

// What Python asks to see on the way: hooks, anomaly mode, retained gradients.
class EngineObserver {
 public:
  virtual ~EngineObserver() = default;
  // Its gradients are there, whether it runs or is only waited for: hooks of its outputs, gradients to retain.
  virtual void arrived(Node& n, std::span<Var> cotangents) = 0;
  // Before it runs: the node's own pre-hooks.
  virtual void before(Node& n, std::span<Var> cotangents) = 0;
  // After it ran: the node's hooks.
  virtual void after(Node& n, std::span<Var> cotangents, std::span<Var> gradients) = 0;
};

struct Target {  // a gradient that autograd.grad asks for
  Ref<Node> node;
  uint32_t nr;
  Var gradient;  // filled in; no storage if nothing arrived
};

struct BackwardRequest {
  std::vector<Root> roots;
  std::vector<Target>* targets = nullptr;  // null: accumulate into leaves
  bool accumulate_into_targets_only = false;  // backward(inputs=...)
  BackwardMode mode;
  EngineObserver* observer = nullptr;
};

void run_backward(BackwardRequest& request);

// For what hooks ask of the innermost run around them in this thread.
EngineObserver* current_observer();       // null outside of a run
bool current_run_reaches(
    const Node& n);  // whether it runs this node, or hands out a gradient that arrives there
bool any_run_asks_for_inputs();           // this run, or one around it

// a + b written to memory of the same meta, which may be theirs, by one kernel call; false: nothing was done.
bool add_directly(const Array& to, const Var& a, const Var& b);
// into += g; a buffer that nobody else holds is reused.
void accumulate(Var& into, Var&& g, bool create_graph);

}  // namespace pb
