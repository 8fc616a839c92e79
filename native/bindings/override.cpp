#include "bindings/override.h"

#include <structmember.h>

#include <string_view>
#include <utility>
#include <vector>

#include "bindings/functions.h"

namespace pb::py {
namespace {

thread_local bool t_subclass_dispatch = true;

// A thread that ends with modes on its stack no longer counts.
struct ModeCount {
  ~ModeCount() { set(0); }
  void set(int to) {
    g_threads_with_modes += (to > 0) - (count > 0);
    count = to;
  }
  int count = 0;
};
thread_local ModeCount t_modes;

PyObject* resolver = nullptr;
PyObject* default_method = nullptr;  // as it stands in Tensor's dict: a classmethod
PyObject* default_function = nullptr;
PyObject* disabled_function = nullptr;

PyObject* protocol_name() {
  static PyObject* name = check(PyUnicode_InternFromString("__torch_function__"));
  return name;
}

// Types of which nobody expects an answer, for the quick way.
bool is_common(PyObject* o) {
  return o == Py_None || PyFloat_CheckExact(o) || PyLong_CheckExact(o) || PyBool_Check(o) ||
         PyUnicode_CheckExact(o) || PyDict_CheckExact(o) || PySlice_Check(o);
}

bool wants(PyObject* o) {
  if (is_plain(o) || is_common(o)) return false;
  if (!subclass_dispatch()) return false;
  return answer_of(Py_TYPE(o)) != Answer::None;
}

bool any_item_wants(PyObject* sequence) {
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(sequence); ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(sequence, i);
    if (PyFloat_CheckExact(item) || PyLong_CheckExact(item)) return false;  // data, not tensors
    if (wants(item)) return true;
  }
  return false;
}

// ---- Overridable: a function or method written in Python (or natively, for one class) that asks first --------

struct Overridable {
  PyObject_HEAD vectorcallfunc vectorcall;
  PyObject* wrapped;
  PyObject* name;
  PyObject* presented;  // what those who are asked are shown; null: this object
  PyObject* alone;      // runs instead of `wrapped` where only one argument is given, by position; or null
  char modes_only;      // its arguments are data: only modes are asked
  char called;          // how, for errors in torch's words (pullback/refusal.py); 0: Python's are torch's
  PyObject* dict;
};

Overridable* self_of(PyObject* o) { return reinterpret_cast<Overridable*>(o); }

// A call has failed: torch may word that otherwise.
PyObject* explained(Overridable* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  static Function explain("pullback.refusal", "explain");
  PyObject *type = nullptr, *error = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &error, &trace);
  PyErr_NormalizeException(&type, &error, &trace);
  Owned hold_type(type), hold_error(error), hold_trace(trace);
  return guarded([&]() -> PyObject* {
    const CallObjects p = call_objects(args, n, kwnames);
    Owned called = own(PyLong_FromLong(self->called));
    Owned found =
        own(explain(self->wrapped, self->name, called.get(), error, p.positional.get(), p.keywords.get()));
    if (found.get() == error) PyErr_Restore(Py_NewRef(type), Py_NewRef(error), Py_XNewRef(trace));
    else PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(found.get())), found.get());
    return nullptr;
  });
}

bool may_be_worded_otherwise(const Overridable* self) {
  return self->called && PyErr_ExceptionMatches(PyExc_Exception);
}

PyObject* call(PyObject* o, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  Overridable* self = self_of(o);
  const Py_ssize_t n = PyVectorcall_NARGS(nargsf);
  const Py_ssize_t all = n + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
  if (!modes_active() && (self->modes_only || !any_asks(args, all))) {
    PyObject* run = all == 1 && n == 1 && self->alone ? self->alone : self->wrapped;
    PyObject* result = PyObject_Vectorcall(run, args, nargsf, kwnames);
    if (!result && may_be_worded_otherwise(self)) [[unlikely]]
      return explained(self, args, n, kwnames);
    return result;
  }
  return guarded([&] { return ask(self->presented ? self->presented : o, args, n, kwnames); });
}

PyObject* create(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject *wrapped = nullptr, *name = nullptr;
  int modes_only = 0, called = 0;
  if (!PyArg_ParseTuple(args, "OU|pi", &wrapped, &name, &modes_only, &called)) return nullptr;
  PyObject* o = type->tp_alloc(type, 0);
  if (!o) return nullptr;
  Overridable* self = self_of(o);
  self->vectorcall = call;
  self->wrapped = Py_NewRef(wrapped);
  self->name = Py_NewRef(name);
  self->modes_only = static_cast<char>(modes_only);
  self->called = static_cast<char>(called);
  return o;
}

void dealloc(PyObject* o) {
  Overridable* self = self_of(o);
  PyTypeObject* type = Py_TYPE(o);
  Py_XDECREF(self->wrapped);
  Py_XDECREF(self->name);
  Py_XDECREF(self->presented);
  Py_XDECREF(self->alone);
  Py_XDECREF(self->dict);
  type->tp_free(o);
  Py_DECREF(type);
}

// What it does not have itself it has from the function: __module__, __doc__, __code__, ...
PyObject* get_attribute(PyObject* o, PyObject* name) {
  PyObject* found = PyObject_GenericGetAttr(o, name);
  if (found || !PyErr_ExceptionMatches(PyExc_AttributeError)) return found;
  PyErr_Clear();
  return PyObject_GetAttr(self_of(o)->wrapped, name);
}

PyObject* bind_method(PyObject* o, PyObject* instance, PyObject*) {
  if (!instance || instance == Py_None) return Py_NewRef(o);
  return PyMethod_New(o, instance);
}

PyObject* repr(PyObject* o) { return PyObject_Repr(self_of(o)->wrapped); }
PyObject* get_doc(PyObject* o, void*) { return PyObject_GetAttrString(self_of(o)->wrapped, "__doc__"); }
PyObject* get_module(PyObject* o, void*) { return PyObject_GetAttrString(self_of(o)->wrapped, "__module__"); }
PyObject* reduce(PyObject* o, PyObject*) { return Py_NewRef(self_of(o)->name); }  // found by its name

PyMethodDef methods[] = {
    {"__reduce_ex__", reduce, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef getset[] = {
    {"__doc__", get_doc, nullptr, nullptr, nullptr},
    {"__module__", get_module, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Overridable, vectorcall), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(Overridable, dict), READONLY, nullptr},
    {"__wrapped__", T_OBJECT_EX, offsetof(Overridable, wrapped), READONLY, nullptr},
    {"__name__", T_OBJECT_EX, offsetof(Overridable, name), READONLY, nullptr},
    {"__qualname__", T_OBJECT_EX, offsetof(Overridable, name), READONLY, nullptr},
    {"modes_only", T_BOOL, offsetof(Overridable, modes_only), READONLY, nullptr},
    {"presented", T_OBJECT, offsetof(Overridable, presented), 0, nullptr},
    {"alone", T_OBJECT, offsetof(Overridable, alone), 0, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

// ---- attributes ------------------------------------------------------------------------------------------------

// Attributes whose tensors are what they are: the default does not give them the class.
bool keeps_its_class(const char* name) {
  const std::string_view n = name;
  return n == "grad" || n == "_base" || n == "grad_fn";
}

PyObject* asking_get(PyObject* self, void* closure) {
  const auto& own_def = *static_cast<PyGetSetDef*>(closure);
  return guarded([&]() -> PyObject* {
    if (asks(self)) return ask_attribute(own_def.name, "__get__", &self, 1);
    PyObject* result = own_def.get(self, own_def.closure);
    if (is_plain(self) || !result || Py_TYPE(result) != tensor_type || keeps_its_class(own_def.name))
      return result;
    Owned hold(result);
    PyTypeObject* cls = class_of_results(self);
    return cls ? in_class(result, cls) : hold.release();
  });
}

int asking_set(PyObject* self, PyObject* value, void* closure) {
  const auto& own_def = *static_cast<PyGetSetDef*>(closure);
  if (!value || !asks(self)) return own_def.set(self, value, own_def.closure);
  return guarded_status([&] {
    PyObject* args[2] = {self, value};
    Owned(ask_attribute(own_def.name, "__set__", args, 2));
  });
}

PyObject* set_protocol(PyObject*, PyObject* args) {
  PyObject *ask_first = nullptr, *plain = nullptr, *disabled = nullptr;
  if (!PyArg_ParseTuple(args, "OOO", &ask_first, &plain, &disabled)) return nullptr;
  Py_XSETREF(resolver, Py_NewRef(ask_first));
  Py_XSETREF(default_method, Py_NewRef(plain));
  Py_XSETREF(default_function, PyObject_GetAttrString(plain, "__func__"));
  Py_XSETREF(disabled_function, Py_NewRef(disabled));
  Py_RETURN_NONE;
}

PyObject* asks_py(PyObject*, PyObject* o) { return boolean(any_asks(&o, 1)); }
PyObject* set_modes_py(PyObject*, PyObject* count) {
  set_mode_count(static_cast<int>(PyLong_AsLong(count)));
  Py_RETURN_NONE;
}
PyObject* set_dispatch_py(PyObject*, PyObject* on) { return boolean(set_subclass_dispatch(on == Py_True)); }
PyObject* dispatch_py(PyObject*, PyObject*) { return boolean(subclass_dispatch()); }

PyMethodDef functions[] = {
    {"set_override_protocol", set_protocol, METH_VARARGS,
     "The resolver, the default and the disabled protocol."},
    {"set_function_modes", set_modes_py, METH_O, "How many modes this thread's stack holds."},
    {"set_subclass_dispatch", set_dispatch_py, METH_O, "Whether classes are asked. Returns what it was."},
    {"subclass_dispatch", dispatch_py, METH_NOARGS, "Whether classes are asked."},
    {"asks", asks_py, METH_O, "Whether an argument wants to be asked before a call runs."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool thread_has_modes() { return t_modes.count > 0; }
void set_mode_count(int count) { t_modes.set(count); }
bool set_subclass_dispatch(bool on) { return std::exchange(t_subclass_dispatch, on); }
bool subclass_dispatch() { return t_subclass_dispatch; }

Answer answer_of(PyTypeObject* type) {
  PyObject* found = _PyType_Lookup(type, protocol_name());  // borrowed; no exception when there is none
  if (!found || found == disabled_function) return Answer::None;
  if (found == default_method) return Answer::Default;
  Owned method = own(PyObject_GetAttr(reinterpret_cast<PyObject*>(type), protocol_name()));
  PyObject* raw = PyMethod_Check(method.get()) ? PyMethod_GET_FUNCTION(method.get()) : method.get();
  if (raw == disabled_function) return Answer::None;
  return raw == default_function ? Answer::Default : Answer::Own;
}

bool any_asks(PyObject* const* args, Py_ssize_t n) {
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* o = args[i];
    if (is_plain(o)) continue;
    if (PyTuple_CheckExact(o) || PyList_CheckExact(o)) {
      if (any_item_wants(o)) return true;
    } else if (wants(o)) {
      return true;
    }
  }
  return false;
}

PyTypeObject* class_of_results(PyObject* tensor) {
  if (is_plain(tensor) || !subclass_dispatch()) return nullptr;
  return answer_of(Py_TYPE(tensor)) == Answer::None ? nullptr : Py_TYPE(tensor);
}

PyObject* ask(PyObject* function, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  const CallObjects p = call_objects(args, n, kwnames);
  return check(
      PyObject_CallFunctionObjArgs(resolver, function, p.positional.get(), p.keywords.get(), nullptr));
}

PyObject* ask_slot(const char* name, PyObject* const* args, Py_ssize_t n) {
  Owned slot = own(PyObject_GetAttrString(reinterpret_cast<PyObject*>(tensor_type), name));
  return ask(slot.get(), args, n);
}

PyObject* ask_attribute(const char* name, const char* side, PyObject* const* args, Py_ssize_t n) {
  Owned attribute = own(PyObject_GetAttrString(reinterpret_cast<PyObject*>(tensor_type), name));
  Owned function = own(PyObject_GetAttrString(attribute.get(), side));
  return ask(function.get(), args, n);
}

PyGetSetDef* asking(PyGetSetDef* table) {
  static auto& out = *new std::vector<PyGetSetDef>();
  for (PyGetSetDef* d = table; d->name; ++d) {
    if (std::string_view(d->name).starts_with("__")) out.push_back(*d);
    else out.push_back({d->name, asking_get, d->set ? asking_set : nullptr, d->doc, d});
  }
  out.push_back({nullptr, nullptr, nullptr, nullptr, nullptr});
  return out.data();
}

void init_override(PyObject* module) {
  static PyType_Slot slots[] = {
      {Py_tp_new, reinterpret_cast<void*>(create)},
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
      {Py_tp_getattro, reinterpret_cast<void*>(get_attribute)},
      {Py_tp_descr_get, reinterpret_cast<void*>(bind_method)},
      {Py_tp_repr, reinterpret_cast<void*>(repr)},
      {Py_tp_methods, methods},
      {Py_tp_getset, getset},
      {Py_tp_members, members},
      {0, nullptr},
  };
  static PyType_Spec spec = {"pullback._core.Overridable", sizeof(Overridable), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
                             slots};
  PyObject* type = check(PyType_FromSpec(&spec));
  check(PyModule_AddObjectRef(module, "Overridable", type));
  Py_DECREF(type);
  check(PyModule_AddFunctions(module, functions));
}

}  // namespace pb::py
