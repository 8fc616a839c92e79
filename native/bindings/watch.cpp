// What the tape tells the search for faults, and how Python switches that on (pullback/debug, anomaly mode).
#include "bindings/watch.h"

#include <nanobind/stl/string.h>

#include "bindings/node_object.h"
#include "bindings/places.h"
#include "tape/tape.h"
#include "tape/watch.h"

namespace nb = nanobind;

namespace pb::py {
namespace {

PyObject* judge_results_py = nullptr;    // pullback.debug.nonfinite
PyObject* judge_gradients_py = nullptr;

// An exception that is on its way is set aside, and comes back whatever happens in between.
class PendingError {
 public:
  PendingError() { PyErr_Fetch(&type_, &value_, &trace_); }
  ~PendingError() {
    PyErr_Clear();
    PyErr_Restore(type_, value_, trace_);
  }
  PendingError(const PendingError&) = delete;
  PendingError& operator=(const PendingError&) = delete;

 private:
  PyObject *type_ = nullptr, *value_ = nullptr, *trace_ = nullptr;
};

std::string joined(PyObject* lines) {
  std::string all;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(lines); ++i) all += PyUnicode_AsUTF8(PyList_GET_ITEM(lines, i));
  return all;
}

void warn(const std::string& text) { check(PyErr_WarnEx(PyExc_UserWarning, text.c_str(), 1)); }

PyNodeExtras* known_extras(const Node& n) { return static_cast<PyNodeExtras*>(n.extras.get()); }

void warn_of(const Node& n, const char* what, const char* which) {
  const Owned stack(stack_of(n));
  if (!stack) {
    return warn(concat("Error detected in ", n.name(),
                       ". No forward pass information available. Enable detect ",
                       "anomaly during forward pass for more information."));
  }
  warn(concat(what, n.name(), ". Traceback of forward call that ", which, ":\n", joined(stack.get())));
}

Owned tensor_or_none(const Var& v) { return own(v.array.storage && !v.layer ? wrap(v) : Py_NewRef(Py_None)); }

Owned tensors(std::span<const Var> values) {
  Owned list = own(PyList_New(0));
  for (const Var& v : values) check(PyList_Append(list.get(), tensor_or_none(v).get()));
  return list;
}

Owned operands_of(const Application& a) {
  Owned list = own(PyList_New(0));
  for (const Argument& x : a.args)
    check(PyList_Append(list.get(),
                        (x.var ? own(wrap_array(x.var->array)) : own(scalar_object(x.scalar))).get()));
  return list;
}

// Parameters that an optimizer's step has left with a nan or an infinity: (position, place of the step).
Owned spoilt_parameters(const Application& a) {
  Owned list = own(PyList_New(0));
  for (size_t i = 0; i < a.args.size(); ++i) {
    const Var* v = a.args[i].var;
    if (!v || !v->node || !v->node->is_leaf() || all_finite(v->array)) continue;
    const uint32_t place = v->array.storage->changed_at;
    if (place & kByStep) check(PyList_Append(list.get(), own(Py_BuildValue("(nI)", i, place)).get()));
  }
  return list;
}

Owned ints_of(const Application& a) {
  Owned list = own(PyList_New(0));
  for (int64_t i : a.ints) check(PyList_Append(list.get(), own(PyLong_FromLongLong(i)).get()));
  return list;
}

class FrameWatcher final : public Watcher {
 public:
  uint32_t here() override { return place_here(g_watched & kWatchStacks); }
  std::string text(uint32_t place) override { return place_text(place); }

  void created(Node& n) override {
    n.place = here();
    Node* parent = running_node();
    if (g_watched & kWatchStacks && parent) extras_of(n).parent = own(node_object(Ref<Node>(parent)));
  }

  void failed(Node& n) override {
    const PendingError pending;
    try {
      warn_of(n, "Error detected in ", "caused the error");
      for (PyNodeExtras* e = known_extras(n); e && e->parent;) {
        const Ref<Node> parent = node_from_object(e->parent.get());
        warn_of(*parent, "\n\nPrevious calculation was induced by ", "induced the previous calculation");
        e = known_extras(*parent);
      }
    } catch (const PythonError&) {
      // A warning that is turned into an error would hide the one that it is about.
    }
  }

  void judge_results(const Application& a, std::span<const Array> results, bool elementwise,
                     const char* purpose) override {
    if (!judge_results_py) return;
    const Owned list = own(PyList_New(0));
    for (const Array& r : results)
      check(PyList_Append(list.get(), (r.storage ? own(wrap_array(r)) : Owned::borrow(Py_None)).get()));
    auto* declaration = static_cast<PyObject*>(a.op->declaration);
    const Owned operands = operands_of(a), ints = ints_of(a), spoilt = spoilt_parameters(a);
    own(PyObject_CallFunction(judge_results_py, "sOOOOOzO", a.op->name.c_str(),
                              declaration ? declaration : Py_None, operands.get(), ints.get(), list.get(),
                              elementwise ? Py_True : Py_False, purpose, spoilt.get()));
  }

  void judge_gradients(Node& n, std::span<const Var> cotangents, std::span<const Var> gradients,
                       std::span<const Ref<Node>> roots) override {
    if (!judge_gradients_py) return;
    Owned tops = own(PyList_New(0));
    for (const Ref<Node>& r : roots) check(PyList_Append(tops.get(), own(node_object(r)).get()));
    const Owned node = own(node_object(Ref<Node>(&n)));
    own(PyObject_CallFunctionObjArgs(judge_gradients_py, node.get(), tensors(cotangents).get(),
                                     tensors(gradients).get(), tops.get(), nullptr));
  }
};

}  // namespace

void init_watch(nb::module_& m) {
  g_watcher = new FrameWatcher();  // lives as long as the process
  m.attr("WATCH_LINES") = static_cast<int>(kWatchLines);
  m.attr("WATCH_STACKS") = static_cast<int>(kWatchStacks);
  m.attr("WATCH_NAN") = static_cast<int>(kWatchNan);
  m.attr("WATCH_NONFINITE") = static_cast<int>(kWatchNonfinite);
  m.def("watched", [] { return static_cast<int>(g_watched); });
  m.def("set_watched", [](int flags) { g_watched = static_cast<uint8_t>(flags); });
  m.def("set_place_format",
        [](nb::object package, nb::object format) { set_place_format(package.ptr(), format.ptr()); });
  m.def("set_judges", [](nb::object results, nb::object gradients) {
    Py_XSETREF(judge_results_py, results.release().ptr());
    Py_XSETREF(judge_gradients_py, gradients.release().ptr());
  });
  m.def("place_here", [] { return place_here(false); });
  m.def("place_text", place_text);
  m.def("place_of_node", [](nb::handle node) { return node_from_object(node.ptr())->place; });
  m.def("place_of_change", [](nb::handle t) { return var_of(t.ptr()).array.storage->changed_at; });
  m.def("is_elementwise", [](nb::handle node) {
    const Ref<Node> n = node_from_object(node.ptr());
    const auto* operation = dynamic_cast<const OperationNode*>(n.get());
    return operation && is_elementwise(operation->plan());
  });
  m.def("change_text", change_text);
  m.def("anomaly_hint", anomaly_hint);
}

}  // namespace pb::py
