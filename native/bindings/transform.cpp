#include "bindings/transform.h"

#include "bindings/function_node.h"
#include "bindings/node_object.h"
#include "bindings/override.h"
#include "bindings/tensor.h"
#include "tape/pushed.h"

namespace nb = nanobind;

namespace pb::py {
namespace {

PyObject* batch_reader = nullptr;    // what Python sees of a batch: pullback.func.vmap
PyObject* batch_refuser = nullptr;
PyObject* loop_reporter = nullptr;

struct LevelHandle { Ref<Level> level; };

nb::object stolen(PyObject* o) {
  if (!o) throw nb::python_error();
  return nb::steal(o);
}
const Var& var(nb::handle t) {
  if (!is_tensor(t.ptr())) fail(ErrorKind::Type, "expected a Tensor, but got ", Py_TYPE(t.ptr())->tp_name);
  return var_of(t.ptr());
}

LevelHandle open_level(bool batch, int64_t size) {
  static int64_t last = 0;
  LevelHandle h{Ref<Level>(new Level())};
  h.level->kind = batch ? LayerKind::Batch : LayerKind::Dual;
  h.level->number = ++last;
  h.level->size = size;
  h.level->epoch = ++Storage::epoch;
  return h;
}

// The newest layer of a tensor: (level, value, tangent or None); None for a tensor without.
nb::object top_layer(nb::handle t) {
  const Var v = without_closed(var(t));
  if (!v.layer) return nb::none();
  const ValueLayer& l = *layer_of(v);
  nb::object tangent = l.tangent.array.storage ? stolen(wrap(l.tangent)) : nb::none();
  return nb::make_tuple(LevelHandle{l.level}, stolen(wrap(l.value)), tangent);
}

void refuse(const char* why, bool in_turn) {
  nb::borrow(batch_refuser)(why, in_turn);
  fail(ErrorKind::Runtime, why);
}

void add_values(const Owned& dict, nb::list& to) {
  if (!dict) return;
  for (auto [key, hook] : nb::borrow<nb::dict>(dict.get())) to.append(hook);
}

std::vector<Var> vars(nb::handle tensors) {
  std::vector<Var> out;
  for (nb::handle t : tensors) out.push_back(var(t));
  return out;
}

// The newest level of which any of the tensors has a layer; None where all are plain.
nb::object newest_level(nb::handle tensors) {
  if (!Layer::alive) return nb::none();
  Ref<Level> newest;
  for (nb::handle t : tensors) {
    const Var v = without_closed(var(t));
    if (v.layer && (!newest || layer_of(v)->level->number > newest->number)) newest = layer_of(v)->level;
  }
  return newest ? nb::cast(LevelHandle{newest}) : nb::none();
}

// The levels of all the tensors' layers and of those of their tangents, oldest first.
nb::list levels_of(nb::handle tensors) {
  std::vector<Ref<Level>> found;
  if (Layer::alive)
    for (nb::handle t : tensors) add_levels(var(t), found);
  nb::list out;
  for (const Ref<Level>& level : found) out.append(LevelHandle{level});
  return out;
}

// Each tensor on a node of a scope, with all of these batches.
nb::list open_inputs(nb::handle tensors, nb::handle batches, uint32_t scope) {
  const std::vector<Ref<Level>> around = levels_from(batches);
  nb::list opened;
  for (nb::handle t : tensors) {
    Var v = without_closed(var(t));
    for (const Ref<Level>& batch : around) v = included(v, batch);
    opened.append(stolen(wrap(open_input(v, scope))));
  }
  return opened;
}

nb::object below(nb::handle t, const Level& level) {
  const Var v = below_layer(var(t), level);
  return v.array.storage ? stolen(wrap(v)) : nb::none();
}

// (value, True) for each of several results that has the layer of a level, (itself, False) for the others.
nb::list parted(nb::handle results, const LevelHandle& h) {
  nb::list out;
  for (nb::handle y : results) {
    nb::object value = is_tensor(y.ptr()) ? below(y, *h.level) : nb::none();
    if (value.is_none()) out.append(nb::make_tuple(y, false));
    else out.append(nb::make_tuple(value, true));
  }
  return out;
}

// Outputs, their cotangents and inputs without the layer of a batch. An output that all samples share is left
// out: it does not depend on the inputs, which are a sample's own.
nb::tuple without_batch(const LevelHandle& h, nb::handle outputs, nb::handle cotangents, nb::handle inputs) {
  nb::list ys, gs, xs;
  for (nb::handle x : inputs) {
    nb::object value = below(x, *h.level);
    if (value.is_none()) refuse("a gradient of a value that all samples share is taken inside vmap", false);
    xs.append(value);
  }
  auto g = cotangents.begin();
  for (nb::handle y : outputs) {
    nb::object value = below(y, *h.level);
    if (!value.is_none()) {
      ys.append(value);
      gs.append(stolen(wrap(below_layer(included(var(*g), h.level), *h.level))));
    }
    ++g;
  }
  return nb::make_tuple(ys, gs, xs);
}

// Gradients with the layer of a batch; None where there is none.
nb::list insert_in_all(nb::handle gradients, const LevelHandle& h) {
  nb::list out;
  for (nb::handle g : gradients)
    out.append(g.is_none() ? nb::none() : stolen(wrap(inserted(var(g), h.level))));
  return out;
}

nb::object leave(nb::handle t, uint32_t outer) {
  const Var v = without_closed(var(t));
  if (!v.layer && v.node && v.node->scopes & outer) return nb::borrow(t);
  return stolen(wrap(left(v, outer)));
}

// Results on their way out of a scope: off the tape, unless something outside needs their gradients.
nb::list leave_all(nb::handle results, uint32_t outer) {
  nb::list out;
  for (nb::handle t : results) {
    const bool on_tape = is_tensor(t.ptr()) && requires_grad(as_tensor(t.ptr()));
    out.append(on_tape ? leave(t, outer) : nb::borrow(t));
  }
  return out;
}

nb::object same_place(nb::handle t) {
  return stolen(reinterpret_cast<PyObject*>(new_tensor(with_new_layers(var(t)))));
}

// The arguments of a program inside a batch: those with an axis of samples have it in front.
nb::list in_batch(const LevelHandle& h, nb::handle leaves, nb::handle axes) {
  nb::list out;
  auto axis = axes.begin();
  for (nb::handle x : leaves) {
    out.append(axis->is_none() ? nb::borrow(x) : stolen(wrap(batched(h.level, without_closed(var(x))))));
    ++axis;
  }
  return out;
}

// How many samples the arguments of vmap have along their axes, None or counted from the front; -1 where
// something about them is to be refused, or asked of a class.
int64_t sample_count(nb::handle leaves, nb::handle axes) {
  int64_t size = -1;
  auto axis = axes.begin();
  for (nb::handle x : leaves) {
    const nb::handle d = *axis;
    ++axis;
    if (d.is_none()) continue;
    if (!PyLong_CheckExact(d.ptr()) || !is_tensor(x.ptr()) || asks(x.ptr())) return -1;
    const Meta& m = *var_of(x.ptr()).array.meta;
    const int64_t k = nb::cast<int64_t>(d);
    if (k < 0 || k >= m.ndim || (size >= 0 && m.size(static_cast<int>(k)) != size)) return -1;
    size = m.size(static_cast<int>(k));
  }
  return size;
}

// What stands between values that are to be pulled back and inputs: (hooks, and tensors that retain their gradients;
// whether gradients without tangents cannot be had there, or not rightly).
nb::tuple way_back(nb::handle outputs, nb::handle inputs) {
  nb::list hooks;
  bool outdated = false;
  for (Node* n : nodes_between(vars(outputs), vars(inputs))) {
    outdated = outdated || is_outdated(*n);
    if (auto* e = static_cast<PyNodeExtras*>(n->extras.get())) {
      for (const auto& [nr, dict] : e->tensor_hooks) add_values(dict, hooks);
      for (const Owned* dict : {&e->pre_hooks, &e->post_hooks, &e->accumulate_hooks})
        add_values(*dict, hooks);
      for (const Retained& r : e->retained) hooks.append(nb::handle(r.tensor));
    }
  }
  return nb::make_tuple(hooks, outdated);
}

// Whether gradients there cannot carry the tangents of the levels.
bool any_lacks(nb::handle outputs, nb::handle inputs, nb::handle levels) {
  const std::vector<Ref<Level>> along = levels_from(levels);
  return std::ranges::any_of(nodes_between(vars(outputs), vars(inputs)),
                             [&](const Node* n) { return lacking(*n, along); });
}

// A call of a user's function: an object that is called with the node, the cotangents and what puts a result, by its
// number, on its place; and that has lacks() and release().
class PyPushedFunction final : public PushedFunction {
 public:
  explicit PyPushedFunction(PyObject* call) : call_(Owned::borrow(call)) {}

  void run(Node& node, std::span<const Var> cotangents, std::span<Var> gradients) override {
    const Owned call = call_;  // a backward inside may free this object
    Owned self = own(node_object(Ref<Node>(&node)));
    Owned given = own(PyTuple_New(static_cast<Py_ssize_t>(cotangents.size())));
    for (size_t k = 0; k < cotangents.size(); ++k) {
      const Var& g = cotangents[k];
      PyTuple_SET_ITEM(given.get(), k, g.array.storage ? check(wrap(g)) : Py_NewRef(Py_None));
    }
    const nb::object place = nb::cpp_function([at = Ref<Node>(&node)](nb::handle t, size_t k) {
      const int32_t nr = pushed_of(*at)->outputs[k];
      return nr < 0 ? nb::borrow(t) : stolen(wrap(moved(var(t), at, static_cast<uint32_t>(nr))));
    });
    Owned found =
        own(PyObject_CallFunctionObjArgs(call.get(), self.get(), given.get(), place.ptr(), nullptr));
    for (size_t k = 0; k < gradients.size(); ++k)
      if (PyObject* g = PyTuple_GET_ITEM(found.get(), k); g != Py_None) gradients[k] = var_of(g);
  }
  bool lacks() override { return nb::cast<bool>(nb::borrow(call_.get()).attr("lacks")()); }
  void release() override { own(PyObject_CallMethod(call_.get(), "release", nullptr)); }

 private:
  Owned call_;
};

// The results of a call of a user's function on tensors with tangents of a level, where gradients with tangents find
// what the function object has kept.
nb::list note_call(const LevelHandle& h, const char* name, nb::handle function, bool keeps_its_own,
                   nb::handle arguments, nb::handle results) {
  std::vector<Var> given = vars(arguments), made = vars(results);
  std::vector<const Var*> places;
  for (const Var& v : given) places.push_back(&v);
  auto kept = std::make_unique<PyPushedFunction>(function.ptr());
  kept->keeps_its_own = keeps_its_own;
  note_function(h.level, std::move(kept), interned(name), places, made);
  nb::list out;
  for (Var& v : made) out.append(stolen(wrap(std::move(v))));
  return out;
}

}  // namespace

std::vector<Ref<Level>> levels_from(nb::handle sequence) {
  std::vector<Ref<Level>> out;
  for (nb::handle h : sequence) out.push_back(nb::cast<LevelHandle&>(h).level);
  return out;
}

Array readable(PyObject* o) {
  const Var& v = var_of(o);
  if (!v.layer || !is_batched(v)) return v.array;
  Owned one = own(PyObject_CallOneArg(batch_reader, o));
  return as_tensor(one.get())->var.array;
}

void init_transform(nb::module_& m) {
  nb::class_<LevelHandle>(m, "Level", "One open vmap or forward-mode level.")
      .def_prop_ro("number", [](const LevelHandle& h) { return h.level->number; })
      .def_prop_ro("size", [](const LevelHandle& h) { return h.level->size; })
      .def_prop_ro("is_batch", [](const LevelHandle& h) { return h.level->kind == LayerKind::Batch; })
      .def_prop_ro("is_open", [](const LevelHandle& h) { return h.level->open; })
      .def("close", [](LevelHandle& h) { h.level->open = false; })
      .def("reopen", [](LevelHandle& h) { h.level->open = true; })
      .def(
          "__eq__", [](const LevelHandle& a, const LevelHandle& b) { return a.level == b.level; },
          nb::is_operator())
      .def("__hash__", [](const LevelHandle& h) { return h.level->number; });
  m.def("open_level", open_level, nb::arg("batch"), nb::arg("size"));
  m.def("add_batch", [](const LevelHandle& h, nb::handle value) {
    return stolen(wrap(batched(h.level, without_closed(var(value)))));
  });
  m.def("add_tangent", [](const LevelHandle& h, nb::handle value, nb::handle tangent) {
    return stolen(wrap(dual(h.level, without_closed(var(value)), without_closed(var(tangent)))));
  });
  m.def("top_layer", top_layer);
  m.def("has_layers", [] { return Layer::alive > 0; });
  m.def("is_batched", [](nb::handle t) { return is_batched(var(t)); });
  m.def("innermost", [](nb::handle t) { return stolen(wrap(innermost(var(t)))); });
  m.def("newest_level", newest_level);
  m.def("levels_of", levels_of);
  m.def("include",
        [](nb::handle t, const LevelHandle& h) { return stolen(wrap(included(var(t), h.level))); });
  m.def("below", [](nb::handle t, const LevelHandle& h) { return below(t, *h.level); });
  m.def("parted", parted);
  m.def("without_batch", without_batch);
  m.def("in_batch", in_batch);
  m.def("sample_count", sample_count);
  m.def("insert", [](nb::handle t, const LevelHandle& h) { return stolen(wrap(inserted(var(t), h.level))); });
  m.def("insert_in_all", insert_in_all);
  m.def("open_inputs", open_inputs);
  m.def("leave", leave);
  m.def("leave_all", leave_all);
  m.def("refuse_batch", refuse, nb::arg("why"), nb::arg("in_turn") = false);
  m.def("same_place", same_place);
  m.def("same_places", [](nb::handle tensors) {
    nb::list out;
    for (nb::handle t : tensors) out.append(same_place(t));
    return out;
  });
  m.def("take_place", [](nb::handle t, nb::handle other) { as_tensor(t.ptr())->var = var(other); });
  m.def("scopes", [](nb::handle t) -> uint32_t {
    const Var& v = innermost(var(t));
    return v.node ? v.node->scopes : 0;
  });
  m.def("all_scopes", [](nb::handle tensors) {
    uint32_t scopes = 0;
    for (nb::handle t : tensors) scopes |= all_scopes(var(t));
    return scopes;
  });
  m.def("way_back", way_back);
  m.def("any_lacks", any_lacks);
  m.def("note_call", note_call);
  m.def("refuse_tangents", [](const char* why) { refuse_tangents(why); });
  m.def("begin_epoch", [] { return ++Storage::epoch; });
  m.def("born", [](nb::handle t) { return var(t).array.storage->born; });
  m.def("peek_sequence", peek_sequence);
  m.def("lack_tangents", [](nb::handle t, uint64_t first, const LevelHandle& h, bool of_function) {
    lack_tangents(var(t), first, h.level, of_function);
  });
  m.def("set_batch_hooks", [](nb::object read, nb::object refuse_with, nb::object report) {
    Py_XSETREF(batch_reader, read.release().ptr());
    Py_XSETREF(batch_refuser, refuse_with.release().ptr());
    Py_XSETREF(loop_reporter, report.release().ptr());
  });
  g_refuse_batch = [](const char* why, bool in_turn) {
    try {
      refuse(why, in_turn);
    } catch (nb::python_error& e) {
      e.restore();
      throw PythonError();
    }
  };
  g_report_loop = [](const Op& op) {
    if (!loop_reporter) return;
    Owned name = own(text(op.name));
    Owned done = own(PyObject_CallOneArg(loop_reporter, name.get()));
  };
}

}  // namespace pb::py
