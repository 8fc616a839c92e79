// torch.float32 and its kin as Python objects.
#include <array>

#include "bindings/tensor.h"

namespace pb::py {
namespace {

struct DTypeObject { PyObject_HEAD DType dtype; };

PyTypeObject* dtype_type = nullptr;
std::array<PyObject*, kDTypes> objects{};

DType value(PyObject* o) { return reinterpret_cast<DTypeObject*>(o)->dtype; }

PyObject* repr(PyObject* o) { return PyUnicode_FromFormat("torch.%s", info(value(o)).name); }
PyObject* reduce(PyObject* o, PyObject*) { return PyUnicode_FromString(info(value(o)).name); }
PyObject* is_floating_point(PyObject* o, void*) { return PyBool_FromLong(is_float(value(o))); }
PyObject* is_complex(PyObject*, void*) { Py_RETURN_FALSE; }
PyObject* is_signed(PyObject* o, void*) {
  return PyBool_FromLong(value(o) != DType::Bool && value(o) != DType::UInt8);
}
PyObject* itemsize(PyObject* o, void*) { return PyLong_FromLongLong(size_of(value(o))); }
PyObject* identifier(PyObject* o, void*) { return PyLong_FromLong(static_cast<int>(value(o))); }
PyObject* name(PyObject* o, void*) { return PyUnicode_FromString(info(value(o)).name); }
PyObject* legacy(PyObject* o, void*) { return PyUnicode_FromString(info(value(o)).legacy); }
PyObject* c_name(PyObject* o, void*) { return PyUnicode_FromString(info(value(o)).c_name); }

PyMethodDef methods[] = {
    {"__reduce__", reduce, METH_NOARGS, "By name."},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef getset[] = {
    {"is_floating_point", is_floating_point, nullptr, nullptr, nullptr},
    {"is_complex", is_complex, nullptr, nullptr, nullptr},
    {"is_signed", is_signed, nullptr, nullptr, nullptr},
    {"itemsize", itemsize, nullptr, nullptr, nullptr},
    {"_id", identifier, nullptr, nullptr, nullptr},
    {"_name", name, nullptr, nullptr, nullptr},
    {"_legacy", legacy, nullptr, nullptr, nullptr},
    {"_c_name", c_name, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

}  // namespace

PyObject* dtype_object(DType d) { return objects[static_cast<int>(d)]; }
bool is_dtype(PyObject* o) { return Py_TYPE(o) == dtype_type; }
DType dtype_from(PyObject* o) {
  if (!is_dtype(o)) fail(ErrorKind::Type, "dtype must be torch.dtype, not ", Py_TYPE(o)->tp_name);
  return value(o);
}

void init_dtype(PyObject* module) {
  static const char* about =
      "The type of a tensor's elements.\n"
      "\n"
      "Example   >>> torch.ones(2).dtype, torch.float64.is_floating_point, torch.int64.itemsize\n"
      "          (torch.float32, True, 8)\n";
  static PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>(about)},
                                {Py_tp_repr, reinterpret_cast<void*>(repr)},
                                {Py_tp_methods, methods},
                                {Py_tp_getset, getset},
                                {0, nullptr}};
  static PyType_Spec spec = {"torch.dtype", sizeof(DTypeObject), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  dtype_type = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&spec)));
  check(PyModule_AddObjectRef(module, "dtype", reinterpret_cast<PyObject*>(dtype_type)));
  for (int i = 0; i < kDTypes; ++i) {
    auto* o = reinterpret_cast<DTypeObject*>(check(dtype_type->tp_alloc(dtype_type, 0)));
    o->dtype = static_cast<DType>(i);
    objects[i] = reinterpret_cast<PyObject*>(o);
    check(PyModule_AddObjectRef(module, info(o->dtype).name, objects[i]));
  }
}

}  // namespace pb::py
