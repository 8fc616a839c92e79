// What Python sees of a node: grad_fn, its names and edges, and the hooks on it.
#pragma once
#include <map>

#include "bindings/tensor.h"
#include "tape/engine.h"

namespace pb::py {

// New reference; the same object as long as one is held.
PyObject* node_object(const Ref<Node>& node);
Ref<Node> node_from_object(PyObject* o);   // throws RuntimeError
uint32_t output_of(const Node& n, PyObject* nr);  // the number of one of its outputs; throws IndexError
void init_node_type(PyObject* module);

struct Retained {
  uint32_t nr;
  PyObject* tensor;  // a weak reference
};

struct PyNodeExtras final : NodeExtras {
  ~PyNodeExtras() override;
  bool shows_gradients() const override;
  PyObject* wrapper = nullptr;                // borrowed
  std::map<uint32_t, Owned> tensor_hooks;     // dict: id -> callable, by output
  Owned pre_hooks, post_hooks, accumulate_hooks;
  Owned metadata;
  Owned token;  // a capsule
  Owned parent;                               // in anomaly mode: the node whose backward made this one
  std::vector<Retained> retained;
};
PyNodeExtras& extras_of(Node& n);
// The node of which this is the token; null if it is gone.
const Node* node_of_token(PyObject* token);
// For the garbage collector: Python objects that a node holds which nobody but one tensor holds.
void set_edge_positions(PyObject* callable);
int visit_node(Node& n, visitproc visit, void* arg);
void clear_node(Node& n);

// Runs hooks and retained gradients on the way back.
class PythonObserver final : public EngineObserver {
 public:
  void arrived(Node& n, std::span<Var> cotangents) override;
  void before(Node& n, std::span<Var> cotangents) override;
  void after(Node& n, std::span<Var> cotangents, std::span<Var> gradients) override;
  PyObject* notes();  // borrowed: a dict that lives as long as this run, for what hooks keep about it

 private:
  Owned notes_;
};

}  // namespace pb::py
