#include "bindings/tensor.h"

#include <structmember.h>

#include <thread>

#include "bindings/axes.h"
#include "bindings/conversion.h"
#include "bindings/journal.h"
#include "bindings/node_object.h"
#include "bindings/override.h"
#include "bindings/placed.h"
#include "bindings/reading.h"
#include "bindings/view_refusals.h"
#include "core/shape.h"
#include "tape/transform.h"
#include "tape/views.h"
#include "tape/watch.h"

namespace pb::py {

PyTypeObject* tensor_type = nullptr;
PyTypeObject* parameter_type = nullptr;

namespace {

constexpr size_t kFreeLimit = 256;
std::vector<PyObject*>& free_tensors() {
  static std::vector<PyObject*>& list = *new std::vector<PyObject*>();
  return list;
}

TensorObject* allocate_object(PyTypeObject* type) {
  auto& list = free_tensors();
  if (type == tensor_type && !list.empty()) {
    PyObject* o = list.back();
    list.pop_back();
    PyObject_Init(o, type);
    return as_tensor(o);
  }
  if (type == tensor_type) return PyObject_GC_New(TensorObject, type);
  return as_tensor(check(type->tp_alloc(type, 0)));
}

void clear_fields(TensorObject* t) {
  Py_CLEAR(t->grad);
  Py_CLEAR(t->dict);
  forget_base(t);
}

// The node of a leaf. Another tensor object may stand at a leaf's place too, but does not own it.
LeafNode* own_leaf(TensorObject* t) {
  Node* n = t->var.node.get();
  if (!n || !n->is_leaf()) return nullptr;
  auto* leaf = static_cast<LeafNode*>(n);
  return leaf->belongs_to(t) ? leaf : nullptr;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  TensorObject* t = as_tensor(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(t->grad);
  Py_VISIT(t->dict);
  Py_VISIT(t->base);
  // Hooks often refer to their tensor: what only this tensor holds must be visible to the collector.
  Node* n = t->var.node.get();
  return n && n->refs() == 1 ? visit_node(*n, visit, arg) : 0;
}

int clear(PyObject* self) {
  Node* n = as_tensor(self)->var.node.get();
  if (n && n->refs() == 1) clear_node(*n);
  clear_fields(as_tensor(self));
  return 0;
}

void finalize(PyObject* self) {
  TensorObject* t = as_tensor(self);
  LeafNode* leaf = own_leaf(t);
  if (leaf && leaf->accumulates && leaf->refs() > 1) leaf->keep_alive();
}

void dealloc(PyObject* self) {
  TensorObject* t = as_tensor(self);
  LeafNode* leaf = own_leaf(t);
  PyTypeObject* type = Py_TYPE(self);
  if (leaf && leaf->refs() > 1) {
    if (PyObject_CallFinalizerFromDealloc(self) < 0) return;  // a graph still leads here: the node keeps it
  }
  PyObject_GC_UnTrack(self);
  if (t->weakrefs) PyObject_ClearWeakRefs(self);
  if (leaf) leaf->tensor_died();
  if (t->parked) t->parked->tensor_died();
  clear_fields(t);
  t->var.~Var();
  auto& list = free_tensors();
  // A finalized object keeps that mark, so it must not be used again.
  if (type == tensor_type && list.size() < kFreeLimit && !PyObject_GC_IsFinalized(self)) list.push_back(self);
  else type->tp_free(self);
  Py_DECREF(type);
}

// Subclasses are made by Tensor._make_subclass and as_subclass; Tensor(...) itself goes through Python.
PyObject* refuse_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  PyObject* make = PyObject_GetAttrString(reinterpret_cast<PyObject*>(tensor_type), "_legacy_new");
  if (!make) return nullptr;
  Py_ssize_t n = PyTuple_GET_SIZE(args);
  Owned all(PyTuple_New(n + 1));
  Py_INCREF(type);
  PyTuple_SET_ITEM(all.get(), 0, reinterpret_cast<PyObject*>(type));
  for (Py_ssize_t i = 0; i < n; ++i) PyTuple_SET_ITEM(all.get(), i + 1, Py_NewRef(PyTuple_GET_ITEM(args, i)));
  PyObject* result = PyObject_Call(make, all.get(), kwargs);
  Py_DECREF(make);
  return result;
}

PyMemberDef members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(TensorObject, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TensorObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

}  // namespace

TensorObject* new_tensor(Var v, PyTypeObject* type) {
  if (!type) type = tensor_type;
  TensorObject* t = allocate_object(type);
  if (!t) throw PythonError();
  new (&t->var) Var(std::move(v));
  t->grad = nullptr;
  t->base = nullptr;
  t->rebases = t->seen_rebases = t->seen_version = t->views = 0;
  t->retains_grad = t->no_grad_view = t->multi_view = t->inference_view = t->function_view = false;
  t->dict = t->weakrefs = nullptr;
  t->parked = nullptr;
  if (type == tensor_type) PyObject_GC_Track(reinterpret_cast<PyObject*>(t));
  return t;
}

PyObject* wrap(Var v) {
  if (v.node && v.node->is_leaf()) {
    Owned leaf(static_cast<LeafNode*>(v.node.get())->variable());
    if (leaf) {
      const Array& a = as_tensor(leaf.get())->var.array;
      if (a.storage == v.array.storage && a.meta == v.array.meta && a.offset == v.array.offset)
        return leaf.release();
    }
  }
  return reinterpret_cast<PyObject*>(new_tensor(std::move(v)));
}

PyObject* wrap_array(Array a) { return wrap({std::move(a), nullptr, 0}); }

bool requires_grad(TensorObject* t) { return static_cast<bool>(innermost(var_of(t)).node); }
bool is_leaf(TensorObject* t) {
  const Var& v = innermost(var_of(t));
  check_not_lost(v.node.get());
  return !v.node || v.node->is_leaf();
}

// A graph that leads to this leaf goes on to do so: the node is found again if the leaf asks for gradients again,
// and is told when the tensor dies.
void leave_leaf(TensorObject* t) {
  LeafNode* leaf = own_leaf(t);
  if (!leaf) return;
  if (!leaf->accumulates) return leaf->tensor_died();  // nothing to find again
  leaf->give_back();
  if (leaf->refs() > 1) t->parked = leaf;
}

namespace {

void check_can_require_grad(const Var& v) {
  if (is_float(v.array.meta->dtype)) return;
  fail(ErrorKind::Grad, "only Tensors of floating point dtype can require gradients\nThis tensor is of type ",
       info(v.array.meta->dtype).name, "; convert it first, for example with .float().");
}

// Whether a place on the tape already is as asked for.
bool has_flag(const Var& v, bool on) {
  if (on == static_cast<bool>(v.node)) return true;
  if (!v.node || v.node->is_leaf()) return false;
  fail(ErrorKind::Grad,
       "you can only change requires_grad flags of leaf variables. If you want to use a computed ",
       "variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach().");
}

// The tape is below the layers: there a leaf of its own takes the value's place.
void set_requires_grad_below(Var& v, bool on) {
  if (has_flag(v, on)) return;
  v.node = nullptr;
  v.nr = 0;
  if (!on) return;
  check_can_require_grad(v);
  Owned leaf(reinterpret_cast<PyObject*>(new_tensor({v.array, nullptr, 0})));
  set_requires_grad(as_tensor(leaf.get()), true);
  v.node = as_tensor(leaf.get())->var.node;
}

}  // namespace

// A view needs a gradient if its base does, as in torch: also one that was made where nothing is recorded.
void lean_on_base(TensorObject* view) {
  const Var& base = view->base->var;
  Var& v = view->var;
  if (base.layer || v.layer || (v.node && !leads_nowhere(v.node.get()))) return;
  if (static_cast<bool>(base.node) == static_cast<bool>(v.node) || !is_float(v.array.meta->dtype)) return;
  leave_leaf(view);
  v.node = Ref<Node>(base.node ? new LeafNode(view, false) : nullptr);
  v.nr = 0;
  if (base.node) v.node->scopes = base.node->scopes;
}

void set_requires_grad(TensorObject* t, bool on) {
  const Var& v = var_of(t);
  if (v.layer) return set_requires_grad_below(const_cast<Var&>(innermost(v)), on);
  if (LeafNode* leaf = own_leaf(t); leaf && t->base && innermost(t->base->var).node) {
    leaf->accumulates = on;  // it needs a gradient either way
    return;
  }
  if (has_flag(v, on)) return;
  if (t->views) ++t->rebases;  // which need a gradient from now on, or no more
  if (on && v.array.storage && v.array.storage->inference && !inference_mode()) {
    fail(ErrorKind::Grad,
         "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.\n",
         "Make a clone() of it, which is an ordinary tensor.");
  }
  if (!on) {
    leave_leaf(t);
    t->var.node = nullptr;
    return;
  }
  check_can_require_grad(v);
  t->var.node = Ref<Node>(t->parked ? std::exchange(t->parked, nullptr) : new LeafNode(t));
  t->var.nr = 0;
  watch_creation(*t->var.node);
}

void forget_base(TensorObject* view) {
  TensorObject* base = std::exchange(view->base, nullptr);
  if (!base) return;
  --base->views;
  Py_DECREF(base);
}

void catch_up(TensorObject* view) {
  view->seen_rebases = view->base->rebases;
  const Storage* s = view->var.array.storage.get();
  view->seen_version = s ? s->version : 0;
}

void mark_view(TensorObject* view, TensorObject* base) {
  TensorObject* root = base->base ? base->base : base;
  Py_INCREF(root);
  forget_base(view);
  view->base = root;
  ++root->views;
  catch_up(view);
  const bool recorded = recording();
  view->no_grad_view = !recorded || base->no_grad_view;
  view->multi_view = base->multi_view && recorded;
  view->function_view = base->function_view && recorded;
  const Storage* memory = root->var.array.storage.get();
  view->inference_view = base->inference_view || (memory && inference_mode() && !memory->inference);
  if (view->no_grad_view && root->var.node) lean_on_base(view);
}

// A new place on the tape. The gradient to retain is from now on the new value's; hooks stay with the old one.
void move_to_node(TensorObject* t, Ref<Node> node, uint32_t nr) {
  if (t->retains_grad && t->var.node && node) {
    auto& from = extras_of(*t->var.node).retained;
    for (size_t k = 0; k < from.size(); ++k) {
      if (PyWeakref_GetObject(from[k].tensor) != reinterpret_cast<PyObject*>(t)) continue;
      extras_of(*node).retained.push_back({nr, from[k].tensor});
      from.erase(from.begin() + static_cast<std::ptrdiff_t>(k));
      break;
    }
  }
  leave_leaf(t);
  t->var.node = std::move(node);
  t->var.nr = nr;
}

namespace {

void follow_base(TensorObject* t) {
  if (innermost(t->base->var).node && is_restricted_view(t))
    fail(ErrorKind::Inplace, why_not(t, kChangedElsewhere));
  TensorObject* base = t->base;
  catch_up(t);
  const GradMode on(true);
  if (base->var.layer || t->var.layer) {
    t->var = viewed(base->var, t->var);
    return;
  }
  if (!base->var.node) return;
  move_to_node(t, record_view(base->var, t->var.array), 0);
}

// It is refused not before somebody asks for it: without recording, the elements may go on to change.
void lose_history(TensorObject* t) {
  if (!is_float(t->var.array.meta->dtype) || LostNode::from(t->var.node.get())) return;
  std::string why = why_not(t, kChangedElsewhere);
  leave_leaf(t);
  t->var.node = Ref<Node>(new LostNode(std::move(t->var.node), std::move(why)));
}

}  // namespace

void refresh(TensorObject* t) {
  if (t->base->var.layer || t->var.layer)
    return t->base->rebases == t->seen_rebases ? catch_up(t) : follow_base(t);
  const Storage* memory = t->var.array.storage.get();
  const bool changed = memory && memory->version != t->seen_version;
  const Node* of_base = t->base->var.node.get();
  if (is_restricted_view(t) && changed) {
    catch_up(t);
    return of_base || t->var.node ? lose_history(t) : void();
  }
  if (of_base && !of_base->is_leaf()) return follow_base(t);
  catch_up(t);  // only its flag has changed
  lean_on_base(t);
}


void check_not_inference(const Array& a) {
  if (!a.storage || !a.storage->inference || inference_mode()) return;
  fail(ErrorKind::Inplace,
       "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a ",
       "clone to get a normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 "
       "for ",
       "more details.");
}

void check_in_place(TensorObject* t, bool records) {
  check_not_inference(t->var.array);
  if (!recording()) return;
  const Node* node = innermost(var_of(t)).node.get();
  const Node* of_base = t->base ? innermost(t->base->var).node.get() : nullptr;
  if (is_restricted_view(t) && (records || node || of_base)) fail(ErrorKind::Inplace, why_not(t, kChanged));
  // A leaf may itself be a view, of a tensor that requires no gradient.
  if (of_base ? of_base->is_leaf() : t->base && node) {
    fail(ErrorKind::Inplace,
         "a view of a leaf Variable that requires grad is being used in an in-place operation.\n",
         "Change it under torch.no_grad(), or change a view of a clone.");
  }
  if (node && node->is_leaf()) {
    fail(ErrorKind::Inplace, "a leaf Variable that requires grad is being used in an in-place operation.\n",
         "Change it under torch.no_grad(), or change a clone of it.");
  }
  if (!t->base || !(records || node || of_base || t->var.layer || t->base->var.layer)) return;
  check_places(t->var.array, t->base->var.array);
  // It may show elements of the base that the view which it was made from has not.
  if (of_base && node && node->name() == "AsStridedBackward0") follow_base(t);
}

void check_writable(TensorObject* t) {
  check_in_place(t);
  check_no_internal_overlap(t->var.array);
}

void rebase_history(TensorObject* t, Ref<Node> node, uint32_t nr) {
  if (!node) return;
  Journal::before_move(t);
  if (t->base) Journal::before_move(t->base);
  static const std::string slices = "torch::autograd::CopySlices";
  // A detached tensor over the same memory is another value: what the graph saved keeps its name.
  if (t->var.node || (t->base && t->base->var.node))
    t->var.array.storage->changed_by = t->base ? &slices : &node->name();
  if (!t->base) {
    move_to_node(t, std::move(node), nr);
    ++t->rebases;
    return;
  }
  TensorObject* base = t->base;
  const Var value{t->var.array, std::move(node), nr};
  move_to_node(base, record_slices(base->var, value), 0);
  ++base->rebases;
  refresh(t);
}

void become_view(TensorObject* t, const Var& view) {
  check_in_place(t);
  t->var.layer = view.layer;
  t->var.array.meta = view.array.meta;
  t->var.array.offset = view.array.offset;
  count_change(*t->var.array.storage);
  if (view.node && grad_enabled()) {
    if (!t->base) {
      t->var.array.storage->changed_by = &view.node->name();
      ++t->rebases;
    }
    move_to_node(t, view.node, view.nr);
  } else if (t->base && !t->no_grad_view && !t->multi_view) {
    follow_base(t);  // changed without recording: its place in the base is another
  }
}

// ---- LeafNode ----------------------------------------------------------------------------------------------

LeafNode::~LeafNode() {
  if (variable_ && variable_->parked == this) variable_->parked = nullptr;
  if (!variable_ || !owns_) return;
  PyObject* o = reinterpret_cast<PyObject*>(variable_);
  variable_->var.node.detach();  // it held no count while the node owned it
  variable_ = nullptr;
  Py_DECREF(o);
}

const std::string& LeafNode::name() const {
  static const std::string name = "torch::autograd::AccumulateGrad";
  return name;
}

const Meta* LeafNode::output_meta(uint32_t) const {
  return variable_ ? variable_->var.array.meta.get() : nullptr;
}

void LeafNode::keep_alive() {
  Py_INCREF(variable_);
  owns_ = true;
  // The tensor's own reference would be a cycle; give_back() restores it.
  release();
}

void LeafNode::give_back() {
  if (!owns_) return;
  owns_ = false;
  retain();
  Py_DECREF(reinterpret_cast<PyObject*>(variable_));
}

// The graph is gone. Whoever got hold of the tensor through `variable` keeps it, as a leaf.
void LeafNode::destroy() {
  if (owns_ && Py_REFCNT(reinterpret_cast<PyObject*>(variable_)) > 1) give_back();
  else delete this;
}

PyObject* LeafNode::variable() {
  if (!variable_) return nullptr;
  return Py_NewRef(reinterpret_cast<PyObject*>(variable_));
}

namespace {

// One thread at a time adds into a leaf's grad: over large memory that happens without the GIL.
class Turn {
 public:
  explicit Turn(bool& busy) : busy_(busy) {
    while (busy_) {
      PyThreadState* state = PyEval_SaveThread();
      std::this_thread::yield();
      PyEval_RestoreThread(state);
    }
    busy_ = true;
  }
  ~Turn() { busy_ = false; }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  bool& busy_;
};

}  // namespace

void LeafNode::run(std::span<Var> cotangents, std::span<Var>, const BackwardMode& mode) {
  if (!accumulates) return;
  // Hooks that run afterwards are shown the gradient that arrived.
  Var g = extras ? cotangents[0] : std::move(cotangents[0]);
  const Turn turn(busy_);
  if (!variable_ || variable_->var.node.get() != this) return;
  Owned hold = Owned::borrow(reinterpret_cast<PyObject*>(variable_));
  accumulate_grad(variable_, std::move(g), mode.create_graph);
}

namespace {

void first_with_tangents(TensorObject* t, const Var& g, bool create_graph) {
  static const Op* clone = find_op("clone");
  const GradMode mode(create_graph);
  const Argument args[1] = {{&g, {}}};
  Py_XSETREF(t->grad, wrap(apply_one({clone, args, {}, 0})));
}

}  // namespace

void accumulate_grad(TensorObject* t, Var&& g, bool create_graph) {
  const Meta& meta = *t->var.array.meta;
  if (has_batch(g)) fail(ErrorKind::Grad, kBackwardInTransform);
  if (!std::ranges::equal(g.array.meta->shape(), meta.shape())) {
    fail(ErrorKind::Shape, "Function AccumulateGrad returned an invalid gradient at index 0 - got ",
         shape_text(g.array.meta->shape()), " but expected shape compatible with ", shape_text(meta.shape()),
         "\nThe leaf was given elements of another shape (x.data = ...) after it was used. Run the forward "
         "pass again.");
  }
  if (!t->grad || t->grad == Py_None) {
    if (g.layer) return first_with_tangents(t, g, create_graph);
    // Kept as it is, a gradient that somebody else holds too would change with theirs.
    if (create_graph && (!g.array.storage->unique() || (g.node && g.node->is_leaf()))) {
      static const Op* clone = find_op("clone");
      const Argument args[1] = {{&g, {}}};
      g = apply_one({clone, args, {}, 0});
    }
    Array& a = g.array;
    const bool dense_leaf = meta.is_dense;
    Ref<Meta> wanted = dense_leaf ? t->var.array.meta : Meta::contiguous(meta.dtype, meta.shape());
    if (!create_graph && (!a.storage->unique() || a.storage->inference || a.meta.get() != wanted.get() ||
                          static_cast<int64_t>(a.storage->bytes()) != a.meta->bytes())) {
      Array copy = Array::allocate(wanted);
      copy_elements(copy, a);
      g = Var{std::move(copy), nullptr, 0};
    }
    if (!create_graph) g.node = nullptr;
    Py_XSETREF(t->grad, wrap(std::move(g)));
    return;
  }
  Owned hold = Owned::borrow(t->grad);  // another thread may set it to None meanwhile
  TensorObject* grad = as_tensor(hold.get());
  if (!create_graph) check_not_inference(grad->var.array);
  const bool apart = !grad->var.layer && !g.layer && !same_memory(grad->var.array, g.array);
  if (!create_graph && apart && add_directly(grad->var.array, grad->var, g))
    return count_change(*grad->var.array.storage);
  static const Op* add = find_op("add");
  const Purpose purpose("adding a gradient to .grad");
  if (create_graph) {
    const Var& old = var_of(grad);
    const Argument args[2] = {{&old, {}}, {&g, {}}};
    Var sum = apply_one({add, args, {}, 0});
    Py_XSETREF(t->grad, wrap(std::move(sum)));
    return;
  }
  const GradMode off(false);
  const Argument args[2] = {{&grad->var, {}}, {&g, {}}};
  apply_in_place({add, args, {}, 0});
}

// ---- the type ----------------------------------------------------------------------------------------------

void init_tensor_type(PyObject* module) {
  static std::vector<PyMethodDef> methods;
  for (PyMethodDef* table : {data_methods, placed_methods, reading_methods, conversion_methods, tape_methods})
    for (PyMethodDef* m = table; m->ml_name; ++m) methods.push_back(*m);
  methods.push_back({nullptr, nullptr, 0, nullptr});
  std::vector<PyType_Slot> slots = {
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_finalize, reinterpret_cast<void*>(finalize)},
      {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
      {Py_tp_clear, reinterpret_cast<void*>(clear)},
      {Py_tp_new, reinterpret_cast<void*>(refuse_new)},
      {Py_tp_methods, methods.data()},
      {Py_tp_getset, asking(tensor_getset)},
      {Py_tp_members, members},
      {Py_tp_hash, reinterpret_cast<void*>(tensor_hash)},
      {Py_tp_iter, reinterpret_cast<void*>(tensor_iter)},
  };
  fill_number_slots(slots);
  fill_index_slots(slots);
  slots.push_back({0, nullptr});
  PyType_Spec spec = {"torch.Tensor", sizeof(TensorObject), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots.data()};
  tensor_type = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&spec)));
  check(PyModule_AddObjectRef(module, "Tensor", reinterpret_cast<PyObject*>(tensor_type)));
  check(PyModule_AddFunctions(module, gradient_functions));
  check(PyModule_AddFunctions(module, axis_functions));
  for (PyMethodDef* table : {tape_functions, conversion_functions})
    check(PyModule_AddFunctions(module, table));
}

}  // namespace pb::py
