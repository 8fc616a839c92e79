#include "bindings/node_object.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "bindings/function_node.h"
#include "bindings/places.h"
#include "bindings/saved_hooks.h"
#include "core/shape.h"
#include "tape/pushed.h"

namespace pb::py {
namespace {

struct NodeObject {
  PyObject_HEAD Node* node;  // holds a count
};

PyTypeObject* base_type = nullptr;

NodeObject* as_node(PyObject* o) { return reinterpret_cast<NodeObject*>(o); }

constexpr const char* kOfFunctions =
    "torch.autograd.function";  // where torch has the classes of users' nodes

// One Python type per name, so that type(x.grad_fn).__name__ is "AddBackward0".
PyTypeObject* type_of(const std::string& name, bool of_function) {
  static auto& tables = *new std::array<std::unordered_map<std::string, PyTypeObject*>, 2>();
  auto& types = tables[of_function];
  if (auto it = types.find(name); it != types.end()) return it->second;
  const std::string shorter = name.substr(name.rfind(':') + 1);
  Owned dict =
      own(Py_BuildValue("{s:(),s:s}", "__slots__", "__module__", of_function ? kOfFunctions : "builtins"));
  PyObject* type = check(PyObject_CallFunction(reinterpret_cast<PyObject*>(&PyType_Type), "s(O)O",
                                               shorter.c_str(), base_type, dict.get()));
  return types[name] = reinterpret_cast<PyTypeObject*>(type);
}

void dealloc(PyObject* o) {
  NodeObject* self = as_node(o);
  if (self->node) {
    if (auto* e = static_cast<PyNodeExtras*>(self->node->extras.get())) e->wrapper = nullptr;
    std::exchange(self->node, nullptr)->release();
  }
  PyTypeObject* type = Py_TYPE(o);
  type->tp_free(o);
  Py_DECREF(type);
}

PyObject* refuse_new(PyTypeObject* type, PyObject*, PyObject*) {
  return guarded([&]() -> PyObject* {
    if (type != base_type) fail(ErrorKind::Type, "cannot create '", type->tp_name, "' instances");
    fail(ErrorKind::Type,
         "Can't instantiate abstract class Node\nNodes are made by operations: see grad_fn.");
  });
}

PyObject* repr(PyObject* o) {
  const char* module = context_of(*as_node(o)->node) ? kOfFunctions : "";
  return PyUnicode_FromFormat("<%s%s%s object at %p>", module, *module ? "." : "", Py_TYPE(o)->tp_name, o);
}

PyObject* name(PyObject* o, PyObject*) {
  return guarded([&] { return text(as_node(o)->node->name()); });
}

PyObject* edge_object(Edge& e) {
  const bool leads_on = e.node && !leads_nowhere(e.node.get());
  Owned next(leads_on ? node_object(e.node) : Py_NewRef(Py_None));
  return check(Py_BuildValue("(OI)", next.get(), e.nr));
}

// (shape, strides), two tuples.
Owned layout_of(const Meta& m) {
  auto tuple = [](std::span<const int64_t> values) {
    Owned t = own(PyTuple_New(static_cast<Py_ssize_t>(values.size())));
    for (size_t i = 0; i < values.size(); ++i)
      PyTuple_SET_ITEM(t.get(), i, check(PyLong_FromLongLong(values[i])));
    return t;
  };
  Owned shape = tuple(m.shape()), strides = tuple(m.strides());
  return own(PyTuple_Pack(2, shape.get(), strides.get()));
}

PyObject* next_functions(PyObject* o, void*) {
  return guarded([&]() -> PyObject* {
    Node& n = *as_node(o)->node;
    std::vector<Edge*> edges;
    for (Edge& e : n.edges()) edges.push_back(&e);
    if (const Pushed* p = applied_at(n)) {  // without those of tangents
      edges.clear();
      for (const int32_t at : p->edges) edges.push_back(&n.edges()[at]);
    }
    Owned t = own(PyTuple_New(static_cast<Py_ssize_t>(edges.size())));
    for (Py_ssize_t i = 0; Edge* e : edges) PyTuple_SET_ITEM(t.get(), i++, edge_object(*e));
    return t.release();
  });
}

PyObject* variable(PyObject* o, void*) {
  Node* n = as_node(o)->node;
  if (!n->is_leaf()) {
    PyErr_SetString(PyExc_AttributeError, "only AccumulateGrad has a variable");
    return nullptr;
  }
  PyObject* v = static_cast<LeafNode*>(n)->variable();
  if (!v) Py_RETURN_NONE;
  return v;
}

PyObject* metadata(PyObject* o, void*) {
  return guarded([&]() -> PyObject* {
    Node& n = *as_node(o)->node;
    PyNodeExtras& e = extras_of(n);
    if (!e.metadata) {
      Owned notes = own(PyDict_New());
      if (Owned stack(stack_of(n)); stack)
        check(PyDict_SetItemString(notes.get(), "traceback_", stack.get()));
      if (e.parent) check(PyDict_SetItemString(notes.get(), "parent_", e.parent.get()));
      e.metadata = std::move(notes);
    }
    return Py_NewRef(e.metadata.get());
  });
}

constexpr char kToken[] = "pullback.Node";

// What stands for a node without holding it: hooks of the node itself may keep it.
PyObject* token(PyObject* o, PyObject*) {
  return guarded([&]() -> PyObject* {
    Node* n = as_node(o)->node;
    PyNodeExtras& e = extras_of(*n);
    if (!e.token) e.token = own(PyCapsule_New(n, kToken, nullptr));
    return Py_NewRef(e.token.get());
  });
}

PyObject* sequence_nr(PyObject* o, PyObject*) {
  return PyLong_FromUnsignedLongLong(as_node(o)->node->sequence);
}

// (shape, dtype) of one of the node's outputs.
PyObject* place(PyObject* o, PyObject* nr) {
  return guarded([&]() -> PyObject* {
    const Node& n = *as_node(o)->node;
    const Meta* m = n.output_meta(output_of(n, nr));
    if (!m) fail(ErrorKind::Runtime, n.name(), " has lost its tensor: no gradient can start here");
    Owned shape = own(size_object(m->shape()));
    return Py_BuildValue("(OO)", shape.get(), dtype_object(m->dtype));
  });
}

PyObject* outputs(PyObject* o, void*) {
  return PyLong_FromUnsignedLong(as_node(o)->node->differentiable_outputs());
}
PyObject* always(PyObject*, void*) { Py_RETURN_TRUE; }
PyObject* scopes(PyObject* o, void*) { return PyLong_FromUnsignedLong(as_node(o)->node->scopes); }

PyObject* context(PyObject* o, PyObject*) {
  PyObject* ctx = context_of(*as_node(o)->node);
  return Py_NewRef(ctx ? ctx : Py_None);
}

Owned& hooks_at(PyObject* o, const char* which) {
  PyNodeExtras& e = extras_of(*as_node(o)->node);
  return std::string_view(which) == "pre" ? e.pre_hooks : e.post_hooks;
}

// Python adds and removes entries in the dict and makes the handle (pullback/autograd/graph.py).
PyObject* hook_dict(PyObject* o, PyObject* which) {
  return guarded([&]() -> PyObject* {
    Owned& d = hooks_at(o, PyUnicode_AsUTF8(which));
    if (!d) d = own(PyODict_New());
    return Py_NewRef(d.get());
  });
}

// Of an operation: its declaration, an edge for each operand (numbers and tensors), numbers, integers, which
// operands are tensors, and (shape, strides) of each operand. None for other nodes.
PyObject* application(PyObject* o, PyObject*) {
  return guarded([&]() -> PyObject* {
    auto* n = dynamic_cast<OperationNode*>(as_node(o)->node);
    if (!n || !n->plan().op->declaration) Py_RETURN_NONE;
    const Plan& p = n->plan();
    Owned edges = own(PyList_New(0)), numbers = own(PyList_New(0)), ints = own(PyList_New(0));
    Owned layouts = own(PyList_New(0));
    size_t tensor = 0;
    for (const auto& m : p.in) {
      Owned e = m ? own(edge_object(n->edges()[tensor++])) : own(Py_BuildValue("(Oi)", Py_None, 0));
      check(PyList_Append(edges.get(), e.get()));
      Owned layout = m ? layout_of(*m) : Owned::borrow(Py_None);
      check(PyList_Append(layouts.get(), layout.get()));
    }
    for (const Scalar& s : n->scalars()) {
      Owned v = own(scalar_object(s));
      check(PyList_Append(numbers.get(), v.get()));
    }
    for (int64_t i : p.ints) {
      Owned v = own(PyLong_FromLongLong(i));
      check(PyList_Append(ints.get(), v.get()));
    }
    Owned tensors = own(PyList_New(0));
    for (int32_t position : p.arguments) {
      Owned v = own(PyLong_FromLong(position));
      check(PyList_Append(tensors.get(), v.get()));
    }
    PyObject* declaration = static_cast<PyObject*>(p.op->declaration);
    return Py_BuildValue("(OOOOOO)", declaration, edges.get(), numbers.get(), ints.get(), tensors.get(),
                         layouts.get());
  });
}

OperationNode& operation_of(PyObject* o) {
  auto* n = dynamic_cast<OperationNode*>(as_node(o)->node);
  if (!n) fail(ErrorKind::Type, Py_TYPE(o)->tp_name, " is not the node of an operation");
  return *n;
}

size_t saved_index(const OperationNode& n, PyObject* index) {
  const size_t k = PyLong_AsSize_t(index);
  if (PyErr_Occurred()) throw PythonError();
  if (k >= n.plan().rule->saves.size()) fail(ErrorKind::Index, "the node keeps no value ", k);
  return k;
}

PyObject* saves(PyObject* o, PyObject*) {
  return guarded([&]() -> PyObject* {
    auto* n = dynamic_cast<OperationNode*>(as_node(o)->node);
    Owned list = own(PyList_New(0));
    if (!n) return list.release();
    for (const Save& s : n->plan().rule->saves) {
      Owned entry = own(Py_BuildValue("(Oi)", s.output ? Py_True : Py_False, s.index));
      check(PyList_Append(list.get(), entry.get()));
    }
    return list.release();
  });
}

PyObject* saved_value(PyObject* o, PyObject* index) {
  return guarded([&]() -> PyObject* {
    OperationNode& n = operation_of(o);
    const size_t k = saved_index(n, index);
    Array value = n.saved_value(k);
    if (!value.storage) Py_RETURN_NONE;
    return wrap(n.reattach(k, std::move(value)));
  });
}

// What pack_saved(k, pack, unpack) did: "packed", "freed" (nothing is kept any more) or "taken" (by other hooks).
PyObject* pack_saved(PyObject* o, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *index = nullptr, *pack = nullptr, *unpack = nullptr;
    if (!PyArg_ParseTuple(args, "OOO", &index, &pack, &unpack)) return nullptr;
    OperationNode& n = operation_of(o);
    const size_t k = saved_index(n, index);
    if (n.released()) return text("freed");
    if (n.packed(k)) return text("taken");
    pack_saved_value(n, k, pack, unpack, false);
    return text("packed");
  });
}

PyMethodDef methods[] = {
    {"name", name, METH_NOARGS, "The node's name."},
    {"_sequence_nr", sequence_nr, METH_NOARGS, "Creation number in its thread."},
    {"_place", place, METH_O, "(shape, dtype) of one of its outputs."},
    {"_token", token, METH_NOARGS, "Stands for the node without holding it."},
    {"_hooks", hook_dict, METH_O, "The dict of hooks, 'pre' or 'post'."},
    {"_application", application, METH_NOARGS,
     "(declaration, edges by operand, numbers, integers, positions of tensors, layouts), or None."},
    {"_context", context, METH_NOARGS, "The ctx of a user's Function, or None."},
    {"_saves", saves, METH_NOARGS, "Which values the node keeps: (is an output, position)."},
    {"_kept_value", saved_value, METH_O, "One of the values that the node keeps, by its place in _saves()."},
    {"_pack_saved", pack_saved, METH_VARARGS, "Hands a kept value to a pair of hooks."},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef getset[] = {
    {"_edges", next_functions, nullptr, "Where the gradients go: (node, output number) each.", nullptr},
    {"variable", variable, nullptr, "The leaf into whose grad this node adds.", nullptr},
    {"requires_grad", always, nullptr, "True: what needs no gradient has no node.", nullptr},
    {"_outputs", outputs, nullptr, "How many outputs hooks see.", nullptr},
    {"_scopes", scopes, nullptr, "The scopes of differentiation that it depends on, as bits.", nullptr},
    {"metadata", metadata, nullptr, "A dict for notes; in anomaly mode 'traceback_' and 'parent_'.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyObject* gradient_object(const Var& v) {
  if (!v.array.storage) Py_RETURN_NONE;
  return wrap(v);
}

std::string name_of(PyObject* hook) {
  Owned name(PyObject_GetAttrString(hook, "__name__"));
  PyErr_Clear();
  if (name && PyUnicode_Check(name.get())) return PyUnicode_AsUTF8(name.get());
  return "<unknown>";
}

void take_gradient(Var& into, PyObject* value, PyObject* hook) {
  if (!is_tensor(value))
    fail(ErrorKind::Type, "expected Variable, but hook returned '", Py_TYPE(value)->tp_name, "'");
  const Var& v = var_of(value);
  if (into.array.storage) {
    const Meta &is = *v.array.meta, &was = *into.array.meta;
    if (is.dtype != was.dtype) {
      fail(ErrorKind::Runtime, "hook '", name_of(hook), "' has changed the type of value (was torch.",
           info(was.dtype).legacy, " got torch.", info(is.dtype).legacy, ")");
    }
    if (!std::ranges::equal(is.shape(), was.shape())) {
      fail(ErrorKind::Runtime, "hook '", name_of(hook), "' has changed the size of value\nIt returned ",
           shape_text(is.shape()), " for a gradient of shape ", shape_text(was.shape()), ".");
    }
  }
  into = v;
}

// A copy of the hooks: a hook may remove itself.
std::vector<Owned> callables(const Owned& dict) {
  std::vector<Owned> out;
  if (!dict) return out;
  Owned values = own(PyDict_Values(dict.get()));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(values.get()); ++i)
    out.push_back(Owned::borrow(PyList_GET_ITEM(values.get(), i)));
  return out;
}

Owned gradients_tuple(std::span<Var> values) {
  Owned t = own(PyTuple_New(static_cast<Py_ssize_t>(values.size())));
  for (size_t i = 0; i < values.size(); ++i) PyTuple_SET_ITEM(t.get(), i, check(gradient_object(values[i])));
  return t;
}

void replace_all(std::span<Var> values, PyObject* result, PyObject* hook) {
  if (result == Py_None) return;
  if (!PyTuple_Check(result)) {
    fail(ErrorKind::Type, "expected tuple, but hook returned '", Py_TYPE(result)->tp_name,
         "'\nA node's hook returns None, or a tuple with one gradient (or None) for each of ", values.size(),
         ".");
  }
  if (PyTuple_GET_SIZE(result) != static_cast<Py_ssize_t>(values.size())) {
    fail(ErrorKind::Runtime, "hook '", name_of(hook), "' has returned an incorrect number of values (got ",
         PyTuple_GET_SIZE(result), ", but expected ", values.size(), ")");
  }
  for (size_t i = 0; i < values.size(); ++i) {
    PyObject* v = PyTuple_GET_ITEM(result, i);
    if (v == Py_None) values[i] = Var();
    else take_gradient(values[i], v, hook);
  }
}

}  // namespace

PyNodeExtras::~PyNodeExtras() {
  if (token) PyCapsule_SetContext(token.get(), this);  // from now on nobody's
  for (Retained& r : retained) Py_XDECREF(r.tensor);
}

const Node* node_of_token(PyObject* token) {
  const void* node = PyCapsule_GetPointer(token, kToken);
  if (!node) throw PythonError();
  return PyCapsule_GetContext(token) ? nullptr : static_cast<const Node*>(node);
}

PyNodeExtras& extras_of(Node& n) {
  if (!n.extras) n.extras = std::make_unique<PyNodeExtras>();
  return static_cast<PyNodeExtras&>(*n.extras);
}

PyObject* node_object(const Ref<Node>& joint) {
  const Ref<Node> node(joint->pushed ? &known_as(*joint) : joint.get());
  PyNodeExtras& e = extras_of(*node);
  if (e.wrapper) return Py_NewRef(e.wrapper);
  PyTypeObject* type = type_of(node->name(), context_of(*node));
  PyObject* o = check(type->tp_alloc(type, 0));
  node->retain();
  as_node(o)->node = node.get();
  e.wrapper = o;
  return o;
}

Ref<Node> node_from_object(PyObject* o) {
  if (!PyObject_TypeCheck(o, base_type)) {
    fail(ErrorKind::Runtime, "GradientEdge's first object must be an autograd.graph.Node but got ",
         Py_TYPE(o)->tp_name, "\nGet edges from torch.autograd.graph.get_gradient_edge().");
  }
  return Ref<Node>(as_node(o)->node);
}

uint32_t output_of(const Node& n, PyObject* nr) {
  const unsigned long k = PyLong_AsUnsignedLong(nr);
  if (PyErr_Occurred()) throw PythonError();
  if (k >= n.outputs())
    fail(ErrorKind::Index, n.name(), " has no output ", k, "\nIts outputs are numbered from 0 to ",
         n.outputs() - 1, ".");
  return static_cast<uint32_t>(k);
}

namespace {

void run_tensor_hooks(const Node& n, PyNodeExtras& e, std::span<Var> cotangents) {
  for (auto& [nr, dict] : e.tensor_hooks) {
    if (nr >= cotangents.size()) continue;
    if (n.pushed && !cotangents[nr].array.storage) continue;  // what arrived belongs to tangents
    for (const Owned& hook : callables(dict)) {
      Owned g = own(gradient_object(cotangents[nr]));
      Owned r = own(PyObject_CallOneArg(hook.get(), g.get()));
      if (r.get() != Py_None) take_gradient(cotangents[nr], r.get(), hook.get());
    }
  }
}

void retain_gradients(const PyNodeExtras& e, std::span<Var> cotangents) {
  for (const Retained& r : e.retained) {
    PyObject* t = PyWeakref_GetObject(r.tensor);
    if (t == Py_None || r.nr >= cotangents.size() || !cotangents[r.nr].array.storage) continue;
    Owned hold = Owned::borrow(t);
    Var g = cotangents[r.nr];
    TensorObject* to = as_tensor(t);
    if (!to->grad) {  // of its own: what arrives goes on to the node, and may be one number for all elements
      static const Op* clone = find_op("clone");
      const Argument args[1] = {{&g, {}}};
      Py_XSETREF(to->grad, wrap(apply_one({clone, args, {}, 0})));
    } else {
      Var sum = var_of(to->grad);
      accumulate(sum, std::move(g), grad_enabled());
      Py_XSETREF(to->grad, wrap(std::move(sum)));
    }
  }
}

void run_accumulate_hooks(LeafNode& n, const PyNodeExtras& e) {
  if (!e.accumulate_hooks) return;
  Owned leaf(n.variable());
  if (!leaf) return;
  for (const Owned& hook : callables(e.accumulate_hooks)) {
    Owned r = own(PyObject_CallOneArg(hook.get(), leaf.get()));
    if (r.get() != Py_None) {
      fail(ErrorKind::Type, "expected Variable, but hook returned '", Py_TYPE(r.get())->tp_name,
           "'\nA hook after accumulation changes .grad of the tensor that it is given, and returns None.");
    }
  }
}

PyObject* edge_positions = nullptr;  // pullback.autograd.hooks.edge_positions

// Where each gradient of the node, in the order of its next_functions, stands among those that it computes; -1: none.
std::vector<Py_ssize_t> positions_of(Node& n) {
  std::vector<Py_ssize_t> out;
  if (n.is_leaf()) return out;
  Owned self = own(node_object(Ref<Node>(&n)));
  Owned list = own(PyObject_CallOneArg(edge_positions, self.get()));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.get()); ++i)
    out.push_back(PyLong_AsSsize_t(PyList_GET_ITEM(list.get(), i)));
  return out;
}

void run_post_hooks(Node& n, const PyNodeExtras& e, std::span<Var> cotangents, std::span<Var> gradients) {
  const std::vector<Owned> hooks = callables(e.post_hooks);
  if (hooks.empty()) return;
  const std::vector<Py_ssize_t> positions = positions_of(n);
  std::vector<Var> shown(positions.size());
  for (size_t i = 0; i < positions.size(); ++i)
    if (positions[i] >= 0) shown[i] = gradients[positions[i]];
  for (const Owned& hook : hooks) {
    Owned in = gradients_tuple(shown), out = gradients_tuple(cotangents);
    Owned r = own(PyObject_CallFunctionObjArgs(hook.get(), in.get(), out.get(), nullptr));
    replace_all(shown, r.get(), hook.get());
  }
  for (size_t i = 0; i < positions.size(); ++i)
    if (positions[i] >= 0) gradients[positions[i]] = shown[i];
}

}  // namespace

void set_edge_positions(PyObject* callable) { Py_XSETREF(edge_positions, Py_NewRef(callable)); }

void PythonObserver::arrived(Node& n, std::span<Var> cotangents) {
  auto& e = static_cast<PyNodeExtras&>(*n.extras);
  run_tensor_hooks(n, e, cotangents);
  retain_gradients(e, cotangents);
}

void PythonObserver::before(Node& n, std::span<Var> cotangents) {
  auto& e = static_cast<PyNodeExtras&>(*n.extras);
  const std::span<Var> seen =
      cotangents.first(std::min<size_t>(cotangents.size(), n.differentiable_outputs()));
  for (const Owned& hook : callables(e.pre_hooks)) {
    Owned g = gradients_tuple(seen);
    Owned r = own(PyObject_CallOneArg(hook.get(), g.get()));
    replace_all(seen, r.get(), hook.get());
  }
}

void PythonObserver::after(Node& n, std::span<Var> cotangents, std::span<Var> gradients) {
  auto& e = static_cast<PyNodeExtras&>(*n.extras);
  if (n.is_leaf()) run_accumulate_hooks(static_cast<LeafNode&>(n), e);
  run_post_hooks(n, e, cotangents.first(std::min<size_t>(cotangents.size(), n.differentiable_outputs())),
                 gradients);
}

PyObject* PythonObserver::notes() {
  if (!notes_) notes_ = own(PyDict_New());
  return notes_.get();
}

namespace {

// The cotangents that a caller gives, in torch's words where they are not what the node takes.
std::vector<Var> cotangents_of(const Node& n, PyObject* args, PyObject* kwargs) {
  if (kwargs && PyDict_GET_SIZE(kwargs)) fail(ErrorKind::Type, "keyword arguments are not supported");
  const Py_ssize_t count = PyTuple_GET_SIZE(args), wanted = n.differentiable_outputs();
  if (count != wanted) {
    fail(ErrorKind::Type, "expected ", wanted, " arguments, got ", count, " instead\n", n.name(),
         " takes the gradient of each of its outputs; None stands for zeros.");
  }
  std::vector<Var> out(static_cast<size_t>(count));
  for (Py_ssize_t k = 0; k < count; ++k) {
    PyObject* g = PyTuple_GET_ITEM(args, k);
    if (g == Py_None) continue;
    if (!is_tensor(g)) fail(ErrorKind::Type, "argument ", k, " is not a Variable\nGive a tensor, or None.");
    out[k] = var_of(g);
    const Meta* m = n.output_meta(static_cast<uint32_t>(k));
    const auto given = out[k].array.meta->shape();
    if (m && !std::ranges::equal(given, m->shape())) {
      fail(ErrorKind::Shape, "Mismatch in shape: grad_output[", k, "] has a shape of torch.Size(",
           shape_text(given), ") and output[", k, "] has a shape of torch.Size(", shape_text(m->shape()),
           ").");
    }
  }
  return out;
}

// grad_fn(gradient, ...): this step of the way back alone, without hooks. What the node keeps stays.
PyObject* call(PyObject* o, PyObject* args, PyObject* kwargs) {
  return guarded([&]() -> PyObject* {
    const Ref<Node> n(as_node(o)->node);
    if (context_of(*n)) {
      fail(ErrorKind::Type, "'", Py_TYPE(o)->tp_name, "' object is not callable\nIts backward is called by ",
           "torch.autograd.grad(outputs, inputs, grad_outputs).");
    }
    std::vector<Var> cotangents = cotangents_of(*n, args, kwargs);
    std::vector<Var> gradients(n->edges().size());
    if (std::ranges::any_of(cotangents, [](const Var& g) { return !!g.array.storage; })) {
      const BackwardMode mode{true, recording()};
      const GradMode same(mode.create_graph);
      n->run(cotangents, gradients, mode);
      if (n->is_leaf()) run_accumulate_hooks(static_cast<LeafNode&>(*n), extras_of(*n));
    }
    std::vector<Var> shown;
    for (const Py_ssize_t at : positions_of(*n)) shown.push_back(at < 0 ? Var() : std::move(gradients[at]));
    if (shown.size() == 1) return gradient_object(shown[0]);
    return gradients_tuple(shown).release();
  });
}

}  // namespace

void init_node_type(PyObject* module) {
  static const char* about =
      "A step of the graph: what made a tensor, and where its gradients go on.\n"
      "\n"
      "Example   >>> y = torch.ones(2, requires_grad=True).exp()\n"
      "          >>> y.grad_fn.name(), y.grad_fn.next_functions[0][0].name()\n"
      "          ('ExpBackward0', 'torch::autograd::AccumulateGrad')\n";
  static PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>(about)},
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_new, reinterpret_cast<void*>(refuse_new)},
      {Py_tp_repr, reinterpret_cast<void*>(repr)},
      {Py_tp_call, reinterpret_cast<void*>(call)},
      {Py_tp_methods, methods},
      {Py_tp_getset, getset},
      {0, nullptr},
  };
  static PyType_Spec spec = {"torch.autograd.graph.Node", sizeof(NodeObject), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  base_type = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&spec)));
  check(PyModule_AddObjectRef(module, "Node", reinterpret_cast<PyObject*>(base_type)));
}

}  // namespace pb::py
