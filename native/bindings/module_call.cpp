// A call of a module goes straight to its forward(), unless a flag on the instance or one for the process says that
// there may be hooks: see pullback/nn/module_hooks.py.
#include "bindings/module_call.h"

#include <algorithm>

#include "core/error.h"
#include "core/small.h"

namespace pb::py {
namespace {

bool g_hooks_of_all = false;

PyObject* interned(const char* name) { return check(PyUnicode_InternFromString(name)); }

bool may_have_hooks(PyObject* self) {
  static PyObject* name = interned("_hooked");
  return g_hooks_of_all || own(PyObject_GetAttr(self, name)).get() != Py_False;
}

PyObject* call_with_hooks(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  static PyObject* name = interned("_call_with_hooks");
  const CallObjects p = call_objects(args, n, kwnames);
  return check(PyObject_CallMethodObjArgs(self, name, p.positional.get(), p.keywords.get(), nullptr));
}

PyObject* call(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  return guarded([&]() -> PyObject* {
    static PyObject* own_name = interned("self");
    if (kwnames && PySequence_Contains(kwnames, own_name) > 0)
      fail(ErrorKind::Type, "Module._wrapped_call_impl() got multiple values for argument 'self'");
    if (may_have_hooks(self)) return call_with_hooks(self, args, n, kwnames);
    const Py_ssize_t all = n + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    Small<PyObject*, 8> values(static_cast<size_t>(all) + 1);
    values[0] = self;
    std::copy_n(args, all, values.data() + 1);
    static PyObject* forward = interned("forward");
    return check(PyObject_VectorcallMethod(forward, values.data(), static_cast<size_t>(n) + 1, kwnames));
  });
}

PyMethodDef definition = {
    "__call__", method(call), METH_FASTCALL | METH_KEYWORDS,
    "__call__($self, /, *args, **kwargs)\n--\n\nRuns forward, with the hooks around it."};

PyObject* call_method(PyObject*, PyObject* cls) {
  return PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(cls), &definition);
}

PyObject* look_for_hooks(PyObject*, PyObject*) {
  g_hooks_of_all = true;
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"module_call", call_method, METH_O, "The method __call__ for a class of modules."},
    {"look_for_module_hooks", look_for_hooks, METH_NOARGS, "From now on any module may have hooks."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void init_module_call(PyObject* module) { check(PyModule_AddFunctions(module, functions)); }

}  // namespace pb::py
