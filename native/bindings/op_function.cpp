#include "bindings/op_function.h"

#include <structmember.h>

#include <new>

#include "bindings/functions.h"
#include "bindings/override.h"
#include "bindings/refusal.h"
#include "bindings/shared_elements.h"
#include "tape/transform.h"

namespace pb::py {
namespace {

PyObject* dispatcher = nullptr;

struct OpFunction {
  PyObject_HEAD vectorcallfunc vectorcall;
  std::vector<Overload> overloads;
  std::string name;
  bool in_place;
  char takes_out;       // whether a result may go into a tensor that is given as `out`
  PyObject* function;  // of a method, the function it stands for: errors do not count its tensor; else null
  PyObject* result_type;
  PyObject* doc;
  PyObject* dict;
};

OpFunction* self_of(PyObject* o) { return reinterpret_cast<OpFunction*>(o); }

Py_ssize_t position_of(const char* name, PyObject* kwnames) {
  for (Py_ssize_t k = 0; kwnames && k < PyTuple_GET_SIZE(kwnames); ++k)
    if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, k), name) == 0) return k;
  return -1;
}

// Whether the call leaves a dtype open that may be any. One that is named must be that of `out`.
bool leaves_dtype_open(const OpFunction* f, PyObject* const* args, Py_ssize_t n, PyObject* kwnames,
                       PyObject* out) {
  const DType d = as_tensor(out)->var.array.meta->dtype;
  const Py_ssize_t k = position_of("dtype", kwnames);
  if (k >= 0 && is_dtype(args[n + k])) {
    if (const DType asked = dtype_from(args[n + k]); asked != d) {
      fail(ErrorKind::Runtime, "Expected out tensor to have dtype ", info(asked).c_name, ", but got ",
           info(d).c_name, " instead");
    }
    return false;
  }
  for (Py_ssize_t i = 0; i < n; ++i)  // refused later, in torch's words
    if (is_tensor(args[i]) && grad_enabled() && requires_grad(as_tensor(args[i]))) return false;
  PyObject* declaration = static_cast<PyObject*>(f->overloads[0].op->declaration);
  const auto says = [&](const char* what) {
    return own(PyObject_GetAttrString(declaration, what)).get() == Py_True;
  };
  if (!declaration || !says("float_results")) return false;
  const bool whole =
      is_float(d) || !n || !is_tensor(args[0]) || !is_float(as_tensor(args[0])->var.array.meta->dtype);
  return whole || says("whole_out");
}

// The declaration of the overload that a call without `out` goes to.
PyObject* declaration_of(const OpFunction* f, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  std::vector<PyObject*> values;
  for (const Overload& o : f->overloads) {
    Owned packed;
    BoundCall call;
    if (match_arguments(o.signature, args, n, kwnames, values, packed) &&
        convert_arguments(o.signature, values, call))
      return static_cast<PyObject*>(o.op->declaration);
  }
  return static_cast<PyObject*>(f->overloads[0].op->declaration);
}

// Whether a result may go into `out` without a further look: a tensor like it, of whose memory nothing is read, or
// all of it by an op that may write over its operand.
bool fits_at_once(PyObject* result, PyObject* out, PyObject* declaration,
                  const std::vector<PyObject*>& values) {
  if (!is_plain(out) || !is_plain(result)) return false;
  const Var &to = var_of(out), &from = var_of(result);
  if (to.layer || from.layer || to.array.meta.get() != from.array.meta.get() || !to.array.meta->is_dense)
    return false;
  if (requires_grad(as_tensor(out)) || requires_grad(as_tensor(result))) return false;
  bool reads_itself = false;
  for (PyObject* x : values) {
    if (PyTuple_Check(x) || PyList_Check(x)) return false;
    if (x == out) reads_itself = true;
    else if (is_tensor(x) && same_memory(var_of(x).array, to.array)) return false;
  }
  if (!reads_itself) return true;
  const Owned rule = own(PyObject_GetAttrString(declaration, "out"));
  return own(PyObject_GetAttrString(rule.get(), "writes_over")).get() == Py_True;
}

// f(..., out=t): the function without it, and then its result in t.
PyObject* call_into(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames, Py_ssize_t at) {
  static Function deliver("pullback.results", "of_op");
  PyObject* out = args[n + at];
  // A sum is computed in the type of what takes it.
  if (out != Py_None && !is_tensor(out) && !PyTuple_Check(out) && !PyList_Check(out))
    return refuse(self, args, n, kwnames);
  const bool typed = is_tensor(out) && leaves_dtype_open(self_of(self), args, n, kwnames, out);
  Owned rest = own(PyTuple_New(PyTuple_GET_SIZE(kwnames) - !typed));
  std::vector<PyObject*> values(args, args + n);
  for (Py_ssize_t k = 0, to = 0; k < PyTuple_GET_SIZE(kwnames); ++k) {
    if (k == at) continue;
    PyTuple_SET_ITEM(rest.get(), to++, Py_NewRef(PyTuple_GET_ITEM(kwnames, k)));
    values.push_back(args[n + k]);
  }
  if (typed) {
    PyTuple_SET_ITEM(rest.get(), PyTuple_GET_SIZE(rest.get()) - 1, text("dtype"));
    values.push_back(dtype_object(as_tensor(out)->var.array.meta->dtype));
  }
  Owned result = own(PyObject_Vectorcall(self, values.data(), static_cast<size_t>(n), rest.get()));
  if (out == Py_None) return result.release();
  PyObject* declaration = declaration_of(self_of(self), values.data(), n, rest.get());
  const bool one = !PyTuple_Check(result.get());
  if (one != is_tensor(out) || own(PyObject_GetAttrString(declaration, "out")).get() == Py_None)
    return refuse(self, args, n, kwnames);
  if (fits_at_once(result.get(), out, declaration, values)) return take_elements(out, result.get());
  Owned name = own(text(self_of(self)->name));
  Owned given = own(PyTuple_New(static_cast<Py_ssize_t>(values.size())));
  for (size_t i = 0; i < values.size(); ++i) PyTuple_SET_ITEM(given.get(), i, Py_NewRef(values[i]));
  return deliver(result.get(), out, name.get(), declaration, given.get());
}

PyObject* dispatch(PyObject* function, size_t overload, const std::vector<PyObject*>& values) {
  Owned tuple = own(PyTuple_New(static_cast<Py_ssize_t>(values.size())));
  for (size_t i = 0; i < values.size(); ++i) PyTuple_SET_ITEM(tuple.get(), i, Py_NewRef(values[i]));
  return PyObject_CallFunction(dispatcher, "OnO", function, static_cast<Py_ssize_t>(overload), tuple.get());
}

// Scratch for one call. A call may lead to another (through Python), so each takes its own.
struct Scratch {
  BoundCall call;
  std::vector<PyObject*> values;
};
class ScratchLease {
 public:
  ScratchLease() {
    if (pool().empty()) {
      scratch_ = std::make_unique<Scratch>();
    } else {
      scratch_ = std::move(pool().back());
      pool().pop_back();
    }
  }
  ~ScratchLease() { pool().push_back(std::move(scratch_)); }
  Scratch* operator->() { return scratch_.get(); }

 private:
  static std::vector<std::unique_ptr<Scratch>>& pool() {
    static std::vector<std::unique_ptr<Scratch>>& p = *new std::vector<std::unique_ptr<Scratch>>();
    return p;
  }
  std::unique_ptr<Scratch> scratch_;
};

void check_call(const Op* op, const std::vector<PyObject*>& values) {
  Owned check_call = own(PyObject_GetAttrString(static_cast<PyObject*>(op->declaration), "check_call"));
  own(PyObject_Vectorcall(check_call.get(), values.data(), values.size(), nullptr));
}

// Where torch's reshape cannot be a plain view of a contiguous tensor, its graph shows how it was done.
PyObject* reshape_recorded(const Op* op, const BoundCall& c) {
  static const Op* alias = find_op("reshape_alias");
  static const Op* contiguous = find_op("contiguous");
  static const Op* unsafe_view = find_op("unsafe_view");
  Ref<Meta> meta;
  int64_t offset = 0;
  if (op->view->view(*c.args[0].var->array.meta, Ints(c.ints), meta, offset))
    return call_op(alias, c.args, c.ints, c.symbolic, c.first);
  Owned copy = own(call_op(contiguous, c.args, {}, 0, nullptr));
  const Argument args[1] = {{&var_of(copy.get()), {}}};
  return call_op(unsafe_view, args, c.ints, c.symbolic, nullptr);
}

PyObject* run_overload(OpFunction* f, size_t k, ScratchLease& s, PyObject* const* args, Py_ssize_t n,
                       PyObject* kwnames) {
  PyTypeObject* result_class = nullptr;
  BoundCall& c = s->call;
  if (c.subclass) {
    const Answer answer = c.unrelated_classes ? Answer::Own : answer_of(c.subclass);
    if (answer == Answer::Own) return ask(reinterpret_cast<PyObject*>(f), args, n, kwnames);
    if (answer == Answer::Default) result_class = c.subclass;
  }
  if (c.foreign) return dispatch(reinterpret_cast<PyObject*>(f), k, s->values);
  const Op* op = f->overloads[k].op;
  if (op->checks_calls) check_call(op, s->values);
  if (f->in_place) {
    Owned changed = own(in_place(op, c.args, c.ints, c.symbolic, c.first));
    return result_class ? in_class(changed.get(), result_class) : changed.release();
  }
  static const Op* reshape = find_op("reshape");
  if (op == reshape && c.args[0].var->node && !c.args[0].var->layer && grad_enabled() && !result_class &&
      !c.args[0].var->array.meta->is_contiguous)
    return reshape_recorded(op, c);
  PyObject* result_type = f->result_type == Py_None ? nullptr : f->result_type;
  return call_op(op, c.args, c.ints, c.symbolic, c.first, result_class, result_type);
}

// The first overload that takes the arguments, or how many there are: with an exception set where one of them could
// not be read.
size_t find_overload(const OpFunction* f, ScratchLease& s, Owned& packed, PyObject* const* args, Py_ssize_t n,
                     PyObject* kwnames) {
  try {
    for (size_t k = 0; k < f->overloads.size(); ++k) {
      const Signature& signature = f->overloads[k].signature;
      if (match_arguments(signature, args, n, kwnames, s->values, packed) &&
          convert_arguments(signature, s->values, s->call) && (s->call.first || s->call.foreign))
        return k;
    }
  } catch (const std::exception& e) { raise(e); }
  return f->overloads.size();
}

PyObject* call(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  return guarded([&]() -> PyObject* {
    OpFunction* f = self_of(self);
    const Py_ssize_t n = PyVectorcall_NARGS(nargsf);
    const Py_ssize_t all = n + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    if (modes_active()) [[unlikely]]
      return ask(self, args, n, kwnames);
    if (const Py_ssize_t at = position_of("out", kwnames); at >= 0 && f->takes_out)
      return any_asks(args, all) ? ask(self, args, n, kwnames) : call_into(self, args, n, kwnames, at);
    ScratchLease s;
    Owned packed;
    const size_t found = find_overload(f, s, packed, args, n, kwnames);
    if (found < f->overloads.size()) return run_overload(f, found, s, args, n, kwnames);
    if (!PyErr_Occurred() && any_asks(args, all))
      return ask(self, args, n, kwnames);  // of a class that is no Tensor
    return refuse(self, args, n, kwnames);
  });
}

void dealloc(PyObject* o) {
  OpFunction* f = self_of(o);
  PyTypeObject* type = Py_TYPE(o);
  f->overloads.~vector();
  f->name.~basic_string();
  Py_XDECREF(f->function);
  Py_XDECREF(f->result_type);
  Py_XDECREF(f->doc);
  Py_XDECREF(f->dict);
  type->tp_free(o);
  Py_DECREF(type);
}

PyObject* bind_method(PyObject* self, PyObject* instance, PyObject*) {
  if (!instance || instance == Py_None) return Py_NewRef(self);
  return PyMethod_New(self, instance);
}

PyObject* repr(PyObject* self) {
  return PyUnicode_FromFormat("<built-in method %s>", self_of(self)->name.c_str());
}

PyObject* get_name(PyObject* self, void*) { return text(self_of(self)->name); }
// Written from the declaration when somebody asks, not before.
PyObject* get_doc(PyObject* self, void*) {
  Owned writer(PyImport_ImportModule("pullback.documentation"));
  return writer ? PyObject_CallMethod(writer.get(), "of_op", "OO", self, self_of(self)->doc) : nullptr;
}
PyObject* get_signatures(PyObject* self, void*) {
  OpFunction* f = self_of(self);
  PyObject* list = PyList_New(0);
  for (const Overload& o : f->overloads) {
    Owned pair(Py_BuildValue("(sK)", o.signature.text.c_str(),
                             static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(o.op))));
    PyList_Append(list, pair.get());
  }
  return list;
}
PyObject* get_function(PyObject* self, void*) {
  PyObject* function = self_of(self)->function;
  return Py_NewRef(function ? function : self);
}
PyObject* get_in_place(PyObject* self, void*) { return boolean(self_of(self)->in_place); }

PyGetSetDef getset[] = {
    {"__name__", get_name, nullptr, nullptr, nullptr},
    {"__qualname__", get_name, nullptr, nullptr, nullptr},
    {"__doc__", get_doc, nullptr, nullptr, nullptr},
    {"overloads", get_signatures, nullptr, nullptr, nullptr},
    {"function", get_function, nullptr, "What a method of Tensor is in the package.", nullptr},
    {"in_place", get_in_place, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(OpFunction, vectorcall), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(OpFunction, dict), READONLY, nullptr},
    {"takes_out", T_BOOL, offsetof(OpFunction, takes_out), 0, "Whether it has `out`."},
    {nullptr, 0, 0, 0, nullptr},
};
PyTypeObject* op_function_type = nullptr;

}  // namespace

void set_dispatcher(PyObject* callable) { Py_XSETREF(dispatcher, Py_NewRef(callable)); }
PyObject* wrap_one(Var v, TensorObject* first, PyTypeObject* subclass) {
  const bool view = first && v.array.storage.get() == first->var.array.storage.get();
  TensorObject* t = new_tensor(std::move(v), subclass);
  if (view) mark_view(t, first);
  return reinterpret_cast<PyObject*>(t);
}

PyObject* wrap_results(std::vector<Var>& results, TensorObject* first, PyTypeObject* subclass,
                       PyObject* result_type) {
  if (results.size() == 1)
    return wrap_one(std::move(results[0]), first, subclass);  // also an overload: x.max()
  Owned tuple = own(PyTuple_New(static_cast<Py_ssize_t>(results.size())));
  const bool recorded = recording();
  for (size_t i = 0; i < results.size(); ++i) {
    PyObject* one = wrap_one(std::move(results[i]), first, subclass);
    as_tensor(one)->multi_view = as_tensor(one)->base && recorded;
    PyTuple_SET_ITEM(tuple.get(), i, one);
  }
  if (!result_type) return tuple.release();
  return check(PyObject_CallOneArg(result_type, tuple.get()));
}

PyObject* call_op(const Op* op, std::span<const Argument> args, std::span<const int64_t> ints,
                  uint64_t symbolic, TensorObject* first, PyTypeObject* subclass, PyObject* result_type) {
  const Application a{op, args, ints, symbolic};
  if (Var v; apply_single(a, v)) return wrap_one(std::move(v), first, subclass);
  std::vector<Var> results;
  apply(a, results);
  return wrap_results(results, first, subclass, result_type);
}

PyObject* in_place(const Op* op, std::span<const Argument> args, std::span<const int64_t> ints,
                   uint64_t symbolic, TensorObject* self) {
  static const Op* copy = find_op("copy");
  if (op == copy && !is_float(self->var.array.meta->dtype) && grad_enabled()) {
    const GradMode off(false);  // no gradient comes back through whole numbers, whatever is copied into them
    return in_place(op, args, ints, symbolic, self);
  }
  const Application a{op, args, ints, symbolic};
  if (has_layers(a)) [[unlikely]] {
    check_in_place(self, needed_inside(a));
    change_under_layers(self, a);
    return Py_NewRef(reinterpret_cast<PyObject*>(self));
  }
  check_in_place(self, needed(a) != 0);
  Ref<Node> node = apply_in_place(a);
  rebase_history(self, std::move(node));
  return Py_NewRef(reinterpret_cast<PyObject*>(self));
}

PyObject* renamed(PyObject* o, const std::string& name) {
  OpFunction* f = self_of(o);
  std::vector<Overload> overloads = f->overloads;
  for (Overload& x : overloads) x.signature.name = name;
  Owned made = own(make_op_function(name, std::move(overloads), f->in_place, f->result_type, ""));
  OpFunction* m = self_of(made.get());
  m->takes_out = f->takes_out;
  Py_XSETREF(m->doc, Py_NewRef(f->doc));
  m->dict = f->dict ? check(PyDict_Copy(f->dict)) : nullptr;
  return made.release();
}

PyObject* as_method(PyObject* o) {
  OpFunction* f = self_of(o);
  Owned made = own(renamed(o, f->name));
  OpFunction* m = self_of(made.get());
  for (size_t k = 0; k < m->overloads.size(); ++k)
    m->overloads[k].signature.name = f->overloads[k].signature.name;
  m->function = Py_NewRef(o);
  m->takes_out = false;
  return made.release();
}

PyObject* make_op_function(const std::string& name, std::vector<Overload> overloads, bool in_place,
                           PyObject* result_type, const std::string& doc) {
  PyObject* o = check(op_function_type->tp_alloc(op_function_type, 0));
  OpFunction* f = self_of(o);
  f->vectorcall = call;
  new (&f->overloads) std::vector<Overload>(std::move(overloads));
  new (&f->name) std::string(name);
  f->in_place = in_place;
  f->takes_out = !in_place;
  f->function = nullptr;
  f->result_type = Py_NewRef(result_type ? result_type : Py_None);
  f->doc = text(doc);
  f->dict = nullptr;
  return o;
}

void init_op_function(PyObject* module) {
  static PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
      {Py_tp_descr_get, reinterpret_cast<void*>(bind_method)},
      {Py_tp_repr, reinterpret_cast<void*>(repr)},
      {Py_tp_getset, getset},
      {Py_tp_members, members},
      {0, nullptr},
  };
  // A method descriptor: `x.sum()` calls it with x in front, without making a bound method.
  static PyType_Spec spec = {"pullback._core.OpFunction", sizeof(OpFunction), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
                             slots};
  op_function_type = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&spec)));
  check(PyModule_AddObjectRef(module, "OpFunction", reinterpret_cast<PyObject*>(op_function_type)));
}

}  // namespace pb::py
