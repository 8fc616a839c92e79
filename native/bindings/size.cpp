// torch.Size: a tuple of integers whose slices, sums and multiples are sizes again.
#include "bindings/functions.h"
#include "bindings/tensor.h"

namespace pb::py {
namespace {

PyTypeObject* size_type = nullptr;
Function from_tuple("pullback.types", "_size"), kind_name("pullback.arguments", "kind_name");

bool is_size(PyObject* o) { return Py_TYPE(o) == size_type; }

Owned allocated(Py_ssize_t n) { return own(size_type->tp_alloc(size_type, n)); }

// A size with the items of a tuple. Takes over the reference, which may be null with an exception set.
PyObject* with_items(PyObject* tuple) {
  if (!tuple || !PyTuple_CheckExact(tuple)) return tuple;
  const Owned items(tuple);
  return guarded([&] {
    const Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    Owned size = allocated(n);
    for (Py_ssize_t i = 0; i < n; ++i) PyTuple_SET_ITEM(size.get(), i, Py_NewRef(PyTuple_GET_ITEM(tuple, i)));
    return size.release();
  });
}

const char* text_of(PyObject* o) {
  const char* text = PyUnicode_AsUTF8(o);
  if (!text) throw PythonError();
  return text;
}

Owned item_from(PyObject* o, Py_ssize_t place) {
  if (PyLong_Check(o) && !PyBool_Check(o)) return Owned::borrow(o);
  if (PyIndex_Check(o)) {
    Owned whole(PyNumber_Index(o));
    if (whole) return whole;
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw PythonError();
    PyErr_Clear();
  }
  const Owned name = own(kind_name(o));
  fail(ErrorKind::Type, "torch.Size() takes an iterable of 'int' (item ", place, " is '", text_of(name.get()),
       "')");
}

PyObject* create(PyTypeObject*, PyObject* args, PyObject* kwargs) {
  return guarded([&]() -> PyObject* {
    if (kwargs && PyDict_GET_SIZE(kwargs)) fail(ErrorKind::Type, "tuple() takes no keyword arguments");
    const Py_ssize_t given = PyTuple_GET_SIZE(args);
    if (given > 1) fail(ErrorKind::Type, "tuple expected at most 1 argument, got ", given);
    if (!given) return allocated(0).release();
    const Owned items = own(PySequence_Tuple(PyTuple_GET_ITEM(args, 0)));
    const Py_ssize_t n = PyTuple_GET_SIZE(items.get());
    Owned size = allocated(n);
    for (Py_ssize_t i = 0; i < n; ++i)
      PyTuple_SET_ITEM(size.get(), i, item_from(PyTuple_GET_ITEM(items.get(), i), i).release());
    return size.release();
  });
}

PyObject* repr(PyObject* self) {
  return guarded([&] {
    const Owned list = own(PySequence_List(self));
    return PyUnicode_FromFormat("torch.Size(%R)", list.get());
  });
}

PyObject* get_item(PyObject* self, PyObject* key) {
  return with_items(PyTuple_Type.tp_as_mapping->mp_subscript(self, key));
}

PyObject* concatenated(PyObject* a, PyObject* b) {
  Owned both(PyTuple_New(PyTuple_GET_SIZE(a) + PyTuple_GET_SIZE(b)));
  if (!both) return nullptr;
  Py_ssize_t to = 0;
  for (PyObject* part : {a, b})
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(part); ++i)
      PyTuple_SET_ITEM(both.get(), to++, Py_NewRef(PyTuple_GET_ITEM(part, i)));
  return with_items(both.release());
}

PyObject* add(PyObject* a, PyObject* b) {
  if (PyTuple_Check(a) && PyTuple_Check(b)) return concatenated(a, b);
  if (!is_size(a)) Py_RETURN_NOTIMPLEMENTED;
  return PyErr_Format(PyExc_TypeError, "can only concatenate tuple (not %s) to torch.Size",
                      Py_TYPE(b)->tp_name);
}

PyObject* repeat(PyObject* self, Py_ssize_t n) {
  return with_items(PyTuple_Type.tp_as_sequence->sq_repeat(self, n));
}

PyObject* numel(PyObject* self, PyObject*) {
  return guarded([&] {
    Owned n = own(PyLong_FromLong(1));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); ++i)
      n = own(PyNumber_Multiply(n.get(), PyTuple_GET_ITEM(self, i)));
    return n.release();
  });
}

// By a function of the package: the type's own name is that of a module which need not be there.
PyObject* reduce(PyObject* self, PyObject*) {
  return guarded([&] {
    const Owned items = own(PyTuple_GetSlice(self, 0, PyTuple_GET_SIZE(self)));
    return Py_BuildValue("O(O)", from_tuple.get(), items.get());
  });
}

PyMethodDef methods[] = {
    {"numel", numel, METH_NOARGS, "The number of elements."},
    {"__reduce__", reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

constexpr char kAbout[] =
    "The sizes of a tensor's axes.\n"
    "\n"
    ">>> import pullback as torch\n"
    ">>> torch.zeros(2, 3).shape\n"
    "torch.Size([2, 3])\n";

}  // namespace

PyObject* size_object(std::span<const int64_t> sizes) {
  Owned size = allocated(static_cast<Py_ssize_t>(sizes.size()));
  for (size_t i = 0; i < sizes.size(); ++i)
    PyTuple_SET_ITEM(size.get(), i, check(PyLong_FromLongLong(sizes[i])));
  return size.release();
}

void init_size_type(PyObject* module) {
  static PyType_Slot slots[] = {
      {Py_tp_new, reinterpret_cast<void*>(create)},
      {Py_tp_repr, reinterpret_cast<void*>(repr)},
      {Py_tp_methods, methods},
      {Py_tp_doc, const_cast<char*>(kAbout)},
      {Py_mp_subscript, reinterpret_cast<void*>(get_item)},
      {Py_sq_concat, reinterpret_cast<void*>(add)},
      {Py_sq_repeat, reinterpret_cast<void*>(repeat)},
      {Py_nb_add, reinterpret_cast<void*>(add)},
      {0, nullptr},
  };
  static PyType_Spec spec = {"torch.Size", 0, 0, Py_TPFLAGS_DEFAULT, slots};
  Owned bases = own(PyTuple_Pack(1, &PyTuple_Type));
  size_type = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpecWithBases(&spec, bases.get())));
  check(PyModule_AddObjectRef(module, "Size", reinterpret_cast<PyObject*>(size_type)));
}

}  // namespace pb::py
