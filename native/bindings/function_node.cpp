#include "bindings/function_node.h"

#include <set>

#include "bindings/node_object.h"
#include "tape/watch.h"

namespace pb::py {

const std::string& interned(const char* name) {
  static auto& names = *new std::set<std::string>();
  return *names.insert(name).first;
}

namespace {

PyObject* runner = nullptr;  // pullback.autograd.function.run_backward

class FunctionNode final : public Node {
 public:
  FunctionNode(const char* name, PyObject* ctx) : name_(interned(name)), ctx_(Owned::borrow(ctx)) {
    sequence = next_sequence();
  }
  const std::string& name() const override { return name_; }
  uint32_t outputs() const override { return static_cast<uint32_t>(outputs_.size()); }
  bool runs_undefined() const override { return true; }
  const Meta* output_meta(uint32_t i) const override { return outputs_[i].get(); }
  PyObject* context() const { return ctx_.get(); }
  void clear() { ctx_ = Owned(); }

  void run(std::span<Var> cotangents, std::span<Var> out, const BackwardMode&) override {
    if (!ctx_) fail(ErrorKind::Grad, kFreedGraph);
    Owned self = own(node_object(Ref<Node>(this)));
    Owned in = own(PyTuple_New(static_cast<Py_ssize_t>(outputs_.size())));
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const bool given = i < cotangents.size() && cotangents[i].array.storage;
      PyTuple_SET_ITEM(in.get(), i, given ? wrap(cotangents[i]) : Py_NewRef(Py_None));
    }
    Owned result = own(PyObject_CallFunctionObjArgs(runner, ctx_.get(), self.get(), in.get(), nullptr));
    for (size_t i = 0; i < edge_count_ && i < out.size(); ++i) {
      PyObject* g = PyTuple_GET_ITEM(result.get(), i);
      if (g != Py_None && edges_[i].node) out[i] = var_of(g);
    }
  }

  void release_saved() override {
    if (!ctx_) return;
    check(PyObject_SetAttrString(ctx_.get(), "_entries", Py_None));
  }

  void add_edge(const Var& v) {
    own_edges_.push_back({v.node, v.nr});
    edges_ = own_edges_.data();
    edge_count_ = static_cast<uint32_t>(own_edges_.size());
    check_not_lost(v.node.get());
    if (v.node) scopes |= v.node->scopes;
  }
  void set_output(uint32_t nr, Ref<Meta> meta) {
    if (outputs_.size() <= nr) outputs_.resize(nr + 1);
    outputs_[nr] = std::move(meta);
  }

 private:
  const std::string& name_;
  Owned ctx_;
  std::vector<Edge> own_edges_;
  std::vector<Ref<Meta>> outputs_;
};

FunctionNode& function_node_of(PyObject* node) {
  auto* n = dynamic_cast<FunctionNode*>(node_from_object(node).get());
  if (!n) fail(ErrorKind::Type, "not the node of a Function");
  return *n;
}

TensorObject* tensor_argument(PyObject* o) {
  if (!is_tensor(o)) fail(ErrorKind::Type, "expected a Tensor, but got ", Py_TYPE(o)->tp_name);
  return as_tensor(o);
}

// function_node(name, ctx, inputs): a node with an edge to each of the input tensors.
PyObject* make(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    const char* name = nullptr;
    PyObject *ctx = nullptr, *inputs = nullptr;
    if (!PyArg_ParseTuple(args, "sOO!", &name, &ctx, &PyTuple_Type, &inputs)) return nullptr;
    auto* node = new FunctionNode(name, ctx);
    Ref<Node> hold(node);
    watch_creation(*node);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(inputs); ++i)
      node->add_edge(var_of(tensor_argument(PyTuple_GET_ITEM(inputs, i))));
    return node_object(hold);
  });
}

// function_output(node, nr, tensor, in_place, several): the tensor becomes output nr of the node.
PyObject* output(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *node = nullptr, *tensor = nullptr;
    unsigned nr = 0;
    int in_place = 0, several = 0;
    if (!PyArg_ParseTuple(args, "OIOpp", &node, &nr, &tensor, &in_place, &several)) return nullptr;
    TensorObject* t = tensor_argument(tensor);
    FunctionNode& n = function_node_of(node);
    n.set_output(nr, t->var.array.meta);
    if (in_place) {
      check_in_place(t, true);
      rebase_history(t, Ref<Node>(&n), nr);
    } else {
      if (t->base) catch_up(t);
      t->no_grad_view = false;
      t->function_view = t->base != nullptr;
      t->multi_view = t->base && several;
      leave_leaf(t);
      t->var.node = Ref<Node>(&n);
      t->var.nr = nr;
    }
    return Py_NewRef(tensor);
  });
}

// function_saved(node, nr, tensor): the same elements as output nr of the node.
PyObject* saved(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *node = nullptr, *tensor = nullptr;
    unsigned nr = 0;
    if (!PyArg_ParseTuple(args, "OIO", &node, &nr, &tensor)) return nullptr;
    return wrap({tensor_argument(tensor)->var.array, node_from_object(node), nr});
  });
}

PyObject* set_runner(PyObject*, PyObject* f) {
  Py_XSETREF(runner, Py_NewRef(f));
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"function_node", make, METH_VARARGS, "A node with an edge to each of the input tensors."},
    {"function_output", output, METH_VARARGS, "Makes a tensor an output of a node."},
    {"function_saved", saved, METH_VARARGS, "A tensor's elements as an output of a node."},
    {"set_function_runner", set_runner, METH_O, "What runs a user's backward."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyObject* context_of(Node& n) {
  auto* f = dynamic_cast<FunctionNode*>(&n);
  return f ? f->context() : nullptr;
}

void clear_context(Node& n) {
  if (auto* f = dynamic_cast<FunctionNode*>(&n)) f->clear();
}

void init_function_node(PyObject* module) { check(PyModule_AddFunctions(module, functions)); }

}  // namespace pb::py
