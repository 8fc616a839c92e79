#include "bindings/saved_hooks.h"

#include <optional>

#include "bindings/journal.h"
#include "bindings/node_object.h"
#include "core/shape.h"
#include "tape/transform.h"
#include "tape/watch.h"

namespace pb::py {
namespace {

constexpr char kChangedByPack[] =
    "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook cannot "
    "be "
    "modified by in-place operations as this can lead to unexpected side-effects. Please open an issue if "
    "you "
    "need to perform in-place operations on the input to a pack hook.\nWork on a clone: "
    "pack_hook=lambda x: x.clone().mul_(2).";

constexpr char kChangedWhilePacked[] =
    "one of the variables needed for gradient computation has been modified by an inplace operation: [torch.";

// For as long as it lives, a tensor is at a place of the tape.
class Placed {
 public:
  Placed(PyObject* tensor, Var there) : tensor_(Owned::borrow(tensor)), before_(as_tensor(tensor)->var) {
    as_tensor(tensor)->var = std::move(there);
  }
  ~Placed() { as_tensor(tensor_.get())->var = std::move(before_); }
  Placed(const Placed&) = delete;
  Placed& operator=(const Placed&) = delete;

 private:
  Owned tensor_;
  Var before_;
};

class PyPacked final : public PackedValue {
 public:
  // `place`: of an output whose very tensor the hook may have kept.
  PyPacked(PyObject* unpack, Owned value, const Array& original, Edge place = {})
      : unpack_(Owned::borrow(unpack)),
        value_(std::move(value)),
        node_(place.node.get()),
        nr_(place.nr) {
    if (!is_tensor(value_.get()) || as_tensor(value_.get())->var.array.storage != original.storage) return;
    shared_ = original.storage.get();
    version_ = shared_->version;
  }

  Array unpack() const override {
    const Owned unpack = unpack_, value = value_;  // the hook may free this object
    const Storage* shared = shared_;
    const uint32_t version = version_;
    std::optional<Placed> placed;
    if (node_) placed.emplace(value.get(), Var{as_tensor(value.get())->var.array, Ref<Node>(node_), nr_, {}});
    Owned t = own(PyObject_CallOneArg(unpack.get(), value.get()));
    if (!is_tensor(t.get())) {
      fail(ErrorKind::Type,
           "Output of saved tensor unpack_hook expected to be a Tensor but got result of type ",
           Py_TYPE(t.get())->tp_name);
    }
    if (is_batched(as_tensor(t.get())->var)) {
      fail(ErrorKind::Runtime, "vmap: an unpack hook returned a tensor that stands for a batch\n",
           "What pack hooks see are whole batches: return the value that was packed.");
    }
    const Array& a = as_tensor(t.get())->var.array;
    if (shared && a.storage.get() == shared && shared->version != version) {
      fail(ErrorKind::Inplace, kChangedWhilePacked, info(a.meta->dtype).legacy, " ",
           shape_text(a.meta->shape()), "] is at version ", shared->version, "; expected version ", version,
           " instead. ", anomaly_hint(), "\nThe pack hook kept the tensor itself: let it keep a clone.");
    }
    return a;
  }
  int visit(visitproc visit, void* arg) const {
    Py_VISIT(unpack_.get());
    Py_VISIT(value_.get());
    return 0;
  }

 private:
  Owned unpack_, value_;
  const Storage* shared_ =
      nullptr;  // a hook that keeps the tensor itself: its changes are noticed; in value_
  uint32_t version_ = 0;
  Node* node_;  // this belongs to it
  uint32_t nr_;
};

// The innermost pair of this thread, (pack, unpack). A thread that ends inside the context has no interpreter
// left to drop it with.
struct Innermost {
  Owned pair;
  ~Innermost() { pair.release(); }
};
Innermost& innermost() {
  static thread_local Innermost hooks;
  return hooks;
}
int threads_with_hooks = 0;

Owned call_pack(PyObject* pack, PyObject* tensor) {
  const GradMode off(false);
  const Ref<Storage> storage = as_tensor(tensor)->var.array.storage;
  const uint32_t version = storage->version;
  Owned packed = own(PyObject_CallOneArg(pack, tensor));
  if (storage->version != version) fail(ErrorKind::Runtime, kChangedByPack);
  return packed;
}

void pack_saved(OperationNode& n) {
  const Owned pair = innermost().pair;
  if (!pair) return;
  for (size_t k = 0; k < n.saved().size(); ++k)
    pack_saved_value(n, k, PyTuple_GET_ITEM(pair.get(), 0), PyTuple_GET_ITEM(pair.get(), 1), true);
}

std::unique_ptr<PackedValue> pack_value(const Var& v) {
  const Owned pair = innermost().pair;
  if (!pair) return nullptr;
  Owned tensor = own(wrap(v)), packed = call_pack(PyTuple_GET_ITEM(pair.get(), 0), tensor.get());
  return std::make_unique<PyPacked>(PyTuple_GET_ITEM(pair.get(), 1), std::move(packed), v.array);
}

// swap_saved_hooks((pack, unpack) or None) -> what was in force in this thread.
PyObject* swap(PyObject*, PyObject* pair) {
  Innermost& hooks = innermost();
  const bool had = static_cast<bool>(hooks.pair), has = pair != Py_None;
  threads_with_hooks += static_cast<int>(has) - static_cast<int>(had);
  g_pack_saved = threads_with_hooks ? pack_saved : nullptr;
  g_pack_value = threads_with_hooks ? pack_value : nullptr;
  Owned before = std::exchange(hooks.pair, has ? Owned::borrow(pair) : Owned());
  return before ? before.release() : none();
}

PyObject* current(PyObject*, PyObject*) {
  PyObject* pair = g_pack_saved ? innermost().pair.get() : nullptr;
  return Py_NewRef(pair ? pair : Py_None);
}

// call_pack_hook(pack, tensor): what the hook returns, run as for an operation's own values.
PyObject* call_pack_hook(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *pack = nullptr, *tensor = nullptr;
    if (!PyArg_ParseTuple(args, "OO!", &pack, tensor_type, &tensor)) return nullptr;
    return call_pack(pack, tensor).release();
  });
}

PyObject* watcher = nullptr;

void before_change(const Array& a) {
  Journal::before_change(a);
  if (!watcher) return;
  const GradMode off(false);
  Owned id = own(PyLong_FromVoidPtr(const_cast<Storage*>(a.storage->root())));
  own(PyObject_CallOneArg(watcher, id.get()));
}

// watch_changes(callable or None): called with the storage's id before elements are overwritten.
PyObject* watch_changes(PyObject*, PyObject* callable) {
  Py_XSETREF(watcher, callable == Py_None ? nullptr : Py_NewRef(callable));
  choose_watcher();
  Py_RETURN_NONE;
}

PyObject* storage_id(PyObject*, PyObject* tensor) {
  return guarded([&]() -> PyObject* {
    if (!is_tensor(tensor)) fail(ErrorKind::Type, "expected a Tensor, but got ", Py_TYPE(tensor)->tp_name);
    return PyLong_FromVoidPtr(const_cast<Storage*>(as_tensor(tensor)->var.array.storage->root()));
  });
}

PyObject* change_count(PyObject*, PyObject* tensor) {
  return guarded([&]() -> PyObject* {
    if (!is_tensor(tensor)) fail(ErrorKind::Type, "expected a Tensor, but got ", Py_TYPE(tensor)->tp_name);
    return PyLong_FromUnsignedLong(as_tensor(tensor)->var.array.storage->version);
  });
}

PyObject* run_notes(PyObject*, PyObject*) {
  return guarded([&]() -> PyObject* {
    auto* observer = static_cast<PythonObserver*>(current_observer());
    return Py_NewRef(observer ? observer->notes() : Py_None);
  });
}
PyObject* run_asks_for_inputs(PyObject*, PyObject*) { return boolean(any_run_asks_for_inputs()); }
PyObject* run_reaches(PyObject*, PyObject* token) {
  return guarded([&] {
    const Node* n = node_of_token(token);
    return boolean(n && current_run_reaches(*n));
  });
}

PyMethodDef functions[] = {
    {"run_notes", run_notes, METH_NOARGS,
     "A dict that belongs to the backward pass around this call, or None."},
    {"run_reaches", run_reaches, METH_O, "Whether that pass runs a node, given by its token."},
    {"run_asks_for_inputs", run_asks_for_inputs, METH_NOARGS,
     "Whether that pass, or one around it, has inputs."},
    {"swap_saved_hooks", swap, METH_O,
     "Sets this thread's pair of hooks for saved values; returns the last."},
    {"saved_hooks", current, METH_NOARGS, "This thread's pair of hooks for saved values, or None."},
    {"call_pack_hook", call_pack_hook, METH_VARARGS, "Runs a pack hook on a tensor."},
    {"watch_changes", watch_changes, METH_O, "Sets what is told of changes in place."},
    {"storage_id", storage_id, METH_O, "Equal for tensors over the same memory."},
    {"change_count", change_count, METH_O, "The version, for inference tensors too."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void pack_saved_value(OperationNode& n, size_t k, PyObject* pack, PyObject* unpack, bool whole) {
  const Array value = n.saved()[k].array;
  if (!value.storage) return;
  const Save& s = n.plan().rule->saves[k];
  const bool hidden = s.output && s.index >= n.plan().rule->visible;
  Var seen{value, nullptr, 0, {}};
  if (whole && !hidden) seen = n.reattach(k, value);
  // An output that knew its node would be held by what it holds: it does so for the time of a hook.
  const bool own_output = s.output && seen.node;
  Owned tensor = own(wrap(own_output ? Var{value, nullptr, 0, {}} : seen)), packed;
  {
    std::optional<Placed> placed;
    if (own_output) placed.emplace(tensor.get(), seen);
    packed = call_pack(pack, tensor.get());
  }
  if (n.released()) return;  // by the hook
  extras_of(n);
  const Edge place = own_output && packed.get() == tensor.get() ? Edge{seen.node, seen.nr} : Edge();
  n.take_over(k, std::make_unique<PyPacked>(unpack, std::move(packed), value, place));
}

int visit_packed(const std::vector<std::unique_ptr<PackedValue>>& packed, visitproc visit, void* arg) {
  for (const auto& p : packed) {
    if (!p) continue;
    if (const int status = static_cast<const PyPacked&>(*p).visit(visit, arg)) return status;
  }
  return 0;
}

void init_saved_hooks(PyObject* module) { check(PyModule_AddFunctions(module, functions)); }

void choose_watcher() { tell_before_changes(before_change, watcher || Journal::any_open()); }

}  // namespace pb::py
