// The Python type Tensor: a view of a storage, its place on the tape, and its grad slot.
#pragma once
#include "bindings/python.h"
#include "tape/tape.h"

namespace pb::py {

class LeafNode;

struct TensorObject {
  PyObject_HEAD Var var;
  PyObject* grad;            // of a leaf, or retained
  TensorObject* base;        // strong; of a view that takes part in differentiation
  uint32_t rebases;          // how often in-place changes of views gave this tensor a new node
  uint32_t seen_rebases;     // the base's count when this view's node was made
  uint32_t seen_version;     // of a restricted view's elements: then, too
  uint32_t views;            // how many tensors have this one as their base
  bool retains_grad;
  bool no_grad_view;         // made under no_grad: changing it in place later would lose the gradient
  bool multi_view;           // one of several views that one operation made
  bool inference_view;       // made in inference mode, of a tensor that was not
  bool function_view;        // made by a user's Function, or an input that it returned as it was
  PyObject* dict;
  PyObject* weakrefs;
  LeafNode* parked;  // this leaf's node, while requires_grad is off but a graph still leads there; borrowed
};

extern PyTypeObject* tensor_type;
extern PyTypeObject* parameter_type;

inline bool is_plain(PyObject* o) { return Py_TYPE(o) == tensor_type || Py_TYPE(o) == parameter_type; }
inline bool is_tensor(PyObject* o) { return is_plain(o) || PyObject_TypeCheck(o, tensor_type); }
inline TensorObject* as_tensor(PyObject* o) { return reinterpret_cast<TensorObject*>(o); }

// The elements, for a look at them from Python: of a batch, only where all samples agree.
Array readable(PyObject* o);

// New references.
TensorObject* new_tensor(Var v, PyTypeObject* type = nullptr);
PyObject* wrap(Var v);  // a leaf's own object, where the value is a leaf
PyObject* wrap_array(Array a);
// The tensor itself if it is of the class; otherwise an instance in its place.
PyObject* in_class(PyObject* tensor, PyTypeObject* cls);

// Whether changing the view later could lose or distort a gradient.
inline bool is_restricted_view(const TensorObject* t) {
  return t->base && (t->no_grad_view || t->multi_view || t->function_view);
}
// Whether the elements of a view were changed, by the view or past it, since its place was found.
inline bool is_behind(const TensorObject* view) {
  if (view->base->rebases != view->seen_rebases) return true;
  const Storage* s = view->var.array.storage.get();
  return is_restricted_view(view) && s && s->version != view->seen_version;
}
// The tensor's place on the tape, made anew if its base was changed through another view.
void refresh(TensorObject* t);
inline const Var& var_of(TensorObject* t) {
  if (t->base && is_behind(t)) [[unlikely]]
    refresh(t);
  return t->var;
}
inline const Var& var_of(PyObject* o) { return var_of(as_tensor(o)); }

bool requires_grad(TensorObject* t);
bool is_leaf(TensorObject* t);
void set_requires_grad(TensorObject* t, bool on);
// To be called before a tensor that may be a leaf is given another node, or none.
void leave_leaf(TensorObject* t);
// `view` shares base's elements and follows its changes.
void mark_view(TensorObject* view, TensorObject* base);
void forget_base(TensorObject* view);
// After an in-place change: the tensor's new node; a view passes it on to its base.
void rebase_history(TensorObject* t, Ref<Node> node, uint32_t nr = 0);
// A view is up to date with its base.
void catch_up(TensorObject* view);
// Outside of inference mode its tensors stay as they are.
void check_not_inference(const Array& a);
// A view of the tensor's elements that the tensor is from now on itself; `view` is recorded over it.
void become_view(TensorObject* t, const Var& view);
// Torch's refusals before an in-place change. `records`: the change needs a gradient whatever t itself needs.
void check_in_place(TensorObject* t, bool records = false);
// The same, and of a write to elements that share a place.
void check_writable(TensorObject* t);
// Every element becomes a number, or that of another tensor of the same shape; not recorded. The tensor itself.
PyObject* set_all(PyObject* self, PyObject* value);
PyObject* take_elements(PyObject* self, PyObject* other);
// A new place on the tape, for a tensor whose value or shape changed.
void move_to_node(TensorObject* t, Ref<Node> node, uint32_t nr);

// The node that adds into a leaf's grad. The leaf owns it; while a graph outlives the leaf, it owns the leaf.
class LeafNode final : public Node {
 public:
  explicit LeafNode(TensorObject* t, bool accumulates = true) : accumulates(accumulates), variable_(t) {
    sequence = kLeafSequence;
    scopes = 1;
  }
  ~LeafNode() override;
  const std::string& name() const override;
  uint32_t outputs() const override { return 1; }
  bool is_leaf() const override { return true; }
  const Meta* output_meta(uint32_t) const override;
  void run(std::span<Var> cotangents, std::span<Var> out, const BackwardMode& mode) override;

  PyObject* variable();  // new reference; null if it is gone
  void keep_alive();  // the tensor is dying: take it over
  void give_back();  // the tensor lives on by itself, and holds the node again
  void destroy() override;
  void tensor_died() { variable_ = nullptr; }
  bool belongs_to(const TensorObject* t) const { return variable_ == t; }

  // A view that nothing recorded needs a gradient because its base does. It leads nowhere, and counts as a leaf.
  bool accumulates;

 private:
  TensorObject* variable_;
  bool owns_ = false;
  bool busy_ = false;  // a thread is adding, perhaps without the GIL
};

inline bool leads_nowhere(const Node* n) {
  return n && n->is_leaf() && !static_cast<const LeafNode*>(n)->accumulates;
}

inline constexpr char kBackwardInTransform[] =
    "backward() called inside a functorch transform. This is not supported, please use functorch.grad or "
    "functorch.vjp instead or call backward() outside of functorch transforms.";
// Adds to .grad: a gradient with tangents makes it one too.
void accumulate_grad(TensorObject* t, Var&& g, bool create_graph);

void init_tensor_type(PyObject* module);
PyObject* dtype_object(DType d);  // borrowed
bool is_dtype(PyObject* o);
DType dtype_from(PyObject* o);  // throws TypeError
void init_dtype(PyObject* module);
PyObject* size_object(std::span<const int64_t> sizes);  // a new torch.Size
void init_size_type(PyObject* module);

// Attribute tables contributed by the other binding files.
extern PyGetSetDef tensor_getset[];
extern PyMethodDef gradient_functions[];  // of the module
extern PyMethodDef data_methods[];
extern PyMethodDef tape_methods[];
extern PyMethodDef tape_functions[];
void fill_number_slots(std::vector<PyType_Slot>& slots);
void fill_index_slots(std::vector<PyType_Slot>& slots);
Py_hash_t tensor_hash(PyObject* self);
PyObject* tensor_iter(PyObject* self);

bool scalar_from(PyObject* o, Scalar& s);  // Python and NumPy numbers; false: not a number
PyObject* scalar_object(const Scalar& s);  // new reference

}  // namespace pb::py
