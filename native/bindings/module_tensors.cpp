#include "bindings/module_tensors.h"

#include <algorithm>
#include <vector>

#include "bindings/tensor.h"

namespace pb::py {
namespace {

PyObject* interned(const char* name) { return check(PyUnicode_InternFromString(name)); }

// As they are now, whatever is done meanwhile.
Owned items_of(PyObject* mapping) {
  static PyObject* nothing = check(PyList_New(0));  // most tables of most modules are empty
  if (PyDict_CheckExact(mapping) && PyDict_GET_SIZE(mapping) == 0) return Owned::borrow(nothing);
  return own(PyMapping_Items(mapping));
}

PyObject* key_of(PyObject* items, Py_ssize_t k) { return PyTuple_GET_ITEM(PyList_GET_ITEM(items, k), 0); }
PyObject* value_of(PyObject* items, Py_ssize_t k) { return PyTuple_GET_ITEM(PyList_GET_ITEM(items, k), 1); }

void put(PyObject* table, PyObject* key, PyObject* value) {
  check(PyDict_CheckExact(table) ? PyDict_SetItem(table, key, value) : PyObject_SetItem(table, key, value));
}

// What is there; nothing where there is nothing.
Owned look_up(PyObject* table, PyObject* key) {
  if (PyDict_CheckExact(table)) {
    PyObject* found = PyDict_GetItemWithError(table, key);
    if (!found && PyErr_Occurred()) throw PythonError();
    return Owned::borrow(found);
  }
  static PyObject* get = interned("get");
  Owned found = own(PyObject_CallMethodObjArgs(table, get, key, nullptr));
  return found.get() == Py_None ? Owned() : found;
}

void add_places(PyObject* module, PyObject* prefix, PyObject* places) {
  static PyObject *parameters = interned("_parameters"), *buffers = interned("_buffers"),
                  *modules = interned("_modules"), *dot = interned(".");
  const Deeper deeper(" in a module that holds itself");
  for (PyObject* which : {parameters, buffers}) {
    const Owned table = own(PyObject_GetAttr(module, which));
    const Owned items = items_of(table.get());
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(items.get()); ++k) {
      if (value_of(items.get(), k) == Py_None) continue;
      const Owned name = own(PyUnicode_Concat(prefix, key_of(items.get(), k)));
      const Owned place = own(PyTuple_Pack(3, table.get(), key_of(items.get(), k), value_of(items.get(), k)));
      check(PyDict_SetItem(places, name.get(), place.get()));
    }
  }
  const Owned table = own(PyObject_GetAttr(module, modules));
  const Owned children = items_of(table.get());
  for (Py_ssize_t k = 0; k < PyList_GET_SIZE(children.get()); ++k) {
    if (value_of(children.get(), k) == Py_None) continue;
    const Owned name = own(PyUnicode_Concat(prefix, key_of(children.get(), k)));
    const Owned inside = own(PyUnicode_Concat(name.get(), dot));
    add_places(value_of(children.get(), k), inside.get(), places);
  }
}

// (module): {full name: (the table that holds it, its key, it)} of all parameters and buffers, and whether a tensor
// is there under several names.
PyObject* module_places(PyObject*, PyObject* module) {
  return guarded([&]() -> PyObject* {
    static PyObject* empty = interned("");
    const Owned places = own(PyDict_New());
    add_places(module, empty, places.get());
    std::vector<PyObject*> tensors;
    PyObject* place;
    for (Py_ssize_t k = 0; PyDict_Next(places.get(), &k, nullptr, &place);)
      tensors.push_back(PyTuple_GET_ITEM(place, 2));
    std::ranges::sort(tensors);
    const bool tied = std::ranges::adjacent_find(tensors) != tensors.end();
    return PyTuple_Pack(2, places.get(), tied ? Py_True : Py_False);
  });
}

// (places, {name: tensor or None}, elsewhere): each goes to its place, or to the one that elsewhere(name) gives.
PyObject* put_tensors(PyObject*, PyObject* const* args, Py_ssize_t) {
  return guarded([&] {
    const Owned items = items_of(args[1]);
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(items.get()); ++k) {
      PyObject *name = key_of(items.get(), k), *value = value_of(items.get(), k);
      if (value != Py_None && !is_tensor(value)) {
        const Owned shown = own(PyObject_Str(value));
        const char* shown_text = PyUnicode_AsUTF8(shown.get());
        if (!shown_text) throw PythonError();
        fail(ErrorKind::Type, shown_text, " is not an instance of torch.Tensor");
      }
      Owned place = look_up(args[0], name);
      if (!place) place = own(PyObject_CallOneArg(args[2], name));
      put(PyTuple_GET_ITEM(place.get(), 0), PyTuple_GET_ITEM(place.get(), 1), value);
    }
    return none();
  });
}

// (places, {name: tensor}): what is in the places now, under the names.
PyObject* take_tensors(PyObject*, PyObject* const* args, Py_ssize_t) {
  return guarded([&] {
    const Owned items = items_of(args[1]);
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(items.get()); ++k) {
      const Owned place = own(PyObject_GetItem(args[0], key_of(items.get(), k)));
      const Owned now = look_up(PyTuple_GET_ITEM(place.get(), 0), PyTuple_GET_ITEM(place.get(), 1));
      put(args[1], key_of(items.get(), k), now ? now.get() : Py_None);
    }
    return none();
  });
}

PyMethodDef functions[] = {
    {"module_places", module_places, METH_O,
     "(module): {full name: (table, key, tensor)}, whether tensors are tied"},
    {"put_tensors", method(put_tensors), METH_FASTCALL,
     "(places, {name: tensor}, elsewhere): each in its place"},
    {"take_tensors", method(take_tensors), METH_FASTCALL,
     "(places, {name: tensor}): what is in the places now"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void init_module_tensors(PyObject* module) { check(PyModule_AddFunctions(module, functions)); }

}  // namespace pb::py
