// An update rule (an optimizer's step) over columns of tensors: one call, whatever the number of parameters.
#include "bindings/step.h"

#include <unordered_map>

#include "bindings/rules.h"
#include "bindings/tensor.h"
#include "program/bound.h"
#include "tape/transform.h"
#include "tape/watch.h"

namespace nb = nanobind;

namespace pb::py {
namespace {

// Runs one rule. Its program is traced by Python for each combination of flags, kinds of scalars and dtypes;
// bindings to the metas of a row are kept, and found by pointer.
class StepRule {
 public:
  explicit StepRule(nb::object trace) : trace_(std::move(trace)) {}

  // False, and nothing done, if a scalar is no number (a learning rate to be differentiated).
  bool run(nb::list columns, nb::dict scalars, nb::dict flags) {
    uint64_t options = 0;
    // Lent to this call: while a row runs, another thread may step too.
    Scratch s = std::move(scratch_);
    s.place = g_watched & (kWatchLines | kWatchStacks) ? g_watcher->here() : 0;
    if (g_watched & kWatchNonfinite) s.place |= kByStep;
    if (!read_scalars(scalars, options, s)) return false;
    read_flags(flags, options);
    s.lists.clear();
    for (Py_ssize_t c = 0; c < PyList_GET_SIZE(columns.ptr()); ++c) {
      PyObject* list = PyList_GET_ITEM(columns.ptr(), c);
      options = options << 1 | (list != Py_None);
      if (list != Py_None) s.lists.push_back(list);
    }
    const Py_ssize_t rows = s.lists.empty() ? 0 : PyList_GET_SIZE(s.lists[0]);
    for (Py_ssize_t r = 0; r < rows; ++r) run_row(r, options, columns, scalars, flags, s);
    scratch_ = std::move(s);
    return true;
  }

 private:
  using Key = std::vector<uint64_t>;
  struct Scratch {
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

  static bool read_scalars(nb::dict scalars, uint64_t& options, Scratch& to) {
    to.scalars.clear();
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(scalars.ptr(), &at, &key, &value)) {
      Scalar s;
      if (is_tensor(value) || !scalar_from(value, s)) return false;
      const double d = s.as_double();
      options = (options << 3) | (static_cast<uint64_t>(s.kind) << 1) | (d > -0.5 && d < 0.5);
      to.scalars.push_back(s);
    }
    return true;
  }

  static void read_flags(nb::dict flags, uint64_t& options) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(flags.ptr(), &at, &key, &value)) options = options << 1 | (value == Py_True);
  }

  void run_row(Py_ssize_t r, uint64_t options, nb::list columns, nb::dict scalars, nb::dict flags,
               Scratch& s) {
    s.in.clear();
    s.key.assign(1, options);
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
      bound = bind(r, columns, scalars, flags, s);
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

  Ref<Bound> bind(Py_ssize_t r, nb::list columns, nb::dict scalars, nb::dict flags, Scratch& s) {
    if (bound_.size() > kLimit) bound_.clear();
    nb::list row;
    for (nb::handle list : columns) row.append(list.is_none() ? nb::none() : nb::object(nb::list(list)[r]));
    Ref<Program> program = nb::cast<Ref<Program>>(trace_(row, scalars, flags));
    std::vector<const Meta*> metas;
    for (const Array* a : s.in) metas.push_back(a->meta.get());
    return Bound::bind(program, metas, {});
  }

  static constexpr size_t kLimit = 4096;
  nb::object trace_;
  std::unordered_map<Key, Ref<Bound>, Hash> bound_;  // a binding holds its inputs' metas
  Scratch scratch_;
};

}  // namespace

void init_step(nb::module_& m) {
  nb::class_<StepRule>(m, "StepRule").def(nb::init<nb::object>()).def("run", &StepRule::run);
}

}  // namespace pb::py
