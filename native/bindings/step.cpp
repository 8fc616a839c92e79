// An update rule (an optimizer's step) over columns of tensors: one call, whatever the number of parameters.
//   rule(columns, name=value, ...): truth values are part of the program, numbers are its run-time scalars.
#include "bindings/step.h"

#include <structmember.h>

#include <unordered_map>

#include "bindings/rules.h"
#include "bindings/tensor.h"
#include "program/bound.h"
#include "tape/transform.h"
#include "tape/watch.h"

namespace nb = nanobind;

namespace pb::py {
namespace {

// Runs one rule. Its program is traced by Python for each combination of truth values, kinds of numbers and dtypes;
// bindings to the metas of a row are kept, and found by pointer.
class StepRule {
 public:
  // body: the rule; columns: their names; trace(row, values): its program; recorded(columns, values): the step in tensor operations, for
  // values that are no numbers (a learning rate to be differentiated).
  StepRule(Owned body, Owned columns, Owned trace, Owned recorded)
      : body_(std::move(body)),
        columns_(std::move(columns)),
        trace_(std::move(trace)),
        recorded_(std::move(recorded)) {}

  PyObject* body() const { return body_.get(); }

  PyObject* call(PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
    check_columns(n, args);
    // Lent to this call: while a row runs, another thread may step too.
    Scratch s = std::move(scratch_);
    s.place = g_watched & (kWatchLines | kWatchStacks) ? g_watcher->here() : 0;
    if (g_watched & kWatchNonfinite) s.place |= kByStep;
    s.columns = args[0];
    s.names = kwnames;
    s.values = args + 1;
    if (read_values(s)) {
      read_columns(s);
      const Py_ssize_t rows = s.lists.empty() ? 0 : PyList_GET_SIZE(s.lists[0]);
      for (Py_ssize_t r = 0; r < rows; ++r) run_row(r, s);
    } else {
      own(PyObject_CallFunctionObjArgs(recorded_.get(), args[0], values_of(s).get(), nullptr));
    }
    scratch_ = std::move(s);
    Py_RETURN_NONE;
  }

 private:
  using Key = std::vector<uint64_t>;
  struct Scratch {
    PyObject *columns = nullptr, *names = nullptr;  // of the call
    PyObject* const* values = nullptr;
    uint64_t options = 0, order = 0;
    std::vector<Scalar> scalars;
    std::vector<PyObject*> lists;
    std::vector<const Array*> in;
    std::vector<Array> out;
    Key key;
    uint32_t place = 0;  // of the call, where places are watched
  };
  struct Hash {
    size_t operator()(const Key& k) const {
      uint64_t h = k.size();
      for (uint64_t v : k) h = (h ^ v) * 0x9E3779B97F4A7C15ull, h ^= h >> 29;
      return h;
    }
  };

  void check_columns(Py_ssize_t n, PyObject* const* args) const {
    if (n == 1 && PyList_Check(args[0]) && PyList_GET_SIZE(args[0]) == PyTuple_GET_SIZE(columns_.get()))
      return;
    const Owned name = own(PyObject_GetAttrString(body_.get(), "__name__"));
    const Owned comma = own(text(", "));
    const Owned names = own(PyUnicode_Join(comma.get(), columns_.get()));
    PyErr_Format(PyExc_TypeError, "%U takes a list of %zd columns (%U), and its numbers and flags by name",
                 name.get(), PyTuple_GET_SIZE(columns_.get()), names.get());
    throw PythonError();
  }

  // Which of the orders in which the names have come.
  uint64_t order_of(PyObject* names) {
    for (size_t k = 0; k < orders_.size(); ++k) {
      if (orders_[k].get() == names) return k;
      const int same = names && orders_[k] ? PyObject_RichCompareBool(orders_[k].get(), names, Py_EQ) : 0;
      check(same);
      if (same) return k;
    }
    orders_.push_back(Owned::borrow(names));
    return orders_.size() - 1;
  }

  // The run-time scalars, and three bits for each value; false if one is neither a number nor a truth value.
  bool read_values(Scratch& s) {
    s.scalars.clear();
    s.options = 0;
    s.order = order_of(s.names);
    const Py_ssize_t n = s.names ? PyTuple_GET_SIZE(s.names) : 0;
    if (n > 20) fail(ErrorKind::Type, "an update rule takes at most 20 numbers and truth values");
    for (Py_ssize_t k = 0; k < n; ++k) {
      PyObject* value = s.values[k];
      if (PyBool_Check(value)) {
        s.options = s.options << 3 | 6 | (value == Py_True);
        continue;
      }
      Scalar x;
      if (is_tensor(value) || !scalar_from(value, x)) return false;
      const double d = x.as_double();
      if (x.kind == Scalar::Kind::Bool) {  // NumPy's, as a comparison of its numbers gives them
        s.options = s.options << 3 | 6 | (d != 0);
        continue;
      }
      s.options = s.options << 3 | (x.kind == Scalar::Kind::Float ? 2 : 0) | (d > -0.5 && d < 0.5);
      s.scalars.push_back(x);
    }
    return true;
  }

  static void read_columns(Scratch& s) {
    s.lists.clear();
    for (Py_ssize_t c = 0; c < PyList_GET_SIZE(s.columns); ++c) {
      PyObject* list = PyList_GET_ITEM(s.columns, c);
      s.order = s.order << 1 | (list != Py_None);
      if (list != Py_None) s.lists.push_back(list);
    }
  }

  // By name, with Python's own truth values.
  static Owned values_of(const Scratch& s) {
    Owned values = own(PyDict_New());
    for (Py_ssize_t k = 0; s.names && k < PyTuple_GET_SIZE(s.names); ++k) {
      PyObject* value = s.values[k];
      Scalar x;
      if (!is_tensor(value) && scalar_from(value, x) && x.kind == Scalar::Kind::Bool)
        value = x.as_double() != 0 ? Py_True : Py_False;
      check(PyDict_SetItem(values.get(), PyTuple_GET_ITEM(s.names, k), value));
    }
    return values;
  }

  void run_row(Py_ssize_t r, Scratch& s) {
    s.in.clear();
    s.key = {s.options, s.order};
    for (PyObject* list : s.lists) {
      PyObject* o = check(PyList_GetItem(list, r));
      if (!is_tensor(o)) fail(ErrorKind::Type, "a step's columns must hold tensors");
      if (is_batched(var_of(o))) g_refuse_batch("an optimizer's step", false);
      s.in.push_back(&as_tensor(o)->var.array);
      s.key.push_back(reinterpret_cast<uintptr_t>(s.in.back()->meta.get()));
    }
    Ref<Bound> bound;
    if (auto it = bound_.find(s.key); it != bound_.end()) {
      bound = it->second;
    } else {
      bound = bind(r, s);
      bound_.emplace(s.key, bound);
    }
    s.out.resize(bound->program().outputs.size());
    if (g_before_change)
      for (int32_t target : bound->program().in_place) g_before_change(*s.in[target]);
    bound->run(s.in, s.scalars, s.out);
    for (Array& a : s.out) a = Array();
    const std::vector<int32_t>& written = bound->program().in_place;
    for (int32_t target : written) ++s.in[target]->storage->version;
    if (s.place)
      for (int32_t target : written) s.in[target]->storage->changed_at = s.place;
  }

  Ref<Bound> bind(Py_ssize_t r, Scratch& s) {
    if (bound_.size() > kLimit) bound_.clear();
    const Owned row = own(PyList_New(PyList_GET_SIZE(s.columns)));
    for (Py_ssize_t c = 0; c < PyList_GET_SIZE(row.get()); ++c) {
      PyObject* list = PyList_GET_ITEM(s.columns, c);
      PyList_SET_ITEM(row.get(), c, Py_NewRef(list == Py_None ? list : check(PyList_GetItem(list, r))));
    }
    const Owned traced =
        own(PyObject_CallFunctionObjArgs(trace_.get(), row.get(), values_of(s).get(), nullptr));
    const auto program = nb::cast<Ref<Program>>(nb::handle(traced.get()));
    std::vector<const Meta*> metas;
    for (const Array* a : s.in) metas.push_back(a->meta.get());
    return Bound::bind(program, metas, {});
  }

  static constexpr size_t kLimit = 4096;
  Owned body_, columns_, trace_, recorded_;
  std::vector<Owned> orders_;
  std::unordered_map<Key, Ref<Bound>, Hash> bound_;  // a binding holds its inputs' metas
  Scratch scratch_;
};

struct StepObject {
  PyObject_HEAD vectorcallfunc vectorcall;
  std::unique_ptr<StepRule> rule;
};

StepObject* self_of(PyObject* o) { return reinterpret_cast<StepObject*>(o); }

PyObject* call(PyObject* self, PyObject* const* args, size_t n, PyObject* kwnames) {
  return guarded([&] { return self_of(self)->rule->call(args, PyVectorcall_NARGS(n), kwnames); });
}

PyObject* create(PyTypeObject* type, PyObject* args, PyObject*) {
  return guarded([&]() -> PyObject* {
    PyObject *body = nullptr, *columns = nullptr, *trace = nullptr, *recorded = nullptr;
    if (!PyArg_ParseTuple(args, "OO!OO", &body, &PyTuple_Type, &columns, &trace, &recorded)) return nullptr;
    PyObject* o = check(type->tp_alloc(type, 0));
    self_of(o)->vectorcall = call;
    new (&self_of(o)->rule) std::unique_ptr<StepRule>(std::make_unique<StepRule>(
        Owned::borrow(body), Owned::borrow(columns), Owned::borrow(trace), Owned::borrow(recorded)));
    return o;
  });
}

void dealloc(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  self_of(o)->rule.~unique_ptr();
  type->tp_free(o);
  Py_DECREF(type);
}

// __name__, __doc__ and the like are those of the rule's body.
PyObject* get_of_body(PyObject* self, void* name) {
  return PyObject_GetAttrString(self_of(self)->rule->body(), static_cast<const char*>(name));
}
PyObject* get_body(PyObject* self, void*) { return Py_NewRef(self_of(self)->rule->body()); }

char kName[] = "__name__", kDoc[] = "__doc__", kModule[] = "__module__";
PyGetSetDef getset[] = {
    {"__name__", get_of_body, nullptr, nullptr, kName},
    {"__doc__", get_of_body, nullptr, nullptr, kDoc},
    {"__module__", get_of_body, nullptr, nullptr, kModule},
    {"__wrapped__", get_body, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(StepObject, vectorcall), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

}  // namespace

void init_step(PyObject* module) {
  static PyType_Slot slots[] = {
      {Py_tp_new, reinterpret_cast<void*>(create)},
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
      {Py_tp_getset, getset},
      {Py_tp_members, members},
      {0, nullptr},
  };
  static PyType_Spec spec = {"pullback._core.StepRule", sizeof(StepObject), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL, slots};
  const Owned type = own(PyType_FromSpec(&spec));
  check(PyModule_AddObjectRef(module, "StepRule", type.get()));
}

}  // namespace pb::py
