#include "bindings/tree.h"

namespace pb::py {
namespace {

// What the module in Python has: the class of structures, that of a leaf, the registry of containers, and
// functions for those that are no tuple, list or dict.
struct Tree {
  PyTypeObject* spec_class = nullptr;
  PyObject *leaf = nullptr, *registry = nullptr, *flatten = nullptr, *filled = nullptr, *spread = nullptr;
};
Tree tree_module;

struct Names { PyObject *type, *context, *children_specs, *num_leaves; };
const Names& names() {
  static const auto interned = [](const char* s) { return check(PyUnicode_InternFromString(s)); };
  static const Names n{interned("type"), interned("context"), interned("children_specs"),
                       interned("num_leaves")};
  return n;
}

constexpr char kDeeper[] = " in a container that holds itself";

// A tuple of the user's may be a named one: Python looks.
bool is_leaf(PyObject* o) {
  if (PyTuple_Check(o)) return false;
  const bool registered =
      PyDict_GetItemWithError(tree_module.registry, reinterpret_cast<PyObject*>(Py_TYPE(o)));
  if (!registered && PyErr_Occurred()) throw PythonError();
  return !registered;
}

int64_t leaves_of(PyObject* spec) {
  if (spec == tree_module.leaf) return 1;
  const Owned number = own(PyObject_GetAttr(spec, names().num_leaves));
  const int64_t n = PyLong_AsLongLong(number.get());
  if (n == -1 && PyErr_Occurred()) throw PythonError();
  return n;
}

// The class is frozen for those who get the structures.
Owned make_spec(PyTypeObject* container, PyObject* context, PyObject* children) {
  static PyObject* nothing = check(PyTuple_New(0));
  int64_t leaves = 0;
  for (Py_ssize_t k = 0; k < PyList_GET_SIZE(children); ++k)
    leaves += leaves_of(PyList_GET_ITEM(children, k));
  Owned spec = own(tree_module.spec_class->tp_new(tree_module.spec_class, nothing, nullptr));
  const Owned count = own(PyLong_FromLongLong(leaves));
  PyObject* type = reinterpret_cast<PyObject*>(container);
  check(PyObject_GenericSetAttr(spec.get(), names().type, type));
  check(PyObject_GenericSetAttr(spec.get(), names().context, context));
  check(PyObject_GenericSetAttr(spec.get(), names().children_specs, children));
  check(PyObject_GenericSetAttr(spec.get(), names().num_leaves, count.get()));
  return spec;
}

// ---- apart ----

Owned flatten(PyObject* tree, PyObject* leaves);

// `children`: a list that nobody else has.
Owned flatten_children(PyTypeObject* container, PyObject* context, Owned children, PyObject* leaves) {
  const Py_ssize_t n = PyList_GET_SIZE(children.get());
  const Owned specs = own(PyList_New(n));
  for (Py_ssize_t k = 0; k < n; ++k)
    PyList_SET_ITEM(specs.get(), k, flatten(PyList_GET_ITEM(children.get(), k), leaves).release());
  return make_spec(container, context, specs.get());
}

Owned flatten(PyObject* tree, PyObject* leaves) {
  PyTypeObject* cls = Py_TYPE(tree);
  if (cls == &PyTuple_Type || cls == &PyList_Type) {
    const Deeper deeper(kDeeper);
    return flatten_children(cls, Py_None, own(PySequence_List(tree)), leaves);
  }
  if (cls == &PyDict_Type) {
    const Deeper deeper(kDeeper);
    const Owned keys = own(PyDict_Keys(tree));
    return flatten_children(cls, keys.get(), own(PyDict_Values(tree)), leaves);
  }
  if (is_leaf(tree)) {
    check(PyList_Append(leaves, tree));
    return Owned::borrow(tree_module.leaf);
  }
  const Deeper deeper(kDeeper);
  return own(PyObject_CallFunctionObjArgs(tree_module.flatten, tree, leaves, nullptr));
}

// (tree, list): its structure; the leaves go to the end of the list.
PyObject* flatten_tree(PyObject*, PyObject* const* args, Py_ssize_t) {
  return guarded([&] { return flatten(args[0], args[1]).release(); });
}

// ---- together ----

Owned fill(PyObject* spec, PyObject* leaves, Py_ssize_t& next);

Owned fill_children(PyObject* spec, PyObject* leaves, Py_ssize_t& next) {
  const Owned specs = own(PyObject_GetAttr(spec, names().children_specs));
  const Owned list = own(PySequence_List(specs.get()));
  for (Py_ssize_t k = 0; k < PyList_GET_SIZE(list.get()); ++k) {
    Owned child = fill(PyList_GET_ITEM(list.get(), k), leaves, next);
    PyList_SetItem(list.get(), k, child.release());
  }
  return list;
}

Owned fill(PyObject* spec, PyObject* leaves, Py_ssize_t& next) {
  const Owned type =
      spec == tree_module.leaf ? Owned::borrow(Py_None) : own(PyObject_GetAttr(spec, names().type));
  if (type.get() == Py_None) {
    PyObject* leaf = PyList_GetItem(leaves, next++);
    return Owned::borrow(check(leaf));
  }
  const Deeper deeper(kDeeper);
  Owned children = fill_children(spec, leaves, next);
  auto* cls = reinterpret_cast<PyTypeObject*>(type.get());
  if (cls == &PyList_Type) return children;
  if (cls == &PyTuple_Type) return own(PyList_AsTuple(children.get()));
  const Owned context = own(PyObject_GetAttr(spec, names().context));
  const Py_ssize_t n = PyList_GET_SIZE(children.get());
  if (cls != &PyDict_Type || !PyList_Check(context.get()) || PyList_GET_SIZE(context.get()) != n)
    return own(PyObject_CallFunctionObjArgs(tree_module.filled, spec, children.get(), nullptr));
  Owned dict = own(PyDict_New());
  for (Py_ssize_t k = 0; k < n; ++k) {
    const Owned key =
        Owned::borrow(check(PyList_GetItem(context.get(), k)));  // its hash may be code of the user's
    check(PyDict_SetItem(dict.get(), key.get(), PyList_GET_ITEM(children.get(), k)));
  }
  return dict;
}

// (structure, list of leaves): the tree.
PyObject* fill_tree(PyObject*, PyObject* const* args, Py_ssize_t) {
  return guarded([&] {
    Py_ssize_t next = 0;
    return fill(args[0], args[1], next).release();
  });
}

// ---- a prefix of a structure ----

bool spread(PyObject* tree, PyObject* spec, PyObject* out) {
  PyTypeObject* cls = Py_TYPE(tree);
  if (is_leaf(tree)) {
    for (int64_t n = leaves_of(spec); n > 0; --n) check(PyList_Append(out, tree));
    return true;
  }
  const Deeper deeper(kDeeper);
  if (cls != &PyTuple_Type) {
    const Owned part = own(PyObject_CallFunctionObjArgs(tree_module.spread, tree, spec, nullptr));
    if (part.get() == Py_None) return false;
    check(PyList_SetSlice(out, PyList_GET_SIZE(out), PyList_GET_SIZE(out), part.get()));
    return true;
  }
  const Owned type = own(PyObject_GetAttr(spec, names().type));
  if (type.get() != reinterpret_cast<PyObject*>(cls)) return false;
  const Owned specs = own(PyObject_GetAttr(spec, names().children_specs));
  const Owned list = own(PySequence_List(specs.get()));
  if (PyList_GET_SIZE(list.get()) != PyTuple_GET_SIZE(tree)) return false;
  for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(tree); ++k)
    if (!spread(PyTuple_GET_ITEM(tree, k), PyList_GET_ITEM(list.get(), k), out)) return false;
  return true;
}

// (tree, structure): each value of the tree for all leaves of its part of the structure; None where it is no
// prefix.
PyObject* spread_tree(PyObject*, PyObject* const* args, Py_ssize_t) {
  return guarded([&]() -> PyObject* {
    Owned out = own(PyList_New(0));
    if (!spread(args[0], args[1], out.get())) Py_RETURN_NONE;
    return out.release();
  });
}

PyObject* set_tree_module(PyObject*, PyObject* const* args, Py_ssize_t) {
  tree_module = {reinterpret_cast<PyTypeObject*>(Py_NewRef(args[0])),
                 Py_NewRef(args[1]),
                 Py_NewRef(args[2]),
                 Py_NewRef(args[3]),
                 Py_NewRef(args[4]),
                 Py_NewRef(args[5])};
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"flatten_tree", method(flatten_tree), METH_FASTCALL,
     "(tree, list): its structure; the leaves join the list"},
    {"fill_tree", method(fill_tree), METH_FASTCALL, "(structure, list of leaves): the tree"},
    {"spread_tree", method(spread_tree), METH_FASTCALL,
     "(tree, structure): the values of a prefix at each leaf, or None"},
    {"set_tree_module", method(set_tree_module), METH_FASTCALL,
     "(class of structures, that of a leaf, registry, flatten, filled, spread): see utils/_pytree.py"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void init_tree(PyObject* module) { check(PyModule_AddFunctions(module, functions)); }

}  // namespace pb::py
